import type { RandomAccessSource } from '@granary/nuget';

const END_RECORD = Buffer.from('PK\x05\x06', 'latin1');
const END_RECORD_BYTES = 22;
const COMMENT_LENGTH_AT = 20;
const MAX_COMMENT_BYTES = 0xffff;

/** Whether there is the record that ZIP archives end with, and nothing behind it: who was cut off has none. */
export async function hasArchiveEnd(source: RandomAccessSource): Promise<boolean> {
  const start = Math.max(0, source.size - END_RECORD_BYTES - MAX_COMMENT_BYTES);
  const tail = await source.read(start, source.size - start);
  for (let at = tail.length - END_RECORD_BYTES; at >= 0; at--) {
    at = tail.lastIndexOf(END_RECORD, at);
    if (at < 0) return false;
    if (at + END_RECORD_BYTES + tail.readUInt16LE(at + COMMENT_LENGTH_AT) === tail.length) return true;
  }
  return false;
}
