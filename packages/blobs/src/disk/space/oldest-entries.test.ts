import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BlobIndex, IN_FILE } from '../index/blob-index.js';
import { actionResultKey, keyText } from '../index/entry-key.js';
import { Yielder } from '../yielding.js';
import { collectOldest } from './oldest-entries.js';

describe('collectOldest', () => {
  it('finds the oldest of all, in order, however many there are', async () => {
    const entry = fc.record({ use: fc.integer({ min: 0, max: 500 }), inFile: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(
        fc.array(entry, { maxLength: 200 }),
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 0, max: 600 }),
        fc.constantFrom('any', 'file', 'in database'),
        async (entries, most, before, kind) => {
          const index = new BlobIndex({ seed: 1 });
          const all = entries.map(({ use, inFile }, i) => ({
            key: actionResultKey(`entry ${i}`),
            use: use + i / 1024,
            inFile,
          }));
          for (const { key, use, inFile } of all) index.insert(key, 1, use, inFile ? IN_FILE : 0);
          const expected = all
            .filter(({ use, inFile }) => use < before && (kind === 'any' || inFile === (kind === 'file')))
            .sort((a, b) => a.use - b.use)
            .slice(0, most);
          const found = await collectOldest(index, most, before, kind, new Yielder());
          expect(found.map(({ key, lastUse, isFile }) => [keyText(key), lastUse, isFile])).toEqual(
            expected.map(({ key, use, inFile }) => [keyText(key), use, inFile]),
          );
        },
      ),
    );
  });
});
