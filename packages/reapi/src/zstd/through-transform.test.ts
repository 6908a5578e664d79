import { randomBytes } from 'node:crypto';
import { Transform } from 'node:stream';
import { createGunzip, createGzip, gunzipSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { chunksOf, collect } from './testing/chunks.js';
import { throughTransform } from './through-transform.js';

describe('a source that goes through a transform stream', () => {
  it('may use the memory of its chunks again', async () => {
    const bytes = randomBytes(500_000);
    const packed = await collect(throughTransform(chunksOf(bytes, 10_000), createGzip()));
    expect(gunzipSync(packed).equals(bytes)).toBe(true);
    expect((await collect(throughTransform(chunksOf(packed, 999), createGunzip()))).equals(bytes)).toBe(true);
  });

  it('may be empty', async () => {
    expect(gunzipSync(await collect(throughTransform(chunksOf(Buffer.alloc(0), 1), createGzip())))).toHaveLength(0);
  });

  it('fails as the source or the stream does, and destroys the stream', async () => {
    const gzip = createGzip();
    const failing = async function* () {
      yield randomBytes(300_000);
      throw new RangeError('gone');
    };
    await expect(collect(throughTransform(failing(), gzip))).rejects.toThrow(new RangeError('gone'));
    expect(gzip.destroyed).toBe(true);
    await expect(collect(throughTransform(chunksOf(randomBytes(100_000), 1000), createGunzip()))).rejects.toThrow(
      /incorrect header/,
    );
  });

  it('is closed when nobody wants more, while one of its chunks is still under way', async () => {
    let closed = () => {};
    const isClosed = new Promise<void>((resolve) => {
      closed = resolve;
    });
    const endless = async function* () {
      try {
        for (;;) yield randomBytes(100_000);
      } finally {
        closed();
      }
    };
    const stuck = new Transform({
      transform(chunk, _encoding, _done) {
        this.push(chunk); // and never asks for the next one
      },
    });
    for await (const _chunk of throughTransform(endless(), stuck)) break;
    await isClosed;
    expect(stuck.destroyed).toBe(true);
  });

  it('is left behind when it hangs, since what came was enough', async () => {
    const hanging = async function* () {
      yield gzipSync('hello');
      await new Promise(() => {});
    };
    for await (const chunk of throughTransform(hanging(), createGunzip())) {
      expect(`${chunk}`).toBe('hello');
      break;
    }
  });
});
