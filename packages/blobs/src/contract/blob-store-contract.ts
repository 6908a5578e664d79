import { createHash } from 'node:crypto';
import { type BlobStore, CHUNK_BYTES, CHUNK_HEADROOM, type SizeLookup } from '../blob-store.js';
import { Digest } from '../digest.js';
import { DIGEST_FUNCTIONS } from '../digest-function.js';
import { DigestMismatchError } from '../errors.js';
import { bytesOf, contentOf, inChunks } from './content.js';
import type { TestRunner } from './test-runner.js';

/** A store that the suite uses for one test and then gives back. */
export interface StoreUnderTest {
  readonly store: BlobStore;
  /** Ends what the store leaves behind; the suite has closed the store. */
  readonly dispose?: () => Promise<void>;
}

/** Sizes around the borders that stores have: nothing, small, a chunk, several transfers. */
const SIZES = [0, 1, 4072, 4096, 32 * 1024, 32 * 1024 + 1, CHUNK_BYTES, 700_001, 1_300_000];

/**
 * What every {@link BlobStore} keeps, as tests: call it in a test file of the implementation.
 *
 * @param makeStore a new, empty store with room for at least 16 MiB
 */
export function blobStoreContract(
  { describe, it, expect }: TestRunner,
  name: string,
  makeStore: () => Promise<StoreUnderTest>,
): void {
  const withStore = (body: (store: BlobStore) => Promise<void>) => async () => {
    const { store, dispose } = await makeStore();
    try {
      await body(store);
    } finally {
      await store.close();
      await dispose?.();
    }
  };

  describe(`${name} keeps the contract of a blob store`, () => {
    for (const size of SIZES) {
      it(
        `gives back the ${size} bytes that it was given`,
        withStore(async (store) => {
          const bytes = contentOf(size);
          const digest = Digest.of('sha256', bytes);
          await store.write(digest, bytes);
          expect(await store.findMissing([digest])).toEqual([]);
          expect((await store.get(digest))?.equals(bytes)).toBe(true);
          expect((await bytesOf(await store.read(digest))).equals(bytes)).toBe(true);
        }),
      );
    }

    for (const fn of DIGEST_FUNCTIONS) {
      it(
        `tells ${fn} blobs from others`,
        withStore(async (store) => {
          const bytes = contentOf(33_000);
          const digest = Digest.of(fn, bytes);
          await store.write(digest, inChunks(bytes, 1000));
          const others = DIGEST_FUNCTIONS.filter((other) => other !== fn).map((other) => Digest.of(other, bytes));
          expect(await store.findMissing([digest, ...others])).toEqual(others);
          expect((await store.get(digest))?.equals(bytes)).toBe(true);
        }),
      );
    }

    it(
      'puts a blob into memory of the caller only while it answers at once',
      withStore(async (store) => {
        for (const size of [1, 4096, 40_000]) {
          const bytes = contentOf(size);
          const digest = Digest.of('sha256', bytes);
          await store.write(digest, bytes);
          let given: Buffer | undefined;
          const found = store.get(digest, {
            allocate: (length) => {
              expect(length).toBe(size);
              given = Buffer.alloc(length);
              return given;
            },
          });
          if (found instanceof Promise) expect(given).toBeUndefined();
          expect((await found)?.equals(bytes)).toBe(true);
          if (given) expect(await found).toBe(given);
        }
      }),
    );

    it(
      'answers for what it does not have',
      withStore(async (store) => {
        const digest = Digest.of('sha256', contentOf(10));
        expect(await store.findMissing([digest])).toEqual([digest]);
        expect(await store.get(digest)).toBeUndefined();
        expect(await store.read(digest)).toBeUndefined();
        expect(await store.delete(digest)).toBe(false);
      }),
    );

    it(
      'takes a known hash with another size for something that it does not have',
      withStore(async (store) => {
        const bytes = contentOf(10);
        const digest = Digest.of('sha256', bytes);
        await store.write(digest, bytes);
        const other = Digest.parse('sha256', digest.hash, 11);
        expect(await store.findMissing([other, digest])).toEqual([other]);
        expect(await store.get(other)).toBeUndefined();
        expect(await store.read(other)).toBeUndefined();
      }),
    );

    it(
      'tells the size of a blob by its hash, if it can do that at all',
      withStore(async (store) => {
        if (!('sizeOf' in store)) return;
        const lookup = store as BlobStore & SizeLookup;
        const [here, gone] = [Digest.of('sha256', contentOf(10)), Digest.of('blake3', contentOf(10))];
        await store.write(here, contentOf(10));
        expect(await lookup.sizeOf('sha256', here.bytes)).toBe(10);
        expect(await lookup.sizeOf('blake3', gone.bytes)).toBeUndefined();
      }),
    );

    it(
      'keeps the order of the digests that are missing, and names each as often as it was asked for',
      withStore(async (store) => {
        const here = Digest.of('sha256', contentOf(5));
        const [a, b] = [Digest.of('sha256', contentOf(6)), Digest.of('sha256', contentOf(7))];
        await store.write(here, contentOf(5));
        expect(await store.findMissing([b, here, a, b])).toEqual([b, a, b]);
      }),
    );

    for (const size of [9, 40_000, 900_000]) {
      it(
        `reads parts of ${size} bytes`,
        withStore(async (store) => {
          const bytes = contentOf(size);
          const digest = Digest.of('sha256', bytes);
          await store.write(digest, bytes);
          for (const [offset, limit] of [
            [0, 4],
            [3, 4],
            [size - 2, 100],
            [size, undefined],
            [1, undefined],
            [0, 0],
          ] as const) {
            const reader = await store.read(digest, { offset, ...(limit === undefined ? {} : { limit }) });
            const expected = bytes.subarray(offset, limit === undefined ? size : offset + limit);
            expect(reader?.length).toBe(expected.length);
            expect((await bytesOf(reader)).equals(expected)).toBe(true);
          }
        }),
      );
    }

    it(
      'leaves room in front of every chunk, and chunks that are no larger than promised',
      withStore(async (store) => {
        const bytes = contentOf(1_300_000);
        const digest = Digest.of('sha256', bytes);
        await store.write(digest, bytes);
        const hash = createHash('sha256');
        const reader = await store.read(digest);
        for await (const chunk of reader ?? []) {
          expect(chunk.byteOffset).toBeGreaterThanOrEqual(CHUNK_HEADROOM);
          expect(chunk.length).toBeLessThanOrEqual(CHUNK_BYTES);
          hash.update(chunk);
          Buffer.from(chunk.buffer, chunk.byteOffset - CHUNK_HEADROOM, CHUNK_HEADROOM).fill(0xee);
        }
        expect(hash.digest().equals(digest.bytes)).toBe(true);
        expect((await store.get(digest))?.equals(bytes)).toBe(true);
      }),
    );

    it(
      'lets a reader be left early, closed twice, and read after its end',
      withStore(async (store) => {
        const bytes = contentOf(1_300_000);
        const digest = Digest.of('sha256', bytes);
        await store.write(digest, bytes);
        for await (const _ of (await store.read(digest)) ?? []) break;
        const reader = await store.read(digest);
        await reader?.next();
        await reader?.close();
        await reader?.close();
        expect(await reader?.next()).toBeUndefined();
      }),
    );

    for (const size of [100, 300_000]) {
      it(
        `refuses ${size} bytes under another hash`,
        withStore(async (store) => {
          const digest = Digest.of('sha256', contentOf(size));
          const wrong = Buffer.from(contentOf(size));
          wrong[size - 1] = (wrong[size - 1] ?? 0) ^ 1;
          await expect(store.write(digest, wrong)).rejects.toBeInstanceOf(DigestMismatchError);
          await expect(store.write(digest, inChunks(wrong, 1000))).rejects.toBeInstanceOf(DigestMismatchError);
          expect(await store.findMissing([digest])).toEqual([digest]);
        }),
      );

      it(
        `refuses content that is shorter or longer than ${size} bytes`,
        withStore(async (store) => {
          const digest = Digest.of('sha256', contentOf(size));
          for (const other of [contentOf(size - 1), contentOf(size + 1)]) {
            await expect(store.write(digest, other)).rejects.toBeInstanceOf(DigestMismatchError);
            await expect(store.write(digest, inChunks(other, 64))).rejects.toBeInstanceOf(DigestMismatchError);
          }
          expect(await store.findMissing([digest])).toEqual([digest]);
        }),
      );

      it(
        `stops reading a source of ${size} bytes as soon as it sends more`,
        withStore(async (store) => {
          const digest = Digest.of('sha256', contentOf(size));
          let sent = 0;
          let left = false;
          const endless = async function* () {
            try {
              for (;;) {
                sent += 1000;
                yield contentOf(1000);
              }
            } finally {
              left = true;
            }
          };
          await expect(store.write(digest, endless())).rejects.toBeInstanceOf(DigestMismatchError);
          expect(sent).toBeLessThan(size + 3000);
          expect(left).toBe(true);
        }),
      );

      it(
        `passes on what a source of ${size} bytes throws, and stores nothing`,
        withStore(async (store) => {
          const bytes = contentOf(size);
          const digest = Digest.of('sha256', bytes);
          const failing = async function* () {
            yield bytes.subarray(0, size / 2);
            throw new RangeError('the client went away');
          };
          await expect(store.write(digest, failing())).rejects.toThrow('the client went away');
          expect(await store.findMissing([digest])).toEqual([digest]);
          await store.write(digest, bytes);
          expect((await store.get(digest))?.equals(bytes)).toBe(true);
        }),
      );

      it(
        `ends a write of ${size} bytes at once when it is aborted, even while the source is silent`,
        withStore(async (store) => {
          const bytes = contentOf(size);
          const digest = Digest.of('sha256', bytes);
          const abort = new AbortController();
          const silent = async function* () {
            yield bytes.subarray(0, 50);
            queueMicrotask(() => abort.abort(new Error('deadline')));
            await new Promise(() => {});
          };
          await expect(store.write(digest, silent(), { signal: abort.signal })).rejects.toThrow('deadline');
          expect(await store.findMissing([digest])).toEqual([digest]);
        }),
      );

      it(
        `lets two uploads of one blob of ${size} bytes both succeed`,
        withStore(async (store) => {
          const bytes = contentOf(size);
          const digest = Digest.of('sha256', bytes);
          await Promise.all([
            store.write(digest, inChunks(bytes, 777)),
            store.write(digest, bytes),
            store.write(digest, inChunks(bytes, 20_000)),
          ]);
          expect((await store.get(digest))?.equals(bytes)).toBe(true);
        }),
      );
    }

    it(
      'refuses work that was aborted before it began',
      withStore(async (store) => {
        const digest = Digest.of('sha256', contentOf(10));
        const signal = AbortSignal.abort(new Error('too late'));
        await expect(store.write(digest, contentOf(10), { signal })).rejects.toThrow('too late');
        expect(await store.findMissing([digest])).toEqual([digest]);
      }),
    );

    it(
      'does not read a source again for a blob that it has',
      withStore(async (store) => {
        const bytes = contentOf(10);
        const digest = Digest.of('sha256', bytes);
        await store.write(digest, bytes);
        const untouchable: AsyncIterable<Uint8Array> = {
          [Symbol.asyncIterator]: () => {
            throw new Error('the source was read');
          },
        };
        await store.write(digest, untouchable);
      }),
    );

    it(
      'does not use the memory of a chunk after asking for the next',
      withStore(async (store) => {
        const bytes = contentOf(700_000);
        const digest = Digest.of('sha256', bytes);
        const reusing = async function* () {
          const memory = Buffer.alloc(30_000);
          for (let at = 0; at < bytes.length; at += memory.length) {
            const length = bytes.copy(memory, 0, at, at + memory.length);
            yield memory.subarray(0, length);
            memory.fill(0xff);
          }
        };
        await store.write(digest, reusing());
        expect((await store.get(digest))?.equals(bytes)).toBe(true);
      }),
    );

    it(
      'leaves the last chunk alone when its reader is closed early',
      withStore(async (store) => {
        const [one, other] = [contentOf(1_200_000), contentOf(1_200_001)];
        for (const bytes of [one, other]) await store.write(Digest.of('sha256', bytes), bytes);
        const reader = await store.read(Digest.of('sha256', one));
        const chunk = await reader?.next();
        await reader?.close();
        for (let i = 0; i < 3; i++) for await (const _ of (await store.read(Digest.of('sha256', other))) ?? []);
        expect(chunk?.equals(one.subarray(0, Math.max(1, chunk.length)))).toBe(true);
      }),
    );

    it(
      'removes blobs, which may come again',
      withStore(async (store) => {
        for (const size of [10, 50_000]) {
          const bytes = contentOf(size);
          const digest = Digest.of('sha256', bytes);
          for (let round = 0; round < 2; round++) {
            await store.write(digest, bytes);
            expect(await store.delete(digest)).toBe(true);
            expect(await store.delete(digest)).toBe(false);
            expect(await store.findMissing([digest])).toEqual([digest]);
            expect(await store.get(digest)).toBeUndefined();
          }
        }
      }),
    );

    it(
      'gives buffers that the caller may change',
      withStore(async (store) => {
        const bytes = contentOf(100);
        const digest = Digest.of('sha256', bytes);
        await store.write(digest, bytes);
        (await store.get(digest))?.fill(0);
        expect((await store.get(digest))?.equals(bytes)).toBe(true);
      }),
    );

    it('can be closed twice and refuses work afterwards', async () => {
      const { store, dispose } = await makeStore();
      const digest = Digest.of('sha256', contentOf(10));
      await store.write(digest, contentOf(10));
      await store.close();
      await store.close();
      await expect(store.write(digest, contentOf(10))).rejects.toMatchObject({ code: 'STORE_CLOSED' });
      await expect(store.read(digest)).rejects.toMatchObject({ code: 'STORE_CLOSED' });
      await expect((async () => store.findMissing([digest]))()).rejects.toMatchObject({ code: 'STORE_CLOSED' });
      await expect((async () => store.get(digest))()).rejects.toMatchObject({ code: 'STORE_CLOSED' });
      await dispose?.();
    });
  });
}
