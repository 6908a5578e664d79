import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import type { GrowingBlob, WriteObserver } from '../blob-store.js';
import { DigestMismatchError } from '../errors.js';
import { blobOf } from '../testing/content.js';
import { FaultyFileSystem } from '../testing/faulty-file-system.js';
import { TemporaryStores } from '../testing/temporary-stores.js';

const stores = new TemporaryStores();
afterEach(() => stores.dispose());

class Watcher implements WriteObserver {
  blob: GrowingBlob | undefined;
  verified = false;

  onGrowing(blob: GrowingBlob): void {
    this.blob = blob;
  }

  onVerified(): void {
    this.verified = true;
  }

  async bytes(position: number, length: number): Promise<Buffer> {
    const target = Buffer.alloc(length);
    let filled = 0;
    while (filled < length) {
      const read = await this.blob!.read(target, filled, length - filled, position + filled);
      expect(read).toBeGreaterThan(0);
      filled += read;
    }
    return target;
  }
}

describe('a blob that is being written', () => {
  it('can be read as far as it has come, wherever its bytes are', async () => {
    const store = await stores.open({ durability: 'none' });
    const part = fc.record({ chunk: fc.integer({ min: 1, max: 1_500_000 }), at: fc.nat(), length: fc.nat(700_000) });
    let seed = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(part, { minLength: 1, maxLength: 6 }), async (parts) => {
        const size = 40_000 + parts.reduce((sum, { chunk }) => sum + chunk, 0);
        const { bytes, digest } = blobOf(size, `growing ${seed++}`);
        const watcher = new Watcher();
        async function* source() {
          let sent = 0;
          for (const { chunk, at, length } of parts) {
            yield bytes.subarray(sent, sent + chunk);
            sent += chunk;
            expect(watcher.blob?.received).toBe(sent);
            const from = at % sent;
            const to = Math.min(sent, from + length);
            expect((await watcher.bytes(from, to - from)).equals(bytes.subarray(from, to))).toBe(true);
          }
          expect(watcher.verified).toBe(false);
          yield bytes.subarray(sent);
        }
        await store.write(digest, source(), { observer: watcher });
        expect(watcher.verified).toBe(true);
        expect(await watcher.blob?.read(Buffer.alloc(1), 0, 1, 0)).toBe(0);
        expect((await store.get(digest))?.equals(bytes)).toBe(true);
        await store.delete(digest);
      }),
      { numRuns: 20 },
    );
  });

  it('stays open for who reads it, and is closed when it turns out wrong', async () => {
    const fileSystem = new FaultyFileSystem();
    const store = await stores.open({ durability: 'none', fileSystem });
    const { bytes, digest } = blobOf(2_000_000);
    const watcher = new Watcher();
    let reading: Promise<Buffer> | undefined;
    async function* source() {
      yield bytes.subarray(0, 1_500_000);
      reading = watcher.bytes(0, 400_000);
      yield Buffer.alloc(500_000, 'wrong');
    }
    await expect(store.write(digest, source(), { observer: watcher })).rejects.toThrow(DigestMismatchError);
    expect((await reading)?.equals(bytes.subarray(0, 400_000))).toBe(true);
    expect(watcher.verified).toBe(false);
    expect(await watcher.blob?.read(Buffer.alloc(1), 0, 1, 0)).toBe(0);
    expect(fileSystem.done.filter((operation) => operation === 'close')).toHaveLength(1);
  });

  it('is not shown when it is small, or there already', async () => {
    const store = await stores.open();
    const small = blobOf(1000);
    const large = blobOf(100_000);
    const watcher = new Watcher();
    await store.write(small.digest, small.bytes, { observer: watcher });
    await store.write(large.digest, large.bytes);
    await store.write(large.digest, large.bytes, { observer: watcher });
    expect(watcher.blob).toBeUndefined();
  });
});
