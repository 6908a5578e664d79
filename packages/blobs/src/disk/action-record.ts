import { hashBytes } from '../digest-function.js';

const CHECKSUM_BYTES = 16;
const HEADER_BYTES = CHECKSUM_BYTES + 4;

/** An action result as it lies in the database. */
export interface ActionRecord {
  readonly key: string;
  readonly value: Buffer;
}

/** A checksum, the length of the key, the key's text, the value. */
export function encodeActionRecord(key: string, value: Uint8Array): Buffer {
  const text = Buffer.from(key);
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + text.length + value.length);
  bytes.writeUInt32LE(text.length, CHECKSUM_BYTES);
  bytes.set(text, HEADER_BYTES);
  bytes.set(value, HEADER_BYTES + text.length);
  bytes.set(checksum(bytes), 0);
  return bytes;
}

/** @returns undefined when the bytes are too short to be a record */
export function decodeActionRecord(bytes: Buffer): ActionRecord | undefined {
  if (bytes.length < HEADER_BYTES) return undefined;
  const keyEnd = HEADER_BYTES + bytes.readUInt32LE(CHECKSUM_BYTES);
  if (keyEnd > bytes.length) return undefined;
  return { key: bytes.toString('utf8', HEADER_BYTES, keyEnd), value: bytes.subarray(keyEnd) };
}

/** Whether the record is as it was written. */
export function isIntact(bytes: Buffer): boolean {
  return bytes.length >= HEADER_BYTES && checksum(bytes).equals(bytes.subarray(0, CHECKSUM_BYTES));
}

/** Size of the record of a key and a value. */
export function actionRecordBytes(key: string, valueBytes: number): number {
  return HEADER_BYTES + Buffer.byteLength(key) + valueBytes;
}

function checksum(bytes: Buffer): Buffer {
  return hashBytes('sha256', bytes.subarray(CHECKSUM_BYTES)).subarray(0, CHECKSUM_BYTES);
}
