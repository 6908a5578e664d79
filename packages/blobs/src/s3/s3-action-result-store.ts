import { PutObjectCommand } from '@aws-sdk/client-s3';
import type { ActionResultStore, OperationOptions } from '../blob-store.js';
import { StoreClosedError } from '../errors.js';
import { OrderedWrites } from '../remote/ordered-writes.js';
import type { Bucket } from './bucket.js';
import { deleteObject } from './delete-object.js';
import { ObjectKeys } from './object-keys.js';
import type { ResolvedS3Options } from './options.js';

/** Results on their way or waiting for one of the same action, at most. */
const MAX_PENDING = 4096;

/** Action results in a bucket, an object for each, as they are. */
export class S3ActionResultStore implements ActionResultStore {
  readonly name: string;
  readonly #bucket: Bucket;
  readonly #keys: ObjectKeys;
  readonly #maxBytes: number;
  readonly #writes: OrderedWrites;
  #closed = false;

  constructor(bucket: Bucket, options: ResolvedS3Options) {
    this.name = bucket.name;
    this.#bucket = bucket;
    this.#keys = new ObjectKeys(options.prefix);
    this.#maxBytes = options.maxActionResultBytes;
    this.#writes = new OrderedWrites(MAX_PENDING, () =>
      bucket.failure('exhausted', 'too many action results wait for their turn'),
    );
  }

  async get(key: string, options?: OperationOptions): Promise<Buffer | undefined> {
    this.#checkUsable(options);
    const objectKey = this.#keys.actionResult(key);
    const signal = options?.signal;
    const found = await this.#bucket.open(objectKey, undefined, signal);
    if (!found) return undefined;
    const { head, body } = found;
    const chunks: Buffer[] = [];
    let bytes = 0;
    try {
      for await (const chunk of body as AsyncIterable<Buffer>) {
        bytes += chunk.length;
        if (bytes > this.#maxBytes)
          throw this.#bucket.failure('invalid', `GET ${objectKey}: it has more than ${this.#maxBytes} bytes`);
        chunks.push(chunk);
      }
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      throw this.#bucket.explain(`GET ${objectKey}`, error);
    }
    if (head.ContentLength !== undefined && head.ContentLength !== bytes)
      throw this.#bucket.failure('unavailable', `GET ${objectKey}: the body ended after ${bytes} bytes`);
    return Buffer.concat(chunks);
  }

  async set(key: string, value: Buffer, options?: OperationOptions): Promise<void> {
    this.#checkUsable(options);
    const objectKey = this.#keys.actionResult(key);
    const { bucket, client, encryption } = this.#bucket;
    // The caller may change it as soon as it has a promise.
    const input = { Bucket: bucket, Key: objectKey, Body: Buffer.from(value), ...encryption };
    await this.#writes.run(key, async () => {
      this.#checkUsable(options);
      await this.#bucket.run(`PUT ${objectKey}`, options?.signal, (call) =>
        client.send(new PutObjectCommand(input), call),
      );
    });
  }

  async delete(key: string): Promise<boolean> {
    this.#checkUsable(undefined);
    return deleteObject(this.#bucket, this.#keys.actionResult(key));
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  #checkUsable(options: OperationOptions | undefined): void {
    if (this.#closed) throw new StoreClosedError();
    options?.signal?.throwIfAborted();
  }
}
