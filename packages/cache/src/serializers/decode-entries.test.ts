import fc from 'fast-check';
import { Packr } from 'msgpackr';
import { describe, expect, it, vi } from 'vitest';
import type { Entry } from '../layer.js';
import { entryOf } from '../layers/lifetime.js';
import { decodeEntries, decodeEntry, encodeFrame } from './frame.js';
import { JoinedJson } from './joined-json.js';
import { jsonSerializer } from './json-serializer.js';
import { messagePackSerializer } from './message-pack-serializer.js';
import type { Serializer } from './serializer.js';

const NOW = 1_800_000_000_000;
const json = jsonSerializer<unknown>();
const never = Number.POSITIVE_INFINITY;

/** A frame with these bytes as its value, whatever they are. */
function frameOf(
  text: string | Uint8Array,
  { goneAt = never, expiresAt = never, version = json.version } = {},
): Buffer {
  const asItIs = { version, encode: () => Buffer.from(text), decode: () => undefined };
  return encodeFrame<unknown>(asItIs, undefined, { expiresAt, goneAt });
}

function together(serializer: Serializer<unknown>, frames: readonly (Buffer | null)[]) {
  const entries = new Map<number, Entry<unknown>>();
  decodeEntries(serializer, frames, NOW, (i, value, expiresAt) => entries.set(i, entryOf(value, expiresAt)));
  return entries;
}

function oneByOne(serializer: Serializer<unknown>, frames: readonly (Buffer | null)[]) {
  const entries = new Map<number, Entry<unknown>>();
  for (const [i, frame] of frames.entries()) {
    const entry = frame === null ? undefined : decodeEntry(serializer, frame, NOW);
    if (entry !== undefined) entries.set(i, entry);
  }
  return entries;
}

const valid = fc.jsonValue().map((value) => JSON.stringify(value));
/** Pieces of JSON: put together, they open what others close, and are two values where one should be. */
const piece = fc.constantFrom('[', ']', '{', '}', '"', ',', ':', '1', 'null', '"a"', '"a":', '\\', '\n', ' ', '\u0000');
const hostile = fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join(''));
const cut = fc.tuple(valid, fc.nat()).map(([text, at]) => text.slice(0, at % (text.length + 1)));
const bytes = fc.uint8Array({ maxLength: 12 }).map((inside) => Buffer.from([0x22, ...inside, 0x22]));
const text = fc.oneof({ weight: 4, arbitrary: valid }, hostile, cut, bytes);
const moments = fc.constantFrom(never, NOW + 1, NOW, NOW - 1);
const frame = fc.oneof(
  {
    weight: 9,
    arbitrary: fc.tuple(text, moments).map(([value, goneAt]) => frameOf(value, { goneAt, expiresAt: goneAt })),
  },
  text.map((value) => frameOf(value, { version: 99 })),
  fc.uint8Array({ maxLength: 30 }).map((junk) => Buffer.from(junk)),
  fc.constant(null),
);

/** One that is too many values, and two that are one: their number is right. */
const exchanged = fc
  .tuple(valid, valid, valid)
  .map(([a, b, c]) => [`${a},${b},${c}`, `[${a}`, `${b}]`].map((value) => frameOf(value)));
/** The same of objects without arrays, which are told apart in another way. */
const exchangedObjects = fc
  .tuple(valid, valid, valid)
  .map(([a, b, c]) => [`{"a":${a}},{"b":${b}}`, `{"c":${c}`, '{"d":1}}'].map((value) => frameOf(value)));
const frames = fc
  .array(fc.oneof({ weight: 9, arbitrary: frame.map((one) => [one]) }, exchanged), { maxLength: 300, size: 'max' })
  .map((groups) => groups.flat());

