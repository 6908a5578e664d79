import { BlobTooLargeError, Digest } from '@granary/blobs';
import type { ActionCache } from '../services/action-cache.js';
import { decodeLargeValue, decodeOpaqueValue, encodeLargeValue, isActionResult } from '../services/opaque-value.js';
import { mayBeginActionResult } from '../wire/index.js';
import { actionResultFromJson, actionResultToJson } from './action-result-json.js';
import type { Blobs } from './blobs.js';
import type { CachePath } from './cache-path.js';
import type { Exchange } from './exchange.js';
import { HttpError } from './http-error.js';
import { prefersType } from './negotiation.js';
import { requestBody, takeUpTo } from './request-body.js';

const JSON_TYPE = 'application/json';
const BINARY_TYPE = 'application/octet-stream';

type ActionPath = Extract<CachePath, { readonly kind: 'ac' | 'cas' }>;

export interface ActionResultsOptions {
  readonly cache: ActionCache;
  /** Keeps values that are too large to be kept among action results. */
  readonly blobs: Blobs;
  /** Largest action result, in bytes, and the largest value that is kept among them. */
  readonly maxBytes: number;
  /** Largest value that is no action result. */
  readonly maxBlobBytes: number;
}

/**
 * `/ac/`: values under the names of actions. Bazel keeps action results there, in binary; moon keeps them in JSON, of
 * which the content type tells; ccache keeps what it likes, whole object files as well, and Gradle whole outputs, under
 * names of 32 digits.
 */
export class ActionResults {
  readonly #options: ActionResultsOptions;

  constructor(options: ActionResultsOptions) {
    this.#options = options;
  }

  async get(exchange: Exchange, path: ActionPath): Promise<void> {
    // The protocol names actions by hash alone; every client's digest has that hash and one size.
    const action = Digest.fromBytes(path.fn, path.hash, 0);
    const { cache, blobs } = this.#options;
    const found = await cache.lookup(path.instance, action, exchange);
    if (!found) throw new HttpError(404, 'there is no such action result');
    const large = decodeLargeValue(found, action);
    if (large) return blobs.serve(exchange, large);
    const { type, body } = represent(decodeOpaqueValue(found) ?? found, action, exchange.request.headers.accept);
    if (exchange.request.method === 'HEAD') {
      exchange.answerHead(200, ['Content-Type', type, 'Content-Length', body.length]);
    } else exchange.answer(200, ['Content-Type', type], body);
  }

  async put(exchange: Exchange, path: ActionPath): Promise<void> {
    const { cache, blobs, maxBytes, maxBlobBytes } = this.#options;
    cache.refuseWhenReadOnly();
    const action = Digest.fromBytes(path.fn, path.hash, 0);
    const { 'if-none-match': unless } = exchange.request.headers;
    if (unless?.trim() === '*' && (await cache.lookup(path.instance, action, exchange)))
      throw new HttpError(412, 'there is a value, which is not to be replaced (If-None-Match)');
    const [type] = exchange.request.headers['content-type']?.split(';') ?? [];
    const isJson = type?.trim().toLowerCase() === JSON_TYPE;
    // A result may be as large as one over gRPC, also where no blob may be.
    const { chunks } = requestBody(exchange, isJson ? maxBytes : Math.max(maxBytes, maxBlobBytes));
    const body = await takeUpTo(maxBytes, chunks);
    if (body.whole === undefined) {
      const { start } = body;
      const value = isJson ? (actionResultFromJson(start) ?? start) : start;
      await cache.put(path.instance, action, value, exchange);
    } else {
      try {
        // Of a value that isn't looked into, nobody could say whether what it names is here.
        if (mayBeginActionResult(body.start)) throw new BlobTooLargeError(body.start.length, maxBytes);
        // Of the name's own function, as all that a result names: whether clients may use it for blobs of theirs doesn't
        // matter, since none of them chose it.
        const content = await blobs.store(exchange, path.fn, body.whole);
        await cache.put(path.instance, action, encodeLargeValue(content), exchange);
      } finally {
        await body.leave();
      }
    }
    exchange.answer(200, []);
  }
}

function represent(value: Buffer, action: Digest, accept: string | undefined): { type: string; body: Buffer } {
  if (prefersType(accept, JSON_TYPE) && isActionResult(value, action.function)) {
    const json = actionResultToJson(value);
    if (json) return { type: JSON_TYPE, body: json };
  }
  return { type: BINARY_TYPE, body: value };
}
