import type { TagIndex } from '../invalidation/tags.js';
import type { MaybePromise } from '../layer.js';
import type { TestRunner } from './test-runner.js';

/** An index that the suite uses for one test and then gives back. */
export interface TagIndexUnderTest {
  readonly index: TagIndex;
  /** Ends what the index leaves behind; the suite has closed the index. */
  readonly dispose?: () => MaybePromise<void>;
}

/**
 * What every {@link TagIndex} keeps, as tests: call it in a test file of the implementation.
 *
 * @param makeIndex a new, empty index with room for at least 5000 pairs of a key and a tag
 */
export function tagIndexContract(
  { describe, it, expect }: TestRunner,
  name: string,
  makeIndex: () => MaybePromise<TagIndexUnderTest>,
): void {
  const withIndex = (body: (index: TagIndex) => Promise<void>) => async () => {
    const { index, dispose } = await makeIndex();
    try {
      await body(index);
    } finally {
      await index.close();
      await dispose?.();
    }
  };

  describe(`${name} keeps the contract of a tag index`, () => {
    it(
      'gives the keys of a tag',
      withIndex(async (index) => {
        expect(await index.add(['a', 'b'], ['red', 'round'])).toEqual([]);
        await index.add(['c'], ['red']);
        expect(await keysOf(index, 'red')).toEqual(['a', 'b', 'c']);
        expect(await keysOf(index, 'round')).toEqual(['a', 'b']);
        expect(await keysOf(index, 'green')).toEqual([]);
      }),
    );

    it(
      'keeps the tags that a key had when it is given others',
      withIndex(async (index) => {
        await index.add(['a'], ['red']);
        await index.add(['a'], ['round']);
        await index.add(['b'], []);
        await index.add([], ['red']);
        expect(await keysOf(index, 'red')).toEqual(['a']);
        expect(await keysOf(index, 'round')).toEqual(['a']);
      }),
    );

    it(
      'keeps keys and tags apart, whatever they are made of',
      withIndex(async (index) => {
        const names = ['a', 'A', ' ', '*', '{a}', '__proto__', '0', '\ud83d', '\ud83e', '\ufffd', '🗄', 'x'.repeat(250)];
        for (const tag of names) await index.add([tag, 'all'], [tag]);
        for (const tag of names) expect(await keysOf(index, tag)).toEqual([tag, 'all'].sort());
      }),
    );

    it(
      'gives thousands of keys in batches, each key at least once',
      withIndex(async (index) => {
        const keys = Array.from({ length: 2500 }, (_, n) => `key ${n}`);
        await index.add(keys, ['many']);
        for await (const batch of index.keysOf('many')) expect(batch.keys.length).toBeLessThanOrEqual(1000);
        expect(await keysOf(index, 'many')).toEqual([...keys].sort());
        for await (const batch of index.keysOf('many')) await batch.forget();
        expect(await keysOf(index, 'many')).toEqual([]);
      }),
    );

    it(
      'forgets for one tag only',
      withIndex(async (index) => {
        await index.add(['a', 'b'], ['red', 'round']);
        for await (const batch of index.keysOf('red')) await batch.forget();
        expect(await keysOf(index, 'red')).toEqual([]);
        expect(await keysOf(index, 'round')).toEqual(['a', 'b']);
      }),
    );

    it(
      'does not forget a key that was given the tag again meanwhile',
      withIndex(async (index) => {
        const expiresAt = Date.now() + 60_000;
        await index.add(['a', 'b'], ['red'], { expiresAt });
        for await (const batch of index.keysOf('red')) {
          await index.add(['a'], ['red'], { expiresAt });
          await batch.forget();
          await batch.forget();
        }
        expect(await keysOf(index, 'red')).toEqual(['a']);
      }),
    );

    it(
      'gives the same keys again when they were not deleted',
      withIndex(async (index) => {
        await index.add(['a'], ['red']);
        expect(await keysOf(index, 'red')).toEqual(['a']);
        expect(await keysOf(index, 'red')).toEqual(['a']);
      }),
    );

    it(
      'forgets everything when it is cleared, and takes keys again',
      withIndex(async (index) => {
        await index.add(['a', 'b'], ['red', 'round']);
        await index.clear();
        expect(await keysOf(index, 'red')).toEqual([]);
        await index.add(['c'], ['round'], { expiresAt: Date.now() + 60_000 });
        expect(await keysOf(index, 'round')).toEqual(['c']);
      }),
    );

    it(
      'may be closed twice',
      withIndex(async (index) => {
        await index.add(['a'], ['red']);
        await Promise.all([index.close(), index.close()]);
      }),
    );
  });
}

async function keysOf(index: TagIndex, tag: string): Promise<string[]> {
  const keys = new Set<string>();
  for await (const batch of index.keysOf(tag)) for (const key of batch.keys) keys.add(key);
  return [...keys].sort();
}
