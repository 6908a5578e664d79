import type { BlobSource } from './blob-store.js';
import type { Digest } from './digest.js';
import { hashBytes } from './digest-function.js';
import { DigestMismatchError } from './errors.js';

/**
 * Hands a source's chunks to a consumer one at a time, each only until the consumer's promise settles. Ends at once
 * when the signal aborts, even while the source is silent, and tells the source that it is no longer wanted.
 *
 * @throws DigestMismatchError as soon as the source has more bytes than `size`, or when it ends with fewer
 */
export async function consumeSource(
  source: BlobSource,
  size: number,
  signal: AbortSignal | undefined,
  consume: (chunk: Uint8Array) => Promise<void> | undefined,
): Promise<void> {
  signal?.throwIfAborted();
  if (source instanceof Uint8Array) {
    if (source.length !== size) throw wrongSize(size, source.length);
    await consume(source);
    return;
  }
  const iterator = source[Symbol.asyncIterator]();
  let stop: (reason: unknown) => void = () => {};
  const abort = () => stop(signal?.reason);
  signal?.addEventListener('abort', abort);
  let seen = 0;
  let ended = false;
  // A call of its own for each chunk, since what waits for the next one would hold on to the last.
  const takeChunk = async (): Promise<boolean> => {
    const step = await new Promise<IteratorResult<Uint8Array>>((resolve, reject) => {
      stop = reject;
      iterator.next().then(resolve, (error: unknown) => {
        ended = true;
        reject(error);
      });
    });
    if (step.done) {
      ended = true;
      return false;
    }
    seen += step.value.length;
    if (seen > size) throw wrongSize(size, seen);
    const busy = consume(step.value);
    if (busy) await busy;
    signal?.throwIfAborted();
    return true;
  };
  try {
    while (await takeChunk());
    if (seen < size) throw wrongSize(size, seen);
  } finally {
    signal?.removeEventListener('abort', abort);
    // Not waited for: a source that hangs must not hold up the one that gives up on it.
    if (!ended) void Promise.resolve(iterator.return?.()).catch(() => {});
  }
}

/** Collects a small blob; the caller has bounded its size. What it returns may be the source's own memory. */
export async function collectSource(
  source: BlobSource,
  size: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  if (source instanceof Uint8Array) {
    if (source.length !== size) throw wrongSize(size, source.length);
    return source;
  }
  const bytes = Buffer.allocUnsafe(size);
  let filled = 0;
  await consumeSource(source, size, signal, (chunk) => {
    bytes.set(chunk, filled);
    filled += chunk.length;
    return undefined;
  });
  return bytes;
}

/** Whether the bytes are those that the digest names. */
export function isContentOf(digest: Digest, bytes: Uint8Array): boolean {
  return bytes.length === digest.size && hashBytes(digest.function, bytes).equals(digest.bytes);
}

/** @throws DigestMismatchError when the bytes are not those that the digest names */
export function checkBytes(digest: Digest, bytes: Uint8Array): void {
  if (bytes.length !== digest.size) throw wrongSize(digest.size, bytes.length);
  checkHash(digest, hashBytes(digest.function, bytes));
}

/** @throws DigestMismatchError when the hash is another one than the digest's */
export function checkHash(digest: Digest, hash: Buffer): void {
  if (hash.equals(digest.bytes)) return;
  throw new DigestMismatchError(`the content's ${digest.function} hash is ${hash.toString('hex')}, not ${digest.hash}`);
}

export function wrongSize(expected: number, found: number): DigestMismatchError {
  return new DigestMismatchError(
    found > expected
      ? `the content is larger than the ${expected} bytes that its digest names`
      : `the content has ${found} bytes, and its digest names ${expected}`,
  );
}
