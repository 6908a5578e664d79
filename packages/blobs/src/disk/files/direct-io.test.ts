import { expect, it } from 'vitest';
import { BufferPool } from './buffer-pool.js';
import { DirectIo } from './direct-io.js';
import type { FileSystem } from './file-system.js';

it('is tried out when there is memory for it: a crowd at the beginning says nothing about the file system', async () => {
  const file = { write: async () => 4096, close: async () => {} };
  const fs = { createDirect: async () => file, unlink: async () => {} } as unknown as FileSystem;
  const buffers = new BufferPool();
  const direct = new DirectIo(fs, buffers, 1);
  const lent: Buffer[] = [];
  for (let pair = buffers.takeAlignedPair(); pair; pair = buffers.takeAlignedPair()) lent.push(...pair);
  expect(await direct.suits(100, 'upload')).toBe(false);
  for (const buffer of lent) buffers.give(buffer);
  expect(await direct.suits(100, 'upload')).toBe(true);
});
