import { setMaxListeners } from 'node:events';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { untilAborted } from '@granary/resilience';
import { checkHash, consumeSource } from '../blob-source.js';
import type { BlobSource } from '../blob-store.js';
import type { Digest } from '../digest.js';
import { createHasher } from '../digest-function.js';
import type { Bucket } from './bucket.js';
import type { ByteBudget } from './byte-budget.js';
import type { ConditionalWrites } from './conditional-writes.js';
import { isMissing } from './s3-failure.js';
import type { OnProgress } from './traffic.js';

const MIB = 1024 * 1024;
const MOST_PARTS = 10_000;

export interface PartsContext {
  readonly bucket: Bucket;
  readonly conditional: ConditionalWrites;
  readonly memory: ByteBudget;
  readonly partBytes: number;
  readonly parallelParts: number;
}

interface Part {
  readonly buffer: Buffer;
  readonly release: () => void;
  filled: number;
}

/**
 * A blob on its way into a bucket in parts, of which only so many are in memory. Before the hash of all is right the parts
 * are no object; when anything fails they are thrown away.
 */
export class UploadInParts {
  readonly #context: PartsContext;
  readonly #key: string;
  readonly #digest: Digest;
  readonly #partBytes: number;
  readonly #onProgress: OnProgress | undefined;
  readonly #stop = new AbortController();
  readonly #etags: string[] = [];
  readonly #sending = new Set<Promise<void>>();
  #id = '';
  #begun: Promise<string> | undefined;
  #part: Part | undefined;
  #count = 0;

  constructor(context: PartsContext, key: string, digest: Digest, onProgress: OnProgress | undefined) {
    this.#context = context;
    this.#onProgress = onProgress;
    // Every part that is on its way listens: that is no leak.
    setMaxListeners(0, this.#stop.signal);
    this.#key = key;
    this.#digest = digest;
    this.#partBytes = Math.max(context.partBytes, Math.ceil(digest.size / MOST_PARTS / MIB) * MIB);
  }

  /** Ends it: {@link send} fails with the reason. */
  stop(reason: unknown): void {
    this.#stop.abort(reason);
  }

  /**
   * Sends the source. When it fails {@link discard} is to be called, even if the store has the blob from somebody else.
   *
   * @returns whether the object is made of what was sent
   * @throws DigestMismatchError, RemoteStoreError, what the source throws, or the reason of the signal
   */
  async send(source: BlobSource, signal: AbortSignal | undefined): Promise<boolean> {
    const abort = () => this.stop(signal?.reason);
    signal?.addEventListener('abort', abort, { once: true });
    try {
      this.#begun = this.#begin();
      this.#id = await untilAborted(this.#begun, this.#stop.signal);
      const hasher = createHasher(this.#digest.function);
      await consumeSource(source, this.#digest.size, this.#stop.signal, (chunk) => {
        hasher.update(chunk);
        return this.#add(chunk);
      });
      checkHash(this.#digest, hasher.digest());
      await Promise.all(this.#sending);
      return await this.#complete();
    } catch (error) {
      this.stop(error);
      throw error;
    } finally {
      signal?.removeEventListener('abort', abort);
      this.#part?.release();
      this.#part = undefined;
    }
  }

  /** Throws the parts away, as soon as none is on its way any more: one that came later would stay. */
  async discard(signal: AbortSignal): Promise<void> {
    await Promise.allSettled(this.#sending);
    const id = await this.#begun?.catch(() => undefined);
    if (id === undefined) return;
    const { bucket } = this.#context;
    const input = { Bucket: bucket.bucket, Key: this.#key, UploadId: id };
    try {
      await bucket.run(`abort ${this.#key}`, signal, (options) =>
        bucket.client.send(new AbortMultipartUploadCommand(input), options),
      );
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  }

  async #begin(): Promise<string> {
    const { bucket } = this.#context;
    const input = { Bucket: bucket.bucket, Key: this.#key, ...bucket.encryption };
    // Not to be aborted: whoever begins it has to know its name, to end it.
    const { UploadId: id } = await bucket.run(
      `begin ${this.#key}`,
      undefined,
      (options) => bucket.client.send(new CreateMultipartUploadCommand(input), options),
      this.#onProgress,
    );
    if (!id) throw bucket.failure('invalid', `begin ${this.#key}: the upload has no name`);
    return id;
  }

  #add(chunk: Uint8Array): Promise<void> | undefined {
    const part = this.#part;
    if (!part || part.buffer.length - part.filled <= chunk.length) return this.#addSlowly(chunk);
    part.buffer.set(chunk, part.filled);
    part.filled += chunk.length;
    return undefined;
  }

  async #addSlowly(chunk: Uint8Array): Promise<void> {
    for (let at = 0; at < chunk.length; ) {
      this.#part ??= await this.#newPart();
      const part = this.#part;
      const length = Math.min(chunk.length - at, part.buffer.length - part.filled);
      part.buffer.set(chunk.subarray(at, at + length), part.filled);
      part.filled += length;
      at += length;
      if (part.filled === part.buffer.length) this.#send(part);
    }
  }

  async #newPart(): Promise<Part> {
    const { bucket, memory, parallelParts } = this.#context;
    while (this.#sending.size >= parallelParts) await Promise.race(this.#sending);
    const left = this.#digest.size - this.#count * this.#partBytes;
    const length = Math.min(this.#partBytes, left);
    const release = await bucket.traffic.wait(memory.take(length, this.#stop.signal), this.#onProgress);
    return { buffer: Buffer.allocUnsafeSlow(length), release, filled: 0 };
  }

  #send(part: Part): void {
    this.#part = undefined;
    const number = ++this.#count;
    const sending = this.#sendPart(number, part).finally(() => {
      part.release();
      this.#sending.delete(sending);
    });
    this.#sending.add(sending);
    // Ends the source too, which may be silent for long.
    sending.catch((error: unknown) => this.stop(error));
  }

  async #sendPart(number: number, { buffer, filled }: Part): Promise<void> {
    const { bucket } = this.#context;
    const input = {
      Bucket: bucket.bucket,
      Key: this.#key,
      UploadId: this.#id,
      PartNumber: number,
      Body: buffer.subarray(0, filled),
    };
    const onProgress = this.#onProgress;
    const { ETag: etag } = await bucket.run(
      `part ${number} of ${this.#key}`,
      this.#stop.signal,
      (options) => bucket.client.send(bucket.traffic.watched(new UploadPartCommand(input), onProgress), options),
      onProgress,
    );
    if (etag === undefined) throw bucket.failure('invalid', `part ${number} of ${this.#key} has no tag`);
    this.#etags[number - 1] = etag;
  }

  #complete(): Promise<boolean> {
    const { bucket, conditional } = this.#context;
    const { signal } = this.#stop;
    const Parts = this.#etags.map((ETag, i) => ({ ETag, PartNumber: i + 1 }));
    const input = { Bucket: bucket.bucket, Key: this.#key, UploadId: this.#id, MultipartUpload: { Parts } };
    return conditional.run(this.#key, this.#digest.size, signal, (IfNoneMatch) =>
      bucket.run(
        `complete ${this.#key}`,
        signal,
        (options) => bucket.client.send(new CompleteMultipartUploadCommand({ ...input, IfNoneMatch }), options),
        this.#onProgress,
      ),
    );
  }
}
