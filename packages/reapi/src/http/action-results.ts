import { Digest } from '@granary/blobs';
import type { ActionCache } from '../services/action-cache.js';
import { scanActionResult } from '../wire/index.js';
import { actionResultFromJson, actionResultToJson } from './action-result-json.js';
import type { CachePath } from './cache-path.js';
import type { Exchange } from './exchange.js';
import { HttpError } from './http-error.js';
import { prefersType } from './negotiation.js';
import { collect, requestBody } from './request-body.js';

const JSON_TYPE = 'application/json';
const BINARY_TYPE = 'application/octet-stream';

type ActionPath = Extract<CachePath, { readonly kind: 'ac' | 'cas' }>;

/**
 * `/ac/`: values under the names of actions. Bazel keeps action results there, in binary; moon keeps them in JSON, of
 * which the content type tells; ccache keeps what it likes.
 */
export class ActionResults {
  readonly #cache: ActionCache;
  readonly #maxBytes: number;

  constructor(cache: ActionCache, maxBytes: number) {
    this.#cache = cache;
    this.#maxBytes = maxBytes;
  }

  async get(exchange: Exchange, path: ActionPath): Promise<void> {
    // The protocol names actions by hash alone; every client's digest has that hash and one size.
    const action = Digest.fromBytes(path.fn, path.hash, 0);
    const value = await this.#cache.lookup(path.instance, action, exchange);
    if (!value) throw new HttpError(404, 'there is no such action result');
    const { type, body } = represent(value, action, exchange.request.headers.accept);
    if (exchange.request.method === 'HEAD') {
      exchange.answerHead(200, ['Content-Type', type, 'Content-Length', body.length]);
    } else exchange.answer(200, ['Content-Type', type], body);
  }

  async put(exchange: Exchange, path: ActionPath): Promise<void> {
    const body = await collect(requestBody(exchange, this.#maxBytes).chunks);
    const [type] = exchange.request.headers['content-type']?.split(';') ?? [];
    const value = type?.trim().toLowerCase() === JSON_TYPE ? (actionResultFromJson(body) ?? body) : body;
    await this.#cache.put(path.instance, Digest.fromBytes(path.fn, path.hash, 0), value, exchange);
    exchange.answer(200, []);
  }
}

function represent(value: Buffer, action: Digest, accept: string | undefined): { type: string; body: Buffer } {
  if (prefersType(accept, JSON_TYPE) && isActionResult(value, action)) {
    const json = actionResultToJson(value);
    if (json) return { type: JSON_TYPE, body: json };
  }
  return { type: BINARY_TYPE, body: value };
}

function isActionResult(value: Buffer, action: Digest): boolean {
  try {
    scanActionResult(value, action.function);
    return true;
  } catch {
    return false;
  }
}
