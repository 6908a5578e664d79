import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { quiet, until } from '../testing/store-under-test.js';
import { BrokenStream, eachChunk } from './each-chunk.js';

const none = () => {};

function streamOf(...chunks: string[]): Readable {
  const stream = new Readable({ read() {} });
  for (const chunk of chunks) stream.push(Buffer.from(chunk));
  return stream;
}

describe('the chunks of a stream', () => {
  it('are those that it was given, although they came together', async () => {
    const stream = streamOf('a', 'bc', 'd');
    stream.push(null);
    const taken: string[] = [];
    await eachChunk(stream, (chunk) => void taken.push(String(chunk)), none);
    expect(taken).toEqual(['a', 'bc', 'd']);
  });

  it('come when the one before was taken, and the end comes after all', async () => {
    const stream = streamOf('a', 'b');
    stream.push(null);
    const taken: string[] = [];
    let go = none;
    let waits = 0;
    const reading = eachChunk(
      stream,
      (chunk) => {
        taken.push(String(chunk));
        return new Promise<void>((resolve) => {
          go = resolve;
        });
      },
      () => void waits++,
    );
    let isOver = false;
    void reading.then(() => {
      isOver = true;
    });
    await until(() => taken.length === 1);
    await quiet();
    expect(taken).toEqual(['a']);
    go();
    await until(() => taken.length === 2);
    await quiet();
    expect(isOver).toBe(false);
    go();
    await reading;
    expect(waits).toBe(2);
  });

  it('end with what was thrown while one was taken, at once or later', async () => {
    for (const take of [
      () => {
        throw new Error('wrong');
      },
      () => Promise.reject(new Error('wrong')),
    ]) {
      const stream = streamOf('a', 'b');
      let count = 0;
      const counted = () => {
        count++;
        return take();
      };
      await expect(eachChunk(stream, counted, none)).rejects.toThrow('wrong');
      await quiet();
      expect([count, stream.listenerCount('data')]).toEqual([1, 0]);
      stream.destroy();
    }
  });

  it('break off with a stream that fails, that is closed early, or was before', async () => {
    const failing = streamOf('a');
    failing.on('error', none);
    const reading = eachChunk(failing, () => undefined, none);
    failing.destroy(new Error('reset'));
    await expect(reading).rejects.toMatchObject({ name: 'BrokenStream', cause: { message: 'reset' } });
    await expect(eachChunk(failing, () => undefined, none)).rejects.toBeInstanceOf(BrokenStream);
    const closed = streamOf('a');
    const other = eachChunk(closed, () => undefined, none);
    closed.destroy();
    await expect(other).rejects.toMatchObject({ cause: { code: 'ERR_STREAM_PREMATURE_CLOSE' } });
  });
});
