import { type Logger, nullLogger } from '@granary/telemetry';
import { describe, expect, it, vi } from 'vitest';
import { blobOf } from '../testing/content.js';
import { ScriptedStore } from '../testing/scripted-store.js';
import { DamagedBlobs } from './damaged-blobs.js';

const flipped = (bytes: Buffer) => Buffer.from(bytes.map((byte) => byte ^ 1));

async function storeWith(...sizes: number[]) {
  const store = new ScriptedStore({ name: 'shared' });
  const blobs = sizes.map((size) => blobOf(size));
  for (const { digest, bytes } of blobs) await store.write(digest, bytes);
  const said: unknown[][] = [];
  const logger: Logger = { ...nullLogger, warning: (...record) => said.push(record) };
  return { store, digests: blobs.map(({ digest }) => digest), damaged: new DamagedBlobs(store, logger), said };
}

describe('a blob that was delivered damaged', () => {
  it('is removed where it is so, and that is said', async () => {
    const { store, digests, damaged, said } = await storeWith(1000, 200_000);
    store.tamper = flipped;
    for (const digest of digests) damaged.report(digest);
    await vi.waitFor(() => expect(store.findMissing(digests)).toEqual(digests));
    expect(said.map((record) => record.slice(1))).toEqual(digests.map((digest) => [`${digest}`, 'shared']));
    // Told again after that, too.
    damaged.report(digests[0]!);
    await damaged.close();
    expect(said).toHaveLength(2);
  });

  it('stays where it is right when it is read again, ends early, or can not be read', async () => {
    const { store, digests, damaged } = await storeWith(1000);
    const looked = (reads: number) =>
      vi.waitFor(() => expect([store.count('read'), store.openReaders]).toEqual([reads, 0]));
    damaged.report(digests[0]!);
    await looked(1);
    store.delivery = () => {
      throw store.gone();
    };
    damaged.report(digests[0]!);
    await looked(2);
    store.before = () => {
      throw store.gone();
    };
    damaged.report(digests[0]!);
    await looked(3);
    store.before = () => {};
    await damaged.close();
    expect(store.findMissing(digests)).toEqual([]);
  });

  it('is looked at once however often it is told, and not after the end', async () => {
    const { store, digests, damaged } = await storeWith(1000);
    for (let i = 0; i < 10; i++) damaged.report(digests[0]!);
    await vi.waitFor(() => expect(store.openReaders).toBe(0));
    await vi.waitFor(() => expect(store.count('read')).toBe(1));
    await damaged.close();
    damaged.report(digests[0]!);
    expect(store.count('read')).toBe(1);
  });

  it('is no longer looked at when the tier is closed', async () => {
    const { store, digests, damaged } = await storeWith(1000);
    store.delivery = (_, signal) =>
      new Promise((_resolve, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
    damaged.report(digests[0]!);
    await vi.waitFor(() => expect(store.openReaders).toBe(1));
    await damaged.close();
    expect(store.openReaders).toBe(0);
    expect(store.findMissing(digests)).toEqual([]);
  });
});
