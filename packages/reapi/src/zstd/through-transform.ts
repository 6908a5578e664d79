import { finished, type Transform } from 'node:stream';

/**
 * Sends chunks through a transform stream and gives out what comes back. A chunk is written when the one before has
 * been used up, so that its memory may be used again; the stream is destroyed when the consumer stops early.
 */
export async function* throughTransform(chunks: AsyncIterable<Uint8Array>, stream: Transform): AsyncGenerator<Buffer> {
  let failure: unknown;
  const closed = new Promise<void>((resolve) => {
    finished(stream, () => resolve());
    stream.once('close', resolve);
  });
  const feed = async () => {
    for await (const chunk of chunks) {
      // A destroyed stream may forget the callback of a write that is under way.
      await Promise.race([new Promise<void>((resolve) => stream.write(chunk, () => resolve())), closed]);
      if (stream.destroyed) return;
    }
    stream.end();
  };
  const fed = feed().catch((error: unknown) => {
    failure = error;
    stream.destroy();
  });
  try {
    for await (const chunk of stream) yield chunk as Buffer;
  } catch (error) {
    throw failure ?? error;
  } finally {
    stream.destroy();
    // Not waited for: a source that hangs must not hold up the one that gives up on it.
    void fed;
  }
  if (failure) throw failure;
}