describe('values that are decoded together', () => {
  it('are what each is alone', () => {
    fc.assert(
      fc.property(frames, (all) => {
        expect(together(json, all)).toEqual(oneByOne(json, all));
      }),
    );
  });

  it('are what each is alone, among few that are meant to deceive', () => {
    const few = fc.array(
      fc.oneof(
        exchanged,
        valid.map((value) => [frameOf(value)]),
      ),
      { maxLength: 6 },
    );
    fc.assert(
      fc.property(few, (all) => {
        expect(together(json, all.flat())).toEqual(oneByOne(json, all.flat()));
      }),
    );
  });

  it('are what each is alone, where all are valid', () => {
    fc.assert(
      fc.property(fc.array(valid, { minLength: 1, maxLength: 200 }), (texts) => {
        const frames = texts.map((value) => frameOf(value));
        expect(together(json, frames)).toEqual(oneByOne(json, frames));
        expect(together(json, frames).size).toBe(texts.length);
      }),
    );
  });

  it('are what each is alone, where they look like objects', () => {
    const member = fc.constantFrom(
      '"a":1',
      '"b":"x',
      'y"',
      '"c":{"d":2}',
      '"e":"\\',
      '"',
      '{',
      '}',
      ',',
      ']',
      '\n',
      '},{',
    );
    const inside = fc.array(member, { maxLength: 5 }).map((members) => members.join(''));
    const object = fc.oneof(
      { weight: 3, arbitrary: inside.map((members) => `{${members}}`) },
      inside.map((members) => `{${members}`),
      fc
        .dictionary(fc.string(), fc.oneof(fc.string(), fc.integer(), fc.constant(null)))
        .map((it) => JSON.stringify(it)),
    );
    const few = fc.array(fc.oneof({ weight: 4, arbitrary: object.map((one) => [frameOf(one)]) }, exchangedObjects), {
      maxLength: 6,
    });
    fc.assert(
      fc.property(few, (all) => {
        expect(together(json, all.flat())).toEqual(oneByOne(json, all.flat()));
      }),
      { numRuns: 500 },
    );
  });

  it('never become those of their neighbours, where one is two and two are one', () => {
    for (const three of [
      ['1,2', '[3', '4]'],
      ['1,2,3', '[4', '5]'],
      ['1,"AAAAAAAAAAAAAA",2', '{"a":"', '"}'],
      ['{"a":1},{"b":2}', '{"c":"', '{"}'],
      ['{"a":1},{"b":2}', '{"c":{"d":1}', '{"e":2}}'],
      ['{"a":1},{"b":2}', '{"c":"\\', '{"}'],
      ['{"a":1},{"b":2}', '{"c":[{"d":1}', '{"e":2}]}'],
      ['{"a":1}],[{"b":2}', '{"c":1', '{'],
    ]) {
      const found = together(
        json,
        [...three, '{"six":6}'].map((value) => frameOf(value)),
      );
      expect([...found]).toEqual([[3, { value: { six: 6 }, expiresAt: undefined }]]);
    }
  });

  it('keep their places, whatever is missing between them, and their lifetimes', () => {
    const frames = Array.from({ length: 1000 }, (_, i) =>
      i % 3 === 0 ? null : frameOf(JSON.stringify({ i, ünï: '🗄' }), { expiresAt: i % 2 ? NOW + i : never }),
    );
    frames[100] = frameOf('{"broken":');
    frames[500] = frameOf(JSON.stringify('large '.repeat(5000)));
    frames[502] = frameOf(JSON.stringify('large '.repeat(5000)), { expiresAt: NOW - 2, goneAt: NOW - 1 });
    const found = together(json, frames);
    expect(found).toEqual(oneByOne(json, frames));
    expect(found.size).toBe(664);
    expect(found.get(7)).toEqual({ value: { i: 7, ünï: '🗄' }, expiresAt: NOW + 7 });
  });

  it('are decoded one by one where the serializer knows nothing better, or knows it wrongly', () => {
    const packed = messagePackSerializer<unknown>(new Packr());
    const frames = [1, 'two', { three: 3 }].map((value) =>
      encodeFrame(packed, value, { expiresAt: never, goneAt: never }),
    );
    expect([...together(packed, frames).values()].map(({ value }) => value)).toEqual([1, 'two', { three: 3 }]);
    const over = encodeFrame(packed, 4, { expiresAt: NOW - 2, goneAt: NOW });
    expect([...together(packed, [...frames, over]).keys()]).toEqual([0, 1, 2]);
    const forgetful: Serializer<unknown> = { ...json, decodeAll: () => ['one too few'] };
    const jsonFrames = [frameOf('1'), frameOf('2')];
    expect(together(forgetful, jsonFrames)).toEqual(oneByOne(json, jsonFrames));
  });
});

describe('joined JSON', () => {
  const parse = (texts: string[], start: number) =>
    new JoinedJson().parse(
      texts.map((value) => Buffer.from('x'.repeat(start) + value)),
      start,
    );

  it.each([0, 1, 17, 18, 19, 100])('leaves out %i bytes in front of each text', (start) => {
    expect(parse(['1', '"zwei"', '[]', ' {"a": "ü"}\n'], start)).toEqual([1, 'zwei', [], { a: 'ü' }]);
    expect(parse(['{"a": "ü"}', '{}', '{"b": {"c": 1}}'], start)).toEqual([{ a: 'ü' }, {}, { b: { c: 1 } }]);
    expect(parse([], start)).toEqual([]);
  });

  it.each([['1,2'], ['1', '[2', '3]'], ['1', ''], [']', '['], ['"', '"'], ['1', '2,3', '[', ']']])(
    'refuses all of them where one is not one value: %j %j',
    (...texts) => {
      expect(() => parse(texts, 18)).toThrow(SyntaxError);
    },
  );

  it('has marks that nobody can know beforehand', () => {
    const parsed = vi.spyOn(JSON, 'parse');
    try {
      for (let i = 0; i < 100; i++) new JoinedJson().parse([Buffer.from('1')], 0);
      const marks = new Set(parsed.mock.calls.map(([text]) => /^\["([\w-]{14})",1\]$/.exec(text)?.[1]));
      expect(marks.size).toBe(100);
      expect(marks).not.toContain(undefined);
    } finally {
      parsed.mockRestore();
    }
  });
});
