import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Digest } from '../../digest.js';
import { DIGEST_FUNCTIONS } from '../../digest-function.js';
import { actionResultKey, blobKey, keyBytes, keyText, MOST_VALUE_BYTES } from './entry-key.js';
import { encodeRecord } from './record.js';
import { EntryDecoder, encodeEntries } from './record-stream.js';

const digests = fc
  .tuple(fc.constantFrom(...DIGEST_FUNCTIONS), fc.uint8Array({ maxLength: 8 }))
  .map(([fn, bytes]) => blobKey(Digest.of(fn, Buffer.from(bytes))));
const keys = fc.oneof(digests, fc.string().map(actionResultKey));
const times = {
  lastUse: fc.double({ min: 0, max: 2 ** 42, noNaN: true }),
  mtimeMs: fc.double({ min: 0, max: 2 ** 42, noNaN: true }),
};
const records = fc.oneof(
  fc.record({ place: fc.constant('file' as const), size: fc.maxSafeNat(), ...times }),
  fc.record({
    place: fc.constantFrom('value' as const, 'action' as const),
    size: fc.nat({ max: MOST_VALUE_BYTES }),
    ...times,
  }),
);
const entries = fc.array(fc.tuple(keys, records), { maxLength: 50 });
const raw = entries.map((list) =>
  list.map(([key, record]) => ({ key: keyBytes(key) as Uint8Array, value: encodeRecord(record) })),
);

function decoded(chunks: Iterable<Buffer>) {
  const decoder = new EntryDecoder();
  const seen: string[] = [];
  for (const chunk of chunks)
    decoder.decode(chunk, (key, record) => seen.push(keyText(key) + encodeRecord(record).toString('hex')));
  return { seen, malformed: decoder.malformed };
}

const texts = (list: readonly { key: Uint8Array; value: Buffer }[]) =>
  list.map(({ key, value }) => Buffer.from(key).toString('latin1') + value.toString('hex'));

describe('a stream of records', () => {
  it('gives back what went in, wherever it was cut', () => {
    fc.assert(
      fc.property(raw, fc.array(fc.nat({ max: 5000 })), (list, cuts) => {
        const whole = Buffer.concat([...encodeEntries(list)]);
        const borders = [0, ...cuts.filter((cut) => cut < whole.length).sort((a, b) => a - b), whole.length];
        const chunks = borders.slice(1).map((end, i) => whole.subarray(borders[i], end));
        expect(decoded(chunks)).toEqual({ seen: texts(list), malformed: 0 });
      }),
    );
  });

  it('comes in chunks, however many records there are', () => {
    const list = Array.from({ length: 5000 }, (_, i) => ({
      key: keyBytes(actionResultKey(String(i))) as Uint8Array,
      value: encodeRecord({ place: 'action', size: i, lastUse: i, mtimeMs: 0 }),
    }));
    const chunks = [...encodeEntries(list)];
    expect(Math.max(...chunks.map(({ length }) => length))).toBeLessThanOrEqual(64 * 1024);
    expect(decoded(chunks)).toEqual({ seen: texts(list), malformed: 0 });
  });

  it('leaves out what is malformed, and counts it', () => {
    const key: Uint8Array = keyBytes(actionResultKey('a'));
    const value = encodeRecord({ place: 'action', size: 1, lastUse: 2, mtimeMs: 0 });
    const bad = [
      { key: key.subarray(1), value },
      { key, value: value.subarray(1) },
      { key: Buffer.alloc(0), value: Buffer.alloc(0) },
    ];
    expect(decoded(encodeEntries([...bad, { key, value }]))).toEqual({ seen: texts([{ key, value }]), malformed: 3 });
  });

  it('has no end when it was cut off', () => {
    fc.assert(
      fc.property(raw, fc.nat({ max: 5000 }), (list, length) => {
        const whole = Buffer.concat([...encodeEntries(list)]);
        fc.pre(length < whole.length);
        expect(decoded([whole.subarray(0, length)]).malformed).toBeUndefined();
      }),
    );
  });

  it('refuses other bytes, or waits for more of them', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), (bytes) => {
        fc.pre((bytes[0] as number) > 7);
        expect(() => decoded([Buffer.from(bytes), Buffer.alloc(300, 255)])).toThrow('what came is no record');
      }),
    );
  });
});
