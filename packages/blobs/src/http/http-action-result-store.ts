import type { ActionResultStore, OperationOptions } from '../blob-store.js';
import type { DigestFunction } from '../digest-function.js';
import { StoreClosedError } from '../errors.js';
import { actionOfKey } from '../remote/action-of-key.js';
import { OrderedWrites } from '../remote/ordered-writes.js';
import { type CacheServer, discard } from './cache-server.js';
import { isPage } from './http-blob-store.js';
import { toRemoteError } from './http-failure.js';
import type { ResolvedHttpOptions } from './options.js';

/** Results on their way or waiting for one of the same action, at most. */
const MAX_PENDING = 4096;
const LONGEST_PATH = 8000;
const HALF_A_CHARACTER = /\p{Surrogate}/u;

/**
 * Another cache's action results, under `/[INSTANCE/]ac/HASH`, passed through as bytes. Nothing can be deleted: the
 * protocol has no call for it.
 */
export class HttpActionResultStore implements ActionResultStore {
  readonly name: string;
  readonly #server: CacheServer;
  readonly #functions: ReadonlySet<DigestFunction>;
  readonly #maxBytes: number;
  readonly #writes: OrderedWrites;
  #closed = false;

  constructor(server: CacheServer, options: ResolvedHttpOptions) {
    this.name = server.name;
    this.#server = server;
    this.#functions = options.digestFunctions;
    this.#maxBytes = options.maxActionResultBytes;
    this.#writes = new OrderedWrites(MAX_PENDING, () =>
      server.failure('exhausted', 'too many action results wait for their turn'),
    );
  }

  async get(key: string, options?: OperationOptions): Promise<Buffer | undefined> {
    this.#checkUsable(options);
    const path = this.#pathOf(key);
    if (path === undefined) return undefined;
    const headers = { 'accept-encoding': 'identity' };
    const request = { method: 'GET', path, headers, maxBodyBytes: this.#maxBytes } as const;
    const response = await this.#server.send(request, options);
    if (!response) return undefined;
    // There is no hash to find out later that this is no result.
    if (isPage(response)) {
      response.body.destroy();
      throw this.#server.failure('invalid', `GET ${path}: a web page came, so this is no cache`);
    }
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of response.body as AsyncIterable<Buffer>) chunks.push(chunk);
    } catch (error) {
      throw toRemoteError(this.name, `GET ${path}`, error);
    }
    return Buffer.concat(chunks);
  }

  /** @throws RemoteStoreError `refused` for a digest function or an instance name that no path can be made of */
  async set(key: string, value: Buffer, options?: OperationOptions): Promise<void> {
    this.#checkUsable(options);
    const path = this.#pathOf(key);
    if (path === undefined)
      throw this.#server.failure('refused', 'no path can be made of the name of this result', { unfit: true });
    // The caller may change it as soon as it has a promise.
    const body = Buffer.from(value);
    const headers = { 'content-type': 'application/octet-stream' };
    await this.#writes.run(key, async () => {
      this.#checkUsable(options);
      const response = await this.#server.send({ method: 'PUT', path, headers, body, mayBeRejected: true }, options);
      if (response) await discard(response);
    });
  }

  /** The protocol has no call for it. */
  async delete(): Promise<boolean> {
    return false;
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  /** Undefined when no URL, or none of its own, can be made of the key: servers drop empty segments and dots. */
  #pathOf(key: string): string | undefined {
    const { action, instance } = actionOfKey(key);
    if (!this.#functions.has(action.function) || HALF_A_CHARACTER.test(instance)) return undefined;
    const segments = instance === '' ? [] : instance.split('/');
    if (segments.some((segment) => segment === '' || segment === '.' || segment === '..')) return undefined;
    const path = `${segments.map((segment) => `/${encodeURIComponent(segment)}`).join('')}/ac/${action.hash}`;
    return path.length <= LONGEST_PATH ? path : undefined;
  }

  #checkUsable(options: OperationOptions | undefined): void {
    if (this.#closed) throw new StoreClosedError();
    options?.signal?.throwIfAborted();
  }
}
