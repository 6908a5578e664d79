import { getEventListeners } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { checkKey } from '../key.js';
import type { Layer, MaybePromise } from '../layer.js';
import { JSON_SAMPLES, KEYS, KEYS_ALIKE } from './hard-cases.js';
import type { TestRunner } from './test-runner.js';

/** A layer that the suite uses for one test and then gives back. */
export interface LayerUnderTest<V> {
  readonly layer: Layer<V>;
  /** Moves the clock that the layer was made with. Without it the suite waits for real, a fraction of a second a test. */
  readonly advance?: (ms: number) => MaybePromise<void>;
  /** The time by the clock that the layer was made with. Default `Date.now`. */
  readonly now?: () => number;
  /** How a value gets into a layer that only reads: then nothing that writes is tested. */
  readonly put?: (key: string, value: V) => MaybePromise<void>;
  /** Ends what the layer leaves behind; the suite has closed the layer. */
  readonly dispose?: () => MaybePromise<void>;
}

export interface LayerContractOptions<V> {
  /** Values that the layer takes, at least two and all different. Default: everything that JSON can say. */
  readonly samples?: readonly [V, V, ...V[]];
  /** The layer only reads ({@link LayerUnderTest.put} is given): writes are accepted and do nothing. Default false. */
  readonly readOnly?: boolean;
}

const SHORT_MS = 100;
const LONG_MS = 3_600_000;
/** Clocks of two machines, and of a test and a server, may differ by this much. */
const CLOCKS_DIFFER_MS = 50;

/**
 * What every {@link Layer} keeps, as tests: call it in a test file of the implementation.
 *
 * @param makeLayer a new, empty layer without a lifetime of its own, with room for at least 1000 entries and 4 MiB
 */
