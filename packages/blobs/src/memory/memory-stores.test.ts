import { describe, expect, it } from 'vitest';
import { NoSpaceError, StoreClosedError } from '../errors.js';
import { blobOf, inChunks } from '../testing/content.js';
import { MemoryActionResultStore } from './memory-action-result-store.js';
import { MemoryBlobStore } from './memory-blob-store.js';

describe('MemoryBlobStore', () => {
  it('takes no more than it may', async () => {
    const store = new MemoryBlobStore({ maxBytes: 150, name: 'tiny' });
    expect(store.name).toBe('tiny');
    const [a, b] = [blobOf(100, 'a'), blobOf(100, 'b')];
    const both = await Promise.allSettled([
      store.write(a.digest, inChunks(a.bytes, 10)),
      store.write(b.digest, inChunks(b.bytes, 10)),
    ]);
    expect(both.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const c = blobOf(100, 'c');
    await expect(store.write(c.digest, c.bytes)).rejects.toBeInstanceOf(NoSpaceError);
  });
});

describe('MemoryActionResultStore', () => {
  it('refuses work after it was closed', () => {
    const store = new MemoryActionResultStore({ name: 'results' });
    expect(store.name).toBe('results');
    store.close();
    expect(() => store.get('key')).toThrow(StoreClosedError);
  });
});
