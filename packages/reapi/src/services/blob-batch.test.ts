import { Digest, MemoryBlobStore } from '@granary/blobs';
import { describe, expect, it } from 'vitest';
import { COMPRESSOR } from '../wire/index.js';
import { compress } from '../zstd/index.js';
import { readBlobs, updateBlobs } from './blob-batch.js';

const LIMITS = { maxBatchTotalBytes: 1_000_000, maxBlobBytes: 0 };
const contents = Array.from({ length: 5000 }, (_, i) => Buffer.from(`blob ${i}`));
const digests = contents.map((data) => Digest.of('sha256', data));

/** A store that answers later, and notes how much it was asked at a time. */
class LateStore {
  readonly inner = new MemoryBlobStore({ maxBytes: 1_000_000 });
  most = 0;
  #running = 0;

  readonly get = (digest: Digest) => this.#later(() => this.inner.get(digest));
  readonly write = (digest: Digest, data: Uint8Array) => this.#later(() => this.inner.write(digest, data));

  async #later<T>(work: () => T | Promise<T>): Promise<T> {
    this.most = Math.max(this.most, ++this.#running);
    await new Promise((resolve) => setImmediate(resolve));
    this.#running--;
    return work();
  }
}

describe('a batch of thousands', () => {
  it('is worked on in part, so that none of it waits for too long', async () => {
    const store = new LateStore();
    const blobs = Object.assign(Object.create(store.inner), { get: store.get, write: store.write }) as MemoryBlobStore;
    const uploads = contents.map((data, i) => ({ digest: digests[i]!, data, compressor: COMPRESSOR.identity }));
    const failures = await updateBlobs(blobs, uploads, LIMITS);
    expect(failures.filter((failure) => failure !== undefined)).toEqual([]);
    expect(store.most).toBe(2000);

    store.most = 0;
    const absent = Digest.of('sha256', Buffer.from('absent'));
    const answers: string[] = [];
    await readBlobs(blobs, [...digests, absent], [], LIMITS, {
      place: (_, bytes) => Buffer.alloc(bytes),
      found: (_, data) => answers.push(data.toString()),
      failed: (digest) => answers.push(`no ${digest}`),
    });
    expect(answers).toEqual([...contents.map(String), `no ${absent}`]);
    expect(store.most).toBe(2000);
  });
});

it('unpacks no blob that is too large for a batch as it is', async () => {
  const blobs = new MemoryBlobStore({ maxBytes: 10_000_000 });
  const [fits, tooLarge] = [1_000_000, 1_000_001].map((size) => Buffer.alloc(size));
  const uploads = await Promise.all(
    [fits!, tooLarge!].map(async (data) => ({
      digest: Digest.of('sha256', data),
      data: await compress(data),
      compressor: COMPRESSOR.zstd,
    })),
  );
  const [none, refused] = await updateBlobs(blobs, uploads, LIMITS);
  expect(none).toBeUndefined();
  expect(refused).toMatchObject({ message: expect.stringContaining('too large for a batch') });
});
