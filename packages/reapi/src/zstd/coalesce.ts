/**
 * Joins small chunks into larger ones, because each one costs a trip to another thread. A chunk is good until the
 * next one is asked for: their memory is used again.
 */
export async function* coalesce(source: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Buffer> {
  let buffer: Buffer | undefined;
  let filled = 0;
  for await (const chunk of source) {
    let from = 0;
    while (from < chunk.length) {
      if (filled === 0 && chunk.length - from >= bytes) {
        yield Buffer.from(chunk.buffer, chunk.byteOffset + from, bytes);
        from += bytes;
        continue;
      }
      buffer ??= Buffer.allocUnsafe(bytes);
      const count = Math.min(bytes - filled, chunk.length - from);
      buffer.set(chunk.subarray(from, from + count), filled);
      filled += count;
      from += count;
      if (filled === bytes) {
        yield buffer;
        filled = 0;
      }
    }
  }
  if (buffer && filled > 0) yield buffer.subarray(0, filled);
}
