import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { RecordingTracer } from '@granary/telemetry/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { withRecorder } from '../decorators/metered-store.js';
import { withTracing } from '../decorators/traced-store.js';
import { isStoreError } from '../errors.js';
import { MemoryBlobStore } from '../memory/memory-blob-store.js';
import { blobOf, fileOf } from '../testing/content.js';
import { FaultyFileSystem, systemError } from '../testing/faulty-file-system.js';
import { TemporaryStores } from '../testing/temporary-stores.js';

const KIB = 1024;

const stores = new TemporaryStores();
afterEach(() => stores.dispose());

describe('a file that a store adopts', () => {
  it.each([0, 1, 32 * KIB, 32 * KIB + 1, 700_001])('is the blob then, of %s bytes too', async (size) => {
    const directory = await stores.folder();
    const store = await stores.open({ directory });
    const { digest, bytes } = blobOf(size);
    const whole = await fileOf(store.incomingDirectory, bytes);
    const { ino } = await stat(whole.path);
    await store.adopt(digest, whole);
    expect(await readdir(store.incomingDirectory)).toEqual([]);
    expect(store.findMissing([digest])).toEqual([]);
    expect((await store.get(digest))?.equals(bytes)).toBe(true);
    expect(store.stats()).toMatchObject({ blobs: 1, reservedBytes: 0 });
    if (size > 32 * KIB)
      expect((await stat(join(directory, 'blobs', 'sha256', digest.hash.slice(0, 2), digest.hash))).ino).toBe(ino);
    // Whoever reads the file goes on, whatever becomes of the blob.
    await store.delete(digest);
    const again = Buffer.alloc(size);
    expect(await whole.file.read(again, 0, size, 0)).toBe(size);
    expect(again.equals(bytes)).toBe(true);
    await whole.file.close();
  });

  it('is there after a restart, and is not looked at for damage before', async () => {
    const directory = await stores.folder();
    const { digest, bytes } = blobOf(700_001);
    const first = await stores.open({ directory });
    const whole = await fileOf(first.incomingDirectory, bytes);
    await first.adopt(digest, whole);
    await whole.file.close();
    await first.close();
    const second = await stores.open({ directory });
    expect((await second.get(digest))?.equals(bytes)).toBe(true);
    expect(second.stats().quarantined).toBe(0);
  });

  it('is dropped when the blob is there, by then or already', async () => {
    const store = await stores.open();
    const { digest, bytes } = blobOf(100 * KIB);
    const files = await Promise.all([1, 2, 3].map(() => fileOf(store.incomingDirectory, bytes)));
    await Promise.all(files.slice(1).map((whole) => store.adopt(digest, whole)));
    for (const whole of files.slice(0, 1)) await store.adopt(digest, whole);
    expect(await readdir(store.incomingDirectory)).toEqual([]);
    expect((await store.get(digest))?.equals(bytes)).toBe(true);
    expect(store.stats()).toMatchObject({ blobs: 1, reservedBytes: 0 });
    for (const { file } of files) await file.close();
  });

  it.each([100, 100 * KIB])('is refused when it is longer or shorter than the %s bytes of the digest', async (size) => {
    const store = await stores.open();
    const { digest, bytes } = blobOf(size);
    for (const wrong of [bytes.subarray(1), Buffer.concat([bytes, Buffer.of(1)])]) {
      const whole = await fileOf(store.incomingDirectory, wrong);
      await expect(store.adopt(digest, whole)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
      await whole.file.close();
    }
    expect(await readdir(store.incomingDirectory)).toEqual([]);
    expect(store.stats()).toMatchObject({ blobs: 0, reservedBytes: 0 });
  });

  it('is gone, too, when there is no room for it, nobody wants it any more, or the store is closed', async () => {
    const store = await stores.open({ maxBytes: 1024 * KIB, spaceWaitMs: 10 });
    const large = blobOf(2048 * KIB);
    const small = blobOf(100 * KIB);
    const files = await Promise.all([large, small, small].map(({ bytes }) => fileOf(store.incomingDirectory, bytes)));
    const [tooLarge, unwanted, late] = files as [(typeof files)[0], (typeof files)[0], (typeof files)[0]];
    await expect(store.adopt(large.digest, tooLarge)).rejects.toMatchObject({ code: 'NO_SPACE' });
    const signal = AbortSignal.abort(new Error('gone'));
    await expect(store.adopt(small.digest, unwanted, { signal })).rejects.toThrow('gone');
    await store.close();
    await expect(store.adopt(small.digest, late)).rejects.toMatchObject({ code: 'STORE_CLOSED' });
    expect(await readdir(store.incomingDirectory)).toEqual([]);
    for (const { file } of files) await file.close();
  });

  it('leaves nothing where any step fails, and can be stored again', async () => {
    const { digest, bytes } = blobOf(300 * KIB);
    const adoptWith = async (fault: FaultyFileSystem['fault']) => {
      const fileSystem = new FaultyFileSystem();
      const directory = await stores.folder();
      const store = await stores.open({ fileSystem, directory, durability: 'full' });
      await store.maintain();
      const whole = await fileOf(store.incomingDirectory, bytes, fileSystem);
      const first = fileSystem.done.length;
      fileSystem.fault = (operation, path, number) => fault(operation, path, number - first);
      const outcome = await store.adopt(digest, whole).catch((error: unknown) => error);
      fileSystem.fault = () => undefined;
      const steps = fileSystem.done.slice(first);
      await whole.file.close();
      return { store, directory, outcome, steps };
    };
    const { steps } = await adoptWith(() => undefined);
    const making = ['makeDirectory', 'syncDirectory', 'syncDirectory', 'syncDirectory'];
    expect(steps).toEqual(['fileStatus', 'datasync', 'fileStatus', ...making, 'rename', 'syncDirectory']);
    for (const [step, operation] of steps.entries()) {
      const { store, directory, outcome } = await adoptWith((_, __, number) =>
        number === step ? systemError('EIO') : undefined,
      );
      expect(isStoreError(outcome), operation).toBe(true);
      expect(store.findMissing([digest])).toEqual([digest]);
      expect(store.stats()).toMatchObject({ bytes: 0, reservedBytes: 0, blobs: 0 });
      const left = await readdir(directory, { recursive: true, withFileTypes: true });
      expect(left.filter((entry) => entry.isFile() && entry.name === digest.hash)).toEqual([]);
      expect(await readdir(store.incomingDirectory)).toEqual([]);
      await store.write(digest, bytes);
      expect((await store.get(digest))?.equals(bytes)).toBe(true);
    }
  });

  it('passes stores that only count and trace, and is of no use to others', async () => {
    const counted: string[] = [];
    const tracer = new RecordingTracer();
    const recorder = {
      recordOperation: (operation: string, outcome: string, _: number, bytes: number) =>
        void counted.push(`${operation} ${outcome} ${bytes}`),
    };
    const inner = await stores.open({ tracer });
    const store = withTracing(withRecorder(inner, recorder), tracer);
    const span = tracer.startSpan('request');
    for (const [size, options] of [
      [100 * KIB, { span }],
      [200 * KIB, {}],
    ] as const) {
      const { digest, bytes } = blobOf(size);
      const whole = await fileOf(inner.incomingDirectory, bytes);
      await store.adopt?.(digest, whole, options);
      await whole.file.close();
      expect(inner.findMissing([digest])).toEqual([]);
    }
    expect(counted).toEqual(['write ok 102400', 'write ok 204800']);
    expect(tracer.spans.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['proxy.Put', 'store.Sync', 'store.Commit']),
    );
    const memory = withTracing(withRecorder(new MemoryBlobStore({ maxBytes: 1000 }), recorder), tracer);
    expect(memory.adopt).toBeUndefined();
  });
});
