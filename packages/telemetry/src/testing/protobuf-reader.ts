/** One field of a message: a number for varints, bytes for everything else. */
export interface ProtobufField {
  readonly number: number;
  readonly value: bigint | Buffer;
}

const VARINT = 0;
const FIXED_64 = 1;
const BYTES = 2;
const FIXED_32 = 5;

/**
 * The fields of a message in Protocol Buffers' binary form, in their order.
 *
 * @throws RangeError when the bytes are no message
 */
export function* protobufFields(message: Buffer): Generator<ProtobufField> {
  let position = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = message.readUInt8(position++);
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw new RangeError('a varint is longer than ten bytes');
  };
  const bytes = (length: number): Buffer => {
    if (position + length > message.length) throw new RangeError('a field is longer than its message');
    position += length;
    return message.subarray(position - length, position);
  };
  while (position < message.length) {
    const tag = Number(varint());
    const number = tag >>> 3;
    const type = tag & 7;
    if (type === VARINT) yield { number, value: varint() };
    else if (type === FIXED_64) yield { number, value: bytes(8) };
    else if (type === BYTES) yield { number, value: bytes(Number(varint())) };
    else if (type === FIXED_32) yield { number, value: bytes(4) };
    else throw new RangeError(`a field has the wire type ${type}`);
  }
}
