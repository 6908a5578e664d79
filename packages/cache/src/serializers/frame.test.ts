import fc from 'fast-check';
import { Packr } from 'msgpackr';
import { describe, expect, it } from 'vitest';
import { InvalidValueError } from '../errors.js';
import { bytesSerializer } from './bytes-serializer.js';
import { decodeFrame, encodeFrame } from './frame.js';
import { jsonSerializer } from './json-serializer.js';
import { messagePackSerializer } from './message-pack-serializer.js';
import type { Serializer } from './serializer.js';

const LIFETIME = { expiresAt: 1_700_000_000_000.5, goneAt: Number.POSITIVE_INFINITY };
const roundTrip = <V>(serializer: Serializer<V>, value: V) =>
  decodeFrame(serializer, encodeFrame(serializer, value, LIFETIME));

const serializers: [string, Serializer<unknown>][] = [
  ['JSON', jsonSerializer()],
  ['MessagePack', messagePackSerializer(new Packr())],
  ['bytes', bytesSerializer() as Serializer<unknown>],
];

describe('a frame', () => {
  it('gives back value and lifetime', () => {
    expect(roundTrip(jsonSerializer(), { a: [1, null] })).toEqual({ value: { a: [1, null] }, ...LIFETIME });
  });

  it('of JSON gives back whatever JSON can say', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const plain = JSON.parse(JSON.stringify(value)) as unknown;
        expect(roundTrip(jsonSerializer(), value)?.value).toEqual(plain);
      }),
    );
  });

  it('of MessagePack gives back bytes, dates and maps, too', () => {
    const serializer = messagePackSerializer(new Packr());
    const value = { bytes: Buffer.of(1, 2), date: new Date(0), map: new Map([[1, 'one']]), nothing: null };
    expect(roundTrip<unknown>(serializer, value)?.value).toEqual(value);
    fc.assert(
      fc.property(fc.jsonValue(), (json) => {
        const text = JSON.stringify(json);
        // The codec gives this key another name, so that nobody can change prototypes with it.
        fc.pre(!text.includes('__proto__'));
        // Without −0, which JSON doesn't have.
        const plain = JSON.parse(text) as unknown;
        expect(roundTrip(serializer, plain)?.value).toEqual(plain);
      }),
    );
  });

  it('of bytes gives back the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (value) => {
        expect(Buffer.from(roundTrip(bytesSerializer(), value)?.value ?? [])).toEqual(Buffer.from(value));
      }),
    );
  });

  it('keeps lone surrogates', () => {
    expect(roundTrip<unknown>(jsonSerializer(), '\ud83d')?.value).toBe('\ud83d');
  });

  it.each(serializers)('that is garbage is a miss, for %s', (_, serializer) => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        const ours = Buffer.from(bytes);
        if (ours[0] === 0xc1 && ours[1] === serializer.version) return;
        expect(decodeFrame(serializer, ours)).toBeUndefined();
      }),
    );
  });

  it.each(serializers)('that is damaged makes nobody fail, for %s', (_, serializer) => {
    const frame = encodeFrame(serializer, Buffer.from('[1,2,{"three":3}]'), LIFETIME);
    fc.assert(
      fc.property(fc.nat(frame.length), fc.nat(frame.length - 1), fc.nat(255), (length, at, byte) => {
        const damaged = Buffer.from(frame);
        damaged[at] = byte;
        decodeFrame(serializer, damaged.subarray(0, length));
      }),
    );
  });

  it('of another serializer or version is a miss', () => {
    for (const [written, writer] of serializers)
      for (const [read, reader] of serializers) {
        const found = decodeFrame(reader, encodeFrame(writer, Buffer.from('1'), LIFETIME));
        expect(found !== undefined, `${written} read as ${read}`).toBe(written === read);
      }
    const old = encodeFrame(jsonSerializer({ version: 16 }), 1, LIFETIME);
    expect(decodeFrame(jsonSerializer({ version: 17 }), old)).toBeUndefined();
    expect(decodeFrame(jsonSerializer({ version: 16 }), old)?.value).toBe(1);
  });

  it('refuses what its format has no word for, and versions that are no byte', () => {
    const circle: unknown[] = [];
    circle.push(circle);
    for (const value of [() => {}, 1n, circle]) {
      expect(() => encodeFrame<unknown>(jsonSerializer(), value, LIFETIME)).toThrow(InvalidValueError);
    }
    expect(() => encodeFrame(bytesSerializer(), 'text' as never, LIFETIME)).toThrow(InvalidValueError);
    const why = expect.objectContaining({
      cause: expect.objectContaining({ message: expect.stringMatching(/circular/i) }),
    });
    expect(() => encodeFrame<unknown>(jsonSerializer(), circle, LIFETIME)).toThrow(why);
    const own = new InvalidValueError('too large');
    const encode = () => {
      throw own;
    };
    expect(() => encodeFrame({ ...jsonSerializer(), encode }, 1, LIFETIME)).toThrow(own);
    for (const version of [-1, 256, 1.5]) expect(() => jsonSerializer({ version })).toThrow('version');
  });
});
