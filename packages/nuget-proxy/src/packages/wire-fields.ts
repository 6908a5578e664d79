/**
 * As much of Protocol Buffers' wire format as an action result with one file needs: numbers, and fields with a length.
 */

const NUMBER = 0;
const FIXED_64 = 1;
const BYTES = 2;
const FIXED_32 = 5;

export function numberField(field: number, value: number): Buffer {
  return Buffer.from([...varint(field * 8 + NUMBER), ...varint(value)]);
}

export function bytesField(field: number, value: string | Uint8Array): Buffer {
  const bytes = typeof value === 'string' ? Buffer.from(value) : value;
  return Buffer.concat([Buffer.from([...varint(field * 8 + BYTES), ...varint(bytes.length)]), bytes]);
}

/**
 * The fields of a message by their number; of several with one number the last, and of numbers with a fixed length none.
 *
 * @throws RangeError when it is no message
 */
export function fieldsOf(message: Buffer): Map<number, Buffer | number> {
  const fields = new Map<number, Buffer | number>();
  const at = { offset: 0 };
  while (at.offset < message.length) {
    const tag = readVarint(message, at);
    const field = Math.floor(tag / 8);
    const type = tag % 8;
    if (field === 0) throw new RangeError('a field has no number');
    if (type === NUMBER) fields.set(field, readVarint(message, at));
    else if (type === BYTES) fields.set(field, take(message, at, readVarint(message, at)));
    else if (type === FIXED_64) take(message, at, 8);
    else if (type === FIXED_32) take(message, at, 4);
    else throw new RangeError(`fields of type ${type} are unknown`);
  }
  return fields;
}

/** A number, which is not written when it is 0. */
export function readNumber(field: Buffer | number | undefined): number {
  if (field === undefined || typeof field === 'number') return field ?? 0;
  throw new RangeError('a field is no number');
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  bytes.push(rest);
  return bytes;
}

/** Numbers beyond 2^53 lose their last digits, and none that matters here is that large. */
function readVarint(message: Buffer, at: { offset: number }): number {
  let value = 0;
  for (let factor = 1, bytes = 0; bytes < 10; factor *= 128, bytes++) {
    const byte = message[at.offset++];
    if (byte === undefined) break;
    value += (byte & 0x7f) * factor;
    if (byte < 0x80) return value;
  }
  throw new RangeError('a number has no end');
}

function take(message: Buffer, at: { offset: number }, length: number): Buffer {
  const end = at.offset + length;
  if (end > message.length) throw new RangeError('a field is longer than the message');
  const bytes = message.subarray(at.offset, end);
  at.offset = end;
  return bytes;
}
