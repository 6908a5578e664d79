import { finished, type Readable } from 'node:stream';

/** What a stream failed with, or that it ended too early: the cause says it. */
export class BrokenStream extends Error {
  override readonly name = 'BrokenStream';
}

/**
 * Hands over the chunks of a stream as they are, where its iterator would copy those that came together into one. A chunk
 * that is being waited for is the last one until then.
 *
 * @param take What it throws or rejects with ends this; the stream is left as it is
 * @param resumed Told when a wait has ended
 * @throws BrokenStream when the stream fails, or is closed before its end
 */
export function eachChunk(
  stream: Readable,
  take: (chunk: Buffer) => Promise<void> | undefined,
  resumed: () => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let taking: Promise<void> | undefined;
    const stop = () => {
      stream.pause();
      stream.off('data', onData);
      forget();
    };
    const fail = (error: unknown) => {
      stop();
      reject(error);
    };
    const onData = (chunk: Buffer) => {
      try {
        taking = take(chunk);
      } catch (error) {
        fail(error);
        return;
      }
      if (taking === undefined) return;
      stream.pause();
      taking.then(() => {
        resumed();
        stream.resume();
      }, fail);
    };
    const forget = finished(stream, { writable: false }, (error) => {
      stop();
      if (error) reject(new BrokenStream(error.message, { cause: error }));
      else (taking ?? Promise.resolve()).then(resolve, reject);
    });
    stream.on('data', onData);
  });
}