export function layerContract<V = unknown>(
  { describe, it, expect }: TestRunner,
  name: string,
  makeLayer: () => MaybePromise<LayerUnderTest<V>>,
  options: LayerContractOptions<V> = {},
): void {
  const samples = options.samples ?? (JSON_SAMPLES as readonly [V, V, ...V[]]);
  const [one, two] = samples;
  const sample = (i: number): V => samples[i % samples.length] as V;

  const withLayer = (body: (test: Required<Omit<LayerUnderTest<V>, 'dispose'>>) => Promise<void>) => async () => {
    const made = await makeLayer();
    const { layer } = made;
    try {
      await body({
        layer,
        advance: made.advance ?? (async (ms) => void (await delay(ms + CLOCKS_DIFFER_MS))),
        now: made.now ?? Date.now,
        put: made.put ?? ((key, value) => layer.set(key, value)),
      });
    } finally {
      await layer.close();
      await made.dispose?.();
    }
  };

  describe(`${name} keeps the contract of a layer`, () => {
    it(
      'gives back each value as it was',
      withLayer(async ({ layer, put }) => {
        for (const [i, value] of samples.entries()) await put(`key ${i}`, value);
        for (const [i, value] of samples.entries()) {
          expect(await layer.get(`key ${i}`)).toEqual(value);
          if (layer.getEntry) expect((await layer.getEntry(`key ${i}`))?.value).toEqual(value);
        }
      }),
    );

    it(
      'answers undefined for what it does not have',
      withLayer(async ({ layer }) => {
        expect(await layer.get('nothing')).toBeUndefined();
        expect(await layer.getEntry?.('nothing')).toBeUndefined();
        expect(await layer.delete('nothing')).toBe(false);
        if (layer.getMany) expect([...(await layer.getMany(['nothing', 'more of it']))]).toEqual([]);
        if (layer.deleteMany) expect(await layer.deleteMany(['nothing', 'more of it'])).toBe(0);
      }),
    );

    it(
      'keeps keys apart, whatever they are made of',
      withLayer(async ({ layer, put }) => {
        for (const key of KEYS) checkKey(key);
        for (const [i, key] of KEYS.entries()) {
          expect(await layer.get(key)).toBeUndefined();
          await put(key, sample(i));
        }
        for (const [i, key] of KEYS.entries()) expect(await layer.get(key)).toEqual(sample(i));
        const many = await layer.getMany?.(KEYS);
        if (many) for (const [i, key] of KEYS.entries()) expect(many.get(key)?.value).toEqual(sample(i));
      }),
    );

    it(
      'gives the entries that are there, by key',
      withLayer(async ({ layer, put }) => {
        if (!layer.getMany) return;
        await put('one', one);
        await put('two', two);
        const entries = await layer.getMany(['two', 'nothing', 'one', 'two']);
        expect(entries.size).toBe(2);
        expect(entries.get('one')?.value).toEqual(one);
        expect(entries.get('two')?.value).toEqual(two);
        expect((await layer.getMany([])).size).toBe(0);
        entries.clear();
        expect((await layer.getMany(['one'])).get('one')?.value).toEqual(one);
      }),
    );

    it(
      'gives the same in the order of the keys',
      withLayer(async ({ layer, put }) => {
        if (!layer.readMany) return;
        await put('one', one);
        await put('two', two);
        const { values, expiresAt } = await layer.readMany(['two', 'nothing', 'one', 'two']);
        expect([...values]).toEqual([two, undefined, one, two]);
        expect(expiresAt.length).toBe(4);
        expect((await layer.readMany([])).values).toEqual([]);
      }),
    );

    it(
      'ends with the reason of an aborted signal, if it ends, and leaves no listeners',
      withLayer(async ({ layer, put }) => {
        await put('key', one);
        const { signal } = new AbortController();
        await layer.get('key', { signal });
        await layer.get('nothing', { signal });
        await layer.set('key', two, { signal });
        await layer.delete('other', { signal });
        expect(getEventListeners(signal, 'abort').length).toBe(0);

        const reason = new Error('nobody waits any more');
        const aborted = { signal: AbortSignal.abort(reason) };
        const failures = await Promise.all([
          failureOf(() => layer.get('key', aborted)),
          failureOf(() => layer.set('key', one, aborted)),
          failureOf(() => layer.delete('key', aborted)),
        ]);
        expect(failures.filter((failure) => failure !== reason && failure !== undefined)).toEqual([]);
        expect(getEventListeners(aborted.signal, 'abort').length).toBe(0);
      }),
    );

    it(
      'may be closed twice',
      withLayer(async ({ layer, put }) => {
        await put('key', one);
        await Promise.all([layer.close(), layer.close()]);
        await layer.close();
      }),
    );

    if (options.readOnly) {
      it(
        'takes writes and does nothing',
        withLayer(async ({ layer, put }) => {
          await put('key', one);
          await layer.set('key', two);
          await layer.set('other', two);
          await layer.setMany?.(new Map([['key', two]]));
          expect(await layer.delete('key')).toBe(false);
          if (layer.deleteMany) expect(await layer.deleteMany(['key'])).toBe(0);
          await layer.clear?.();
          expect(await layer.get('key')).toEqual(one);
          expect(await layer.get('other')).toBeUndefined();
        }),
      );
      return;
    }

    it(
      'keeps the value that was written last, whatever was there before',
      withLayer(async ({ layer }) => {
        for (const value of samples) {
          await layer.set('key', value);
          expect(await layer.get('key')).toEqual(value);
        }
        await Promise.all(samples.map((value) => layer.set('key', value)));
        expect(await layer.get('key')).toEqual(samples.at(-1));
      }),
    );

    it(
      'keeps the order of writes and removals of one key',
      withLayer(async ({ layer }) => {
        await Promise.all([layer.set('gone', one), layer.delete('gone'), layer.delete('here'), layer.set('here', two)]);
        expect(await layer.get('gone')).toBeUndefined();
        expect(await layer.get('here')).toEqual(two);
      }),
    );

    it(
      'removes values, and says whether they were there',
      withLayer(async ({ layer }) => {
        for (const value of samples) {
          await layer.set('key', value);
          expect(await layer.delete('key')).toBe(true);
          expect(await layer.delete('key')).toBe(false);
          expect(await layer.get('key')).toBeUndefined();
        }
      }),
    );

    it(
      'writes and removes many at once',
      withLayer(async ({ layer, now }) => {
        if (layer.setMany) {
          const before = now();
          await layer.setMany(new Map(samples.map((value, i) => [`key ${i}`, value])), { ttlMs: LONG_MS });
          for (const [i, value] of samples.entries()) expect(await layer.get(`key ${i}`)).toEqual(value);
          const expiresAt = (await layer.getEntry?.('key 1'))?.expiresAt;
          if (layer.getEntry) expect(expiresAt).toBeGreaterThanOrEqual(before + LONG_MS - CLOCKS_DIFFER_MS);
          await layer.setMany(new Map());
        }
        if (layer.deleteMany) {
          await layer.set('one', one);
          await layer.set('two', two);
          expect(await layer.deleteMany(['two', 'nothing', 'one'])).toBe(2);
          expect(await layer.get('one')).toBeUndefined();
          expect(await layer.get('two')).toBeUndefined();
          expect(await layer.deleteMany([])).toBe(0);
        }
      }),
    );

    it(
      'holds nothing after it was cleared, and takes values again',
      withLayer(async ({ layer }) => {
        if (!layer.clear) return;
        for (let i = 0; i < 100; i++) await layer.set(`key ${i}`, sample(i));
        await layer.clear();
        for (let i = 0; i < 100; i++) expect(await layer.get(`key ${i}`)).toBeUndefined();
        await layer.set('key', one);
        expect(await layer.get('key')).toEqual(one);
      }),
    );

    it(
      'removes what begins alike, and nothing else',
      withLayer(async ({ layer }) => {
        if (!layer.clearPrefix) return;
        const { clearPrefix } = layer;
        const removes = async (prefix: string, keys: readonly string[]) => {
          await Promise.all(keys.map((key) => layer.set(key, one, { ttlMs: LONG_MS })));
          await clearPrefix.call(layer, prefix);
          const left = await Promise.all(keys.map(async (key) => (await layer.get(key)) !== undefined));
          expect(keys.filter((_, i) => left[i])).toEqual(keys.filter((key) => !key.startsWith(prefix)));
        };
        for (const prefix of ['a', 'a:', 'a*', '*', 'a?', '[a', '\\', 'é', 'e', '\ud83d', '🗄', 'none', '']) {
          await removes(prefix, KEYS_ALIKE);
        }
        const many = Array.from({ length: 300 }, (_, i) => `many ${i}`);
        await removes('many 1', many);
        await removes('many ', many);
        await layer.set('many 1', one);
        expect(await layer.get('many 1')).toEqual(one);
      }),
    );

    it(
      'gives a value as long as it is fresh, and not a moment longer',
      withLayer(async ({ layer, advance }) => {
        await layer.set('short', one, { ttlMs: SHORT_MS });
        await layer.set('long', one, { ttlMs: LONG_MS });
        await layer.set('for ever', one, { ttlMs: Number.POSITIVE_INFINITY });
        await layer.set('plain', one);
        expect(await layer.get('long')).toEqual(one);
        await advance(SHORT_MS);
        expect(await layer.get('short')).toBeUndefined();
        expect(await layer.getEntry?.('short')).toBeUndefined();
        expect((await layer.getMany?.(['short', 'long']))?.has('short') ?? false).toBe(false);
        if (layer.readMany) expect([...(await layer.readMany(['short', 'long'])).values]).toEqual([undefined, one]);
        for (const key of ['long', 'for ever', 'plain']) expect(await layer.get(key)).toEqual(one);
      }),
    );

    it(
      'takes any lifetime',
      withLayer(async ({ layer }) => {
        await layer.set('key', one);
        await layer.set('key', two, { ttlMs: 0 });
        expect(await layer.get('key')).toBeUndefined();
        await layer.set('key', two, { ttlMs: -5 });
        expect(await layer.get('key')).toBeUndefined();
        await layer.set('key', one, { ttlMs: LONG_MS + 0.5 });
        expect(await layer.get('key')).toEqual(one);
        await layer.set('key', two, { ttlMs: Number.MAX_VALUE, graceMs: Number.MAX_VALUE });
        expect(await layer.get('key')).toEqual(two);
      }),
    );

    it(
      'says when a value stops being fresh',
      withLayer(async ({ layer, now }) => {
        if (!layer.getEntry) return;
        await layer.set('plain', one);
        expect((await layer.getEntry('plain'))?.expiresAt).toBeUndefined();
        const before = now();
        await layer.set('long', one, { ttlMs: LONG_MS });
        const { expiresAt } = (await layer.getEntry('long')) ?? {};
        expect(expiresAt).toBeGreaterThanOrEqual(before + LONG_MS - CLOCKS_DIFFER_MS);
        expect(expiresAt).toBeLessThanOrEqual(now() + LONG_MS + CLOCKS_DIFFER_MS);
        const many = await layer.getMany?.(['plain', 'long']);
        if (many) {
          expect(many.get('plain')?.expiresAt).toBeUndefined();
          expect(Math.abs((many.get('long')?.expiresAt ?? 0) - (expiresAt ?? 0))).toBeLessThanOrEqual(CLOCKS_DIFFER_MS);
        }
        if (layer.readMany) {
          expect((await layer.readMany(['plain'])).expiresAt[0]).toBe(Number.POSITIVE_INFINITY);
          const [end = 0] = (await layer.readMany(['long'])).expiresAt;
          expect(Math.abs(end - (expiresAt ?? 0))).toBeLessThanOrEqual(CLOCKS_DIFFER_MS);
        }
      }),
    );

    it(
      'starts a lifetime with a write, never with a look',
      withLayer(async ({ layer, advance }) => {
        await layer.set('looked at', one, { ttlMs: 2 * SHORT_MS });
        await layer.set('written', one, { ttlMs: SHORT_MS });
        await layer.set('freed', one, { ttlMs: SHORT_MS });
        await layer.set('written', two, { ttlMs: LONG_MS });
        await layer.set('freed', two);
        await advance(SHORT_MS);
        await layer.get('looked at');
        await layer.getEntry?.('looked at');
        await layer.getMany?.(['looked at']);
        await advance(SHORT_MS);
        expect(await layer.get('looked at')).toBeUndefined();
        expect(await layer.get('written')).toEqual(two);
        expect(await layer.get('freed')).toEqual(two);
      }),
    );

    it(
      'gives what is stale within its grace only to who asks for entries',
      withLayer(async ({ layer, advance, now }) => {
        if (!layer.getEntry) return;
        await layer.set('key', one, { ttlMs: SHORT_MS, graceMs: LONG_MS });
        await layer.set('soon', one, { ttlMs: SHORT_MS, graceMs: SHORT_MS });
        expect((await layer.getEntry('key'))?.value).toEqual(one);
        await advance(SHORT_MS);
        expect(await layer.get('key')).toBeUndefined();
        const entry = await layer.getEntry('key');
        expect(entry?.value).toEqual(one);
        expect(entry?.expiresAt).toBeLessThanOrEqual(now() + CLOCKS_DIFFER_MS);
        if (layer.getMany) expect((await layer.getMany(['key'])).get('key')?.value).toEqual(one);
        if (layer.readMany) {
          const { values, expiresAt } = await layer.readMany(['key']);
          expect(values).toEqual([one]);
          expect(expiresAt[0]).toBeLessThanOrEqual(now() + CLOCKS_DIFFER_MS);
        }
        await advance(SHORT_MS);
        expect(await layer.getEntry('soon')).toBeUndefined();
        expect(await layer.delete('key')).toBe(true);
        expect(await layer.getEntry('key')).toBeUndefined();
      }),
    );

    it(
      'keeps no grace from the value before',
      withLayer(async ({ layer, advance }) => {
        if (!layer.getEntry) return;
        await layer.set('key', one, { ttlMs: SHORT_MS, graceMs: LONG_MS });
        await layer.set('key', two, { ttlMs: SHORT_MS });
        await advance(SHORT_MS);
        expect(await layer.getEntry('key')).toBeUndefined();
      }),
    );
  });
}

/** What an operation throws or rejects with; undefined when it does neither. */
async function failureOf(operation: () => unknown): Promise<unknown> {
  try {
    await operation();
    return undefined;
  } catch (error) {
    return error;
  }
}
