import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NoSpaceError } from '@granary/blobs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Spool } from './spool.js';

const MIB = 1024 * 1024;

async function* chunks(...each: Buffer[]): AsyncGenerator<Buffer> {
  yield* each;
}

async function collect(source: Uint8Array | AsyncIterable<Uint8Array>): Promise<Buffer> {
  if (source instanceof Uint8Array) return Buffer.from(source);
  const parts: Buffer[] = [];
  for await (const chunk of source) parts.push(Buffer.from(chunk));
  return Buffer.concat(parts);
}

describe('a spool', () => {
  let directory: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'granary-spool-'));
  });

  afterEach(() => rm(directory, { recursive: true }));

  it('keeps what is small in memory', async () => {
    const spooled = await new Spool(join(directory, 'not there'), 0).take(chunks(Buffer.from('a'), Buffer.from('bc')));
    expect([spooled.size, `${await collect(spooled.source)}`]).toEqual([3, 'abc']);
    await spooled.discard();
  });

  it('keeps what is large in a file, of which nothing is left afterwards', async () => {
    const parts = [Buffer.alloc(900_000, 1), Buffer.alloc(900_000, 2), Buffer.alloc(5, 3)];
    const spooled = await new Spool(directory, 2 * MIB).take(chunks(...parts));
    expect(spooled.size).toBe(1_800_005);
    expect((await collect(spooled.source)).equals(Buffer.concat(parts))).toBe(true);
    await spooled.discard();
    expect(await readdir(directory)).toEqual([]);
  });

  it('bounds all files together, and gives their room back', async () => {
    const spool = new Spool(directory, 3 * MIB);
    const first = await spool.take(chunks(Buffer.alloc(2 * MIB)));
    await expect(spool.take(chunks(Buffer.alloc(2 * MIB)))).rejects.toThrow(NoSpaceError);
    await first.discard();
    for (let i = 0; i < 3; i++) await (await spool.take(chunks(Buffer.alloc(2 * MIB), Buffer.alloc(MIB)))).discard();
    expect(await readdir(directory)).toEqual([]);
  });

  it('asks for room on the disk before each few mebibytes, and ends where there is none', async () => {
    let asked = 0;
    let room = 8 * MIB;
    const spool = new Spool(directory, 100 * MIB, async (bytes) => {
      asked += bytes;
      if (asked > room) throw new NoSpaceError('the disk is full');
    });
    const sent = chunks(...Array.from({ length: 30 }, () => Buffer.alloc(MIB / 2)));
    await expect(spool.take(sent)).rejects.toThrow(NoSpaceError);
    expect(await readdir(directory)).toEqual([]);
    [asked, room] = [0, 20 * MIB];
    await (await spool.take(chunks(Buffer.alloc(MIB), Buffer.alloc(6 * MIB)))).discard();
    expect(asked).toBe(11 * MIB);
  });

  it('leaves nothing behind when the upload fails', async () => {
    const spool = new Spool(directory, 3 * MIB);
    const failing = async function* () {
      yield Buffer.alloc(2 * MIB);
      throw new RangeError('gone');
    };
    for (let i = 0; i < 3; i++) await expect(spool.take(failing())).rejects.toThrow(RangeError);
    expect(await readdir(directory)).toEqual([]);
    await (await spool.take(chunks(Buffer.alloc(3 * MIB)))).discard();
  });

  it('says so when there is no folder for its files', async () => {
    await expect(new Spool(join(directory, 'not there'), MIB * 4).take(chunks(Buffer.alloc(2 * MIB)))).rejects.toThrow(
      /ENOENT/,
    );
  });
});
