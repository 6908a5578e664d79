import * as zlib from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { ZstdFrames } from './zstd-frames.js';

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');

/** Frames as the specification lays them out, byte by byte. */
const FRAMES = {
  'a raw block, single segment': hex('28b52ffd 20 05 290000 68656c6c6f'),
  'a raw block with a window': hex('28b52ffd 00 58 290000 68656c6c6f'),
  'a checksum': hex('28b52ffd 24 05 290000 68656c6c6f 01020304'),
  'a dictionary and a long size': hex('28b52ffd e3 01020304 0500000000000000 290000 68656c6c6f'),
  'a size of two bytes': hex('28b52ffd 60 0500 290000 68656c6c6f'),
  'two blocks, one of them repeated': hex('28b52ffd 00 58 280000 68656c6c6f 530000 61'),
  'nothing in it': hex('28b52ffd 20 00 010000'),
  'something to skip': hex('502a4d18 03000000 aabbcc'),
};

describe('the frames of a zstd stream', () => {
  it.each(Object.entries(FRAMES))('are complete at their end and nowhere before: %s', (_, frame) => {
    for (let end = 0; end <= frame.length; end++) {
      const frames = new ZstdFrames();
      frames.push(frame.subarray(0, end));
      expect(frames.complete).toBe(end === 0 || end === frame.length);
    }
  });

  it('follow one another, in pieces of any size', () => {
    const stream = Buffer.concat(Object.values(FRAMES));
    for (let size = 1; size < 20; size++) {
      const frames = new ZstdFrames();
      for (let at = 0; at < stream.length; at += size) frames.push(stream.subarray(at, at + size));
      expect(frames.complete).toBe(true);
    }
  });

  const { zstdCompressSync } = zlib as { zstdCompressSync?: (data: Buffer) => Buffer };
  it.skipIf(zstdCompressSync === undefined)('are those that the runtime writes', () => {
    const compressed = zstdCompressSync?.(Buffer.from('All work and no play. '.repeat(100_000))) as Buffer;
    for (const end of [compressed.length, compressed.length - 1, compressed.length >> 1]) {
      const frames = new ZstdFrames();
      frames.push(compressed.subarray(0, end));
      expect(frames.complete).toBe(end === compressed.length);
    }
  });
});
