import { type ActionResultStore, actionKey } from '../blob-store.js';
import type { TestRunner } from './test-runner.js';

/** A store that the suite uses for one test and then gives back. */
export interface ActionResultsUnderTest {
  readonly store: ActionResultStore;
  readonly dispose?: () => Promise<void>;
}

/**
 * What every {@link ActionResultStore} keeps, as tests.
 *
 * @param makeStore a new, empty store with room for at least 16 MiB
 */
export function actionResultStoreContract(
  { describe, it, expect }: TestRunner,
  name: string,
  makeStore: () => Promise<ActionResultsUnderTest>,
): void {
  const withStore = (body: (store: ActionResultStore) => Promise<void>) => async () => {
    const { store, dispose } = await makeStore();
    try {
      await body(store);
    } finally {
      await store.close();
      await dispose?.();
    }
  };
  const key = (instance: string, digit = 'a') => actionKey(instance, { function: 'sha256', hash: digit.repeat(64) });

  describe(`${name} keeps the contract of an action result store`, () => {
    for (const size of [0, 1, 500, 5000, 200_000]) {
      it(
        `gives back a value of ${size} bytes`,
        withStore(async (store) => {
          const value = Buffer.alloc(size, size % 251);
          await store.set(key('main'), value);
          expect((await store.get(key('main')))?.equals(value)).toBe(true);
        }),
      );
    }

    it(
      'answers for what it does not have',
      withStore(async (store) => {
        expect(await store.get(key(''))).toBeUndefined();
        expect(await store.delete(key(''))).toBe(false);
      }),
    );

    it(
      'keeps instances and actions apart, whatever their names',
      withStore(async (store) => {
        const keys = [key(''), key('a'), key('a/b'), key('ünï'), key('a', 'b'), key('x'.repeat(3000))];
        for (const [i, one] of keys.entries()) await store.set(one, Buffer.from(`value ${i}`));
        for (const [i, one] of keys.entries()) expect(String(await store.get(one))).toBe(`value ${i}`);
      }),
    );

    it(
      'keeps the value that was written last',
      withStore(async (store) => {
        const values = ['first', 'a much longer second value'.repeat(300), 'third'];
        for (const value of values) await store.set(key(''), Buffer.from(value));
        expect(String(await store.get(key('')))).toBe('third');
        await Promise.all(values.map((value) => store.set(key(''), Buffer.from(value))));
        expect(String(await store.get(key('')))).toBe('third');
      }),
    );

    it(
      'removes values',
      withStore(async (store) => {
        await store.set(key(''), Buffer.from('value'));
        expect(await store.delete(key(''))).toBe(true);
        expect(await store.delete(key(''))).toBe(false);
        expect(await store.get(key(''))).toBeUndefined();
      }),
    );

    it(
      'gives and takes memory that the caller may change afterwards',
      withStore(async (store) => {
        const value = Buffer.from('value');
        await store.set(key(''), value);
        value.fill(0);
        (await store.get(key('')))?.fill(0);
        expect(String(await store.get(key('')))).toBe('value');
      }),
    );
  });
}
