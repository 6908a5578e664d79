import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type FileSystem, nodeFileSystem } from '@granary/blobs';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { Spool } from './spool.js';
import { SpoolFolder } from './spool-folder.js';

const KIB = 1024;
const folder = mkdtempSync(join(tmpdir(), 'nuget-spool-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function content(bytes: number): Buffer {
  return Buffer.from(Uint32Array.from({ length: Math.ceil(bytes / 4) }, (_, i) => (i * 2_654_435_761) >>> 0).buffer);
}

async function all(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const chunk of chunks) pieces.push(chunk);
  return Buffer.concat(pieces);
}

describe('a spool', () => {
  it('gives back what came, from any place and in chunks of any size, while it comes', async () => {
    const size = fc.oneof(
      { weight: 4, arbitrary: fc.nat(200) },
      { weight: 2, arbitrary: fc.constantFrom(0, 4095, 4096, 16 * KIB, 64 * KIB) },
      { weight: 1, arbitrary: fc.integer({ min: 100 * KIB, max: 700 * KIB }) },
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(size, fc.double({ min: 0, max: 1, noNaN: true })), { maxLength: 60 }),
        async (steps) => {
          const spool = new Spool(new SpoolFolder(folder, nodeFileSystem));
          const whole = content(steps.reduce((sum, [bytes]) => sum + bytes, 0));
          let end = 0;
          const kept: (readonly [number, Buffer])[] = [];
          for (const [bytes, where] of steps) {
            const busy = spool.append(Buffer.from(whole.subarray(end, end + bytes)));
            end += bytes;
            expect(spool.size).toBe(end);
            if (end > 0) {
              const position = Math.floor(where * (end - 1));
              const piece = await spool.read(position, 1 + ((position * 7) % (100 * KIB)));
              expect(piece.length).toBeGreaterThan(0);
              kept.push([position, piece]);
            }
            await busy;
          }
          // What was read stays as it was, whatever came after it.
          for (const [position, piece] of kept)
            expect(piece.equals(whole.subarray(position, position + piece.length))).toBe(true);
          expect((await all(spool.chunks())).equals(whole.subarray(0, end))).toBe(true);
          const source = spool.source();
          expect(source.size).toBe(end);
          const [from, length] = [Math.floor(end / 3), Math.floor(end / 2)];
          expect((await source.read(from, length)).equals(whole.subarray(from, from + length))).toBe(true);
          await spool.release();
          expect(readdirSync(folder)).toEqual([]);
        },
      ),
      { numRuns: 40 },
    );
  });

  it('is no file while it is small, and one in large writes later', async () => {
    let writes = 0;
    let created = 0;
    const fs: FileSystem = {
      ...nodeFileSystem,
      create: async (path) => {
        created++;
        const file = await nodeFileSystem.create(path);
        return {
          read: (...args) => file.read(...args),
          write: (...args) => {
            writes++;
            return file.write(...args);
          },
          datasync: () => file.datasync(),
          truncate: (length) => file.truncate(length),
          status: () => file.status(),
          close: () => file.close(),
        };
      },
    };
    const spool = new Spool(new SpoolFolder(folder, fs));
    for (let i = 0; i < 255; i++) await spool.append(Buffer.alloc(KIB));
    expect(created).toBe(0);
    for (let i = 0; i < 10_000; i++) await spool.append(Buffer.alloc(KIB));
    expect(created).toBe(1);
    expect(writes).toBeLessThanOrEqual(82);
    await spool.release();
    expect(readdirSync(folder)).toEqual([]);
  });

  it('keeps none of the memory that small chunks are parts of', async () => {
    const spool = new Spool(new SpoolFolder(folder, nodeFileSystem));
    const memory = Buffer.alloc(64 * KIB, 7).buffer;
    for (let i = 0; i < 20_000; i++) await spool.append(Buffer.from(memory, i % KIB, 1));
    const pieces = new Set<unknown>();
    let bytes = 0;
    for await (const piece of spool.chunks()) {
      pieces.add(piece.buffer);
      bytes += piece.length;
    }
    expect(bytes).toBe(20_000);
    expect(pieces.size).toBeLessThanOrEqual(2);
    expect(pieces).not.toContain(memory);
    await spool.release();
  });

  it('stays until the last holder has gone, and not longer', async () => {
    const spool = new Spool(new SpoolFolder(folder, nodeFileSystem));
    await spool.append(content(600 * KIB));
    expect(spool.hold()).toBe(true);
    await spool.release();
    expect(readdirSync(folder)).toHaveLength(1);
    expect(await spool.read(0, 10)).toHaveLength(10);
    const releasing = spool.release();
    expect(spool.hold()).toBe(false);
    await releasing;
    expect(readdirSync(folder)).toEqual([]);
  });

  it('is released while it is being written', async () => {
    const spool = new Spool(new SpoolFolder(folder, nodeFileSystem));
    spool.append(content(300 * KIB));
    await spool.release();
    expect(readdirSync(folder)).toEqual([]);
  });

  it.each(['write', 'read'] as const)('says that the file system did nothing: %s', async (operation) => {
    const fs: FileSystem = {
      ...nodeFileSystem,
      create: async (path) => {
        const file = await nodeFileSystem.create(path);
        return {
          read: (...args) => (operation === 'read' ? Promise.resolve(0) : file.read(...args)),
          write: (...args) => (operation === 'write' ? Promise.resolve(0) : file.write(...args)),
          datasync: () => file.datasync(),
          truncate: (length) => file.truncate(length),
          status: () => file.status(),
          close: () => file.close(),
        };
      },
    };
    const spool = new Spool(new SpoolFolder(folder, fs));
    if (operation === 'read') {
      await spool.append(content(600 * KIB));
      await expect(spool.read(0, 10)).rejects.toThrow('shorter than what was written to it');
    } else {
      await expect(spool.append(content(600 * KIB))).rejects.toMatchObject({ code: 'STORE_FAILED' });
      expect(() => spool.append(content(1))).toThrow('took no bytes');
    }
    await spool.release();
    expect(readdirSync(folder)).toEqual([]);
  });
});
