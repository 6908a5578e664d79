import { InvalidOptionError } from '@granary/resilience';
import { InvalidValueError } from '../errors.js';
import type { Entry } from '../layer.js';
import { entryOf, type Lifetime } from '../layers/lifetime.js';
import type { Serializer } from './serializer.js';

/** A value as it came out of storage, with its lifetime. */
export interface Framed<V> extends Lifetime {
  readonly value: V;
}

/** Of the frame itself, not of the value in it. A byte that neither text nor MessagePack has. */
const FORMAT = 0xc1;
const EXPIRES_AT = 2;
const GONE_AT = 10;

/** Bytes in front of a value: format, the serializer's version, when it stops being fresh, when its grace ends. */
export const FRAME_BYTES = 18;

/** Up to here a value is small: it shares a decoding with others. */
const SMALL_BYTES = 8192;
/** So many at once, which makes the start of a decoding cheap, and bounds what a damaged value costs the others. */
const TOGETHER = 128;

/** Value and lifetime as the bytes that are stored. @throws InvalidValueError for what the serializer can't encode */
export function encodeFrame<V>(serializer: Serializer<V>, value: V, { expiresAt, goneAt }: Lifetime): Buffer {
  const payload = encode(serializer, value);
  const frame = Buffer.allocUnsafe(FRAME_BYTES + payload.byteLength);
  frame[0] = FORMAT;
  frame[1] = serializer.version;
  frame.writeDoubleLE(expiresAt, EXPIRES_AT);
  frame.writeDoubleLE(goneAt, GONE_AT);
  frame.set(payload, FRAME_BYTES);
  return frame;
}

/** A value that can't be bytes says nothing about the layer, whose breaker would else open for all others. */
function encode<V>(serializer: Serializer<V>, value: V): Uint8Array {
  let payload: unknown;
  try {
    payload = serializer.encode(value);
  } catch (error) {
    throw error instanceof InvalidValueError ? error : refused(error);
  }
  if (payload instanceof Uint8Array) return payload;
  throw refused(new TypeError('what it made of the value is no Uint8Array'));
}

const refused = (cause: unknown) => new InvalidValueError("the serializer can't encode the value", { cause });

/**
 * What {@link encodeFrame} made; undefined for anything else, and for what was made with another serializer or is
 * damaged so that the serializer notices.
 *
 * @param frame memory that the value may keep
 */
export function decodeFrame<V>(serializer: Serializer<V>, frame: Buffer): Framed<V> | undefined {
  const value = decodeValue(serializer, frame);
  if (value === undefined) return undefined;
  return { value, expiresAt: frame.readDoubleLE(EXPIRES_AT), goneAt: frame.readDoubleLE(GONE_AT) };
}

/** What {@link decodeFrame} gives, as an entry; undefined too when its grace is over. */
export function decodeEntry<V>(serializer: Serializer<V>, frame: Buffer, now: number): Entry<V> | undefined {
  if (!isAlive(frame, now)) return undefined;
  const value = decodeValue(serializer, frame);
  return value === undefined ? undefined : entryOf(value, frame.readDoubleLE(EXPIRES_AT));
}

/**
 * {@link decodeEntry} of each frame that is there: cheaper where the serializer can decode many at once.
 *
 * @param found is given the values with their positions, in any order
 */
export function decodeEntries<V>(
  serializer: Serializer<V>,
  frames: readonly (Buffer | null)[],
  now: number,
  found: (position: number, value: V, expiresAt: number) => void,
): void {
  const together = new Array<Buffer>(TOGETHER);
  const positions = new Array<number>(TOGETHER);
  let count = 0;
  const decodeTogether = () => {
    const values = decodeValues(serializer, count === TOGETHER ? together : together.slice(0, count));
    for (let i = 0; i < count; i++) {
      const value = values[i];
      if (value === undefined) continue;
      found(positions[i] as number, value, (together[i] as Buffer).readDoubleLE(EXPIRES_AT));
    }
    count = 0;
  };
  for (let i = 0; i < frames.length; i++) {
    const frame = frames[i];
    if (frame === null || frame === undefined) continue;
    if (serializer.decodeAll === undefined || frame.length > SMALL_BYTES) {
      const value = isAlive(frame, now) ? decodeValue(serializer, frame) : undefined;
      if (value !== undefined) found(i, value, frame.readDoubleLE(EXPIRES_AT));
    } else if (isReadable(serializer, frame) && isAlive(frame, now)) {
      together[count] = frame;
      positions[count++] = i;
      if (count === TOGETHER) decodeTogether();
    }
  }
  if (count > 0) decodeTogether();
}

/** A damaged value among them costs the others time, and nothing else. */
function decodeValues<V>(serializer: Serializer<V>, frames: readonly Buffer[]): readonly (V | undefined)[] {
  try {
    const values = serializer.decodeAll?.(frames, FRAME_BYTES);
    if (values?.length === frames.length) return values;
  } catch {
    // Each for itself, then.
  }
  return frames.map((frame) => decodeValue(serializer, frame));
}

/** Whether its grace isn't over. */
function isAlive(frame: Buffer, now: number): boolean {
  return frame.length >= FRAME_BYTES && frame.readDoubleLE(GONE_AT) > now;
}

function isReadable(serializer: Serializer<unknown>, frame: Buffer): boolean {
  return frame.length >= FRAME_BYTES && frame[0] === FORMAT && frame[1] === serializer.version;
}

function decodeValue<V>(serializer: Serializer<V>, frame: Buffer): V | undefined {
  if (!isReadable(serializer, frame)) return undefined;
  try {
    return serializer.decodeFrom
      ? serializer.decodeFrom(frame, FRAME_BYTES)
      : serializer.decode(frame.subarray(FRAME_BYTES));
  } catch {
    return undefined;
  }
}

/** @throws InvalidOptionError when it is no byte */
export function serializerVersion(version: number): number {
  if (Number.isInteger(version) && version >= 0 && version <= 255) return version;
  throw new InvalidOptionError('version', 'a whole number from 0 to 255', version);
}
