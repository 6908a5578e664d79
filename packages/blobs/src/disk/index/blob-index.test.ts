import { randomFillSync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Digest } from '../../digest.js';
import { DIGEST_FUNCTIONS } from '../../digest-function.js';
import { BlobIndex, DIRTY, IN_FILE, VERIFIED } from './blob-index.js';
import { ACTION_RESULT, actionResultKey, blobKey, type EntryKey, keyText, parseKey } from './entry-key.js';

/** Few different keys, of every kind, some of which share their first words and so their place in the table. */
const keys: EntryKey[] = [
  ...DIGEST_FUNCTIONS.flatMap((fn) => [1, 2, 3].map((i) => blobKey(Digest.of(fn, Buffer.from(`blob ${i}`))))),
  ...Array.from({ length: 30 }, (_, i) => ({ kind: 1, words: Int32Array.of(7, 8, 9, 0, 0, 0, 0, i), at: 0 })),
  ...[1, 2].map((i) => ({ kind: ACTION_RESULT, words: Int32Array.of(7, 8, 9, 0, 0, 0, 0, i), at: 0 })),
  ...Array.from({ length: 60 }, (_, i) => actionResultKey(`key ${i}`)),
];

const step = fc.record({
  what: fc.constantFrom('insert', 'insert', 'insert', 'remove', 'touch', 'verify', 'clean'),
  key: fc.nat({ max: keys.length - 1 }),
  size: fc.oneof(fc.nat(), fc.maxSafeNat()),
  use: fc.double({ min: 0, max: 2 ** 42, noNaN: true }),
  flags: fc.nat({ max: 7 }),
});

describe('BlobIndex', () => {
  it('does what a map does, through collisions, growth and removals', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), fc.nat(), (steps, seed) => {
        const index = new BlobIndex({ seed });
        const model = new Map<string, { size: number; use: number; flags: number }>();
        for (const { what, key: number, size, use, flags } of steps) {
          const key = keys[number]!;
          const text = keyText(key);
          const handle = index.find(key.kind, key.words, key.at);
          const known = model.get(text);
          expect(handle !== -1).toBe(known !== undefined);
          if (what === 'insert') {
            index.insert(key, size, use, flags);
            model.set(text, { size, use, flags });
          } else if (!known) continue;
          else if (what === 'remove') {
            index.remove(handle);
            model.delete(text);
          } else if (what === 'touch') {
            index.touch(handle, use);
            model.set(text, { ...known, use, flags: known.flags | DIRTY });
          } else if (what === 'verify') {
            index.setFlag(handle, VERIFIED);
            model.set(text, { ...known, flags: known.flags | VERIFIED });
          } else {
            index.clearFlag(handle, DIRTY);
            model.set(text, { ...known, flags: known.flags & ~DIRTY });
          }
        }
        expect(contentsOf(index)).toEqual(new Map([...model].sort(([a], [b]) => (a < b ? -1 : 1))));
        expect(index.count).toBe(model.size);
        expect(index.dirtyCount).toBe([...model.values()].filter(({ flags }) => flags & DIRTY).length);
      }),
    );
  });

  it('finds everything again whatever the order of removals', () => {
    const index = new BlobIndex({ seed: 1 });
    const many = Array.from({ length: 20_000 }, (_, i) => actionResultKey(`entry ${i}`));
    for (const [i, key] of many.entries()) index.insert(key, i, i, IN_FILE);
    for (const [i, key] of many.entries()) if (i % 3 !== 0) index.remove(index.find(key.kind, key.words, key.at));
    for (const [i, key] of many.entries()) {
      const handle = index.find(key.kind, key.words, key.at);
      expect(handle === -1).toBe(i % 3 !== 0);
      if (handle !== -1) expect(index.size(handle)).toBe(i);
    }
  });

  it('takes less than 100 bytes an entry, while it grows and when it knows beforehand', () => {
    const entries = 100_000;
    for (const expected of [0, entries]) {
      const index = new BlobIndex({ expected });
      let most = 0;
      const words = new Int32Array(8);
      for (let i = 0; i < entries; i++) {
        randomFillSync(words);
        index.insert({ kind: 1, words, at: 0 }, i, i, 0);
        if (i > entries / 2 && i % 1000 === 0) most = Math.max(most, index.memoryBytes / index.count);
      }
      if (expected === 0) expect(most).toBeLessThan(100);
      expect(index.memoryBytes / index.count).toBeLessThan(100);
    }
  });

  it('samples entries that are there, and none when it is empty', () => {
    const index = new BlobIndex();
    expect(index.sample(0.5)).toBeUndefined();
    for (const key of keys) index.insert(key, 1, 1, 0);
    const seen = new Set<string>();
    for (let i = 0; i < 20_000; i++) {
      const handle = index.sample(i / 20_000);
      if (handle !== undefined) seen.add(JSON.stringify(index.key(handle)));
    }
    expect(seen.size).toBeGreaterThan(keys.length / 2);
  });
});

describe('a key', () => {
  it('comes back from its bytes, and other bytes are no key', () => {
    for (const key of keys) {
      const bytes = Buffer.from(keyText(key), 'latin1');
      expect(keyText(parseKey(bytes)!)).toBe(keyText(key));
      expect(parseKey(bytes.subarray(1))).toBeUndefined();
    }
    expect(parseKey(Buffer.alloc(0))).toBeUndefined();
    expect(parseKey(Buffer.alloc(33))).toBeUndefined();
    expect(parseKey(Buffer.alloc(33, 8))).toBeUndefined();
  });
});

/** Everything in the table, in the order of keys; of long hashes only what the table has. */
function contentsOf(index: BlobIndex): Map<string, { size: number; use: number; flags: number }> {
  const found: [string, { size: number; use: number; flags: number }][] = [];
  const whole = new Map(keys.map((key) => [prefixOf(key), keyText(key)]));
  for (let segment = 0; segment < index.segmentCount; segment++)
    index.scan(segment, (handle) => {
      const flags = [VERIFIED, IN_FILE, DIRTY].reduce((sum, flag) => sum + (index.hasFlag(handle, flag) ? flag : 0), 0);
      const value = { size: index.size(handle), use: index.lastUse(handle), flags };
      found.push([whole.get(prefixOf(index.key(handle)))!, value]);
    });
  return new Map(found.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function prefixOf({ kind, words, at }: EntryKey): string {
  return `${kind}/${words.slice(at, at + 8).join()}`;
}
