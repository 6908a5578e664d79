import { ManualTime } from '@granary/resilience/testing';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Layer } from '../layer.js';
import { MemoryLayer } from '../layers/memory-layer.js';
import { ChaosLayer, type Fault } from '../testing/chaos-layer.js';
import { createChain } from './chain.js';
import type { LayerInChain } from './options/chain-options.js';

const KEYS = ['a', 'b'];

type Command =
  | { readonly kind: 'set' | 'delete' | 'get'; readonly key: string }
  | { readonly kind: 'load'; readonly key: string; readonly ms: number; readonly fails: boolean }
  | { readonly kind: 'setMany' | 'deleteMany' | 'getMany' | 'clear' }
  | { readonly kind: 'tag'; readonly key: string }
  | { readonly kind: 'evict'; readonly below: number }
  | { readonly kind: 'deleteByTag' }
  | { readonly kind: 'wait'; readonly ms: number };

interface LayerPlan {
  readonly seed: number;
  readonly rate: number;
  readonly kinds: readonly ('slow' | 'throws' | 'rejects' | 'hangs')[];
  readonly writeBehind: boolean;
  /** How long the answers of a layer take to arrive, when what they say may have changed. 0: not at all. */
  readonly lagMs: number;
}

/** Does what it is told at once, and answers later. */
function lagging<V>(layer: MemoryLayer<V>, ms: number, time: ManualTime): Layer<V> {
  if (ms === 0) return layer;
  const later = <T>(answer: T) => new Promise<T>((resolve) => void time.setTimeout(() => resolve(answer), ms));
  return {
    name: layer.name,
    get: (key) => later(layer.get(key)),
    getEntry: (key) => later(layer.getEntry(key)),
    getMany: (keys) => later(layer.getMany(keys)),
    set: (key, value, options) => later(layer.set(key, value, options)),
    delete: (key) => later(layer.delete(key)),
    clear: () => later(layer.clear()),
    close: () => layer.close(),
  };
}

const key = fc.constantFrom(...KEYS);
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('set' as const, 'delete' as const), key }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('get' as const), key }) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('load' as const), key, ms: fc.nat(30), fails: fc.boolean() }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('setMany' as const, 'deleteMany' as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('getMany' as const, 'clear' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('tag' as const), key }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('deleteByTag' as const) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('evict' as const), below: fc.nat(4) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(40) }) },
);

const layer = (kinds: readonly ('slow' | 'throws' | 'rejects' | 'hangs')[]) =>
  fc.record<LayerPlan>({
    seed: fc.nat(),
    rate: fc.constantFrom(0, 0.2, 0.5, 1),
    kinds: fc.subarray([...kinds], { minLength: 1 }),
    writeBehind: fc.boolean(),
    lagMs: fc.constantFrom(0, 0, 5, 12),
  });

/** A write that was asked for, from the moment of its call to that of its answer. */
interface Write {
  readonly keys: readonly string[];
  readonly begun: number;
  ended: number;
  /** Whether it is known to have been done: a write that was rejected may have been or not. */
  done: boolean;
}

/**
 * What must be true of every answer, however operations overlap: a value is not answered to someone who asked after a
 * write of the key was done that had begun after the value was given, or its load begun.
 */
class Model {
  #step = 0;
  readonly #births = new Map<string, number>();
  readonly #writes: Write[] = [];

  /** Moments of which no two are the same. */
  now(): number {
    return ++this.#step;
  }

  born(value: string): string {
    this.#births.set(value, this.now());
    return value;
  }

  async write(keys: readonly string[], perform: () => unknown): Promise<void> {
    const write: Write = { keys, begun: this.now(), ended: Number.POSITIVE_INFINITY, done: false };
    this.#writes.push(write);
    try {
      await perform();
      write.done = true;
      write.ended = this.now();
    } catch {}
  }

  check(key: string, value: string, asked: number): void {
    const birth = this.#births.get(value);
    if (birth === undefined) throw new Error(`${value} was never given`);
    expect(value.startsWith(key), `${value} answered for ${key}`).toBe(true);
    const newer = this.#writes.find(
      (write) => write.done && write.keys.includes(key) && write.begun > birth && write.ended < asked,
    );
    expect(newer, `${value} (born ${birth}), asked for at ${asked}, was overwritten`).toBeUndefined();
  }
}

async function play(commands: readonly Command[], plans: readonly LayerPlan[]): Promise<void> {
  const time = new ManualTime();
  const model = new Model();
  const failing = plans.some(({ kinds, rate }) => rate > 0 && kinds.some((kind) => kind !== 'slow'));
  const memories: MemoryLayer<string>[] = [];
  const layers = plans.map((plan, i): LayerInChain<string> => {
    const memory = new MemoryLayer<string>({ name: `L${i + 1}`, clock: time.clock });
    memories.push(memory);
    const faults = plan.kinds.map((kind, j): Fault<string> => (kind === 'slow' ? { kind, ms: 1 + 7 * j } : { kind }));
    const random = { seed: plan.seed, rate: plan.rate, faults };
    return {
      // Hits in plain memory take a shorter way.
      layer:
        i === 0 && plan.rate === 0
          ? memory
          : new ChaosLayer(lagging(memory, plan.lagMs, time), { random, timers: time }),
      writeBehind: plan.writeBehind && i > 0 ? true : undefined,
    };
  });
  const chain = createChain<string>({
    layers,
    clock: time.clock,
    timers: time,
    resilience: { timeoutMs: 20, longTimeoutMs: 20, breaker: { maxFailures: 3, timeoutMs: 30, clock: time.clock } },
  });
  const running: Promise<unknown>[] = [];
  let number = 0;
  const begin = (operation: () => Promise<unknown>) => {
    const done = operation();
    done.catch(() => {});
    running.push(done);
  };
  const perform: { [C in Command as C['kind']]: (command: C) => unknown } = {
    set: ({ key }) => {
      const write = () => model.write([key], () => chain.set(key, model.born(`${key}${++number}`)));
      begin(write);
    },
    delete: ({ key }) => begin(() => model.write([key], () => chain.delete(key))),
    get: ({ key }) =>
      begin(async () => {
        const asked = model.now();
        const value = await chain.get(key);
        if (value !== undefined) model.check(key, value, asked);
      }),
    load: ({ key, ms, fails }) =>
      begin(async () => {
        const asked = model.now();
        const loader = async () => {
          const value = model.born(`${key}${++number}`);
          await new Promise<void>((resolve) => void time.setTimeout(resolve, ms));
          if (fails) throw new Error('the source is down');
          return value;
        };
        try {
          model.check(key, await chain.getOrLoad(key, loader, { tags: ['tag'] }), asked);
        } catch (error) {
          expect((error as Error).message).toBe('the source is down');
        }
      }),
    setMany: () => {
      begin(() =>
        model.write(KEYS, () => chain.setMany(KEYS.map((key) => [key, model.born(`${key}${++number}`)] as const))),
      );
    },
    deleteMany: () => begin(() => model.write(KEYS, () => chain.deleteMany(KEYS))),
    getMany: () =>
      begin(async () => {
        const asked = model.now();
        for (const [key, value] of await chain.getMany(KEYS)) model.check(key, value, asked);
      }),
    clear: () => begin(() => model.write(KEYS, () => chain.clear())),
    tag: ({ key }) =>
      begin(() => model.write([key], () => chain.set(key, model.born(`${key}${++number}`), { tags: ['tag'] }))),
    deleteByTag: () => begin(() => chain.deleteByTag('tag').catch(() => {})),
    evict: ({ below }) => {
      for (const memory of memories.slice(0, 1 + (below % Math.max(memories.length - 1, 1)))) memory.clear();
    },
    wait: ({ ms }) => time.advance(ms),
  };
  for (const command of commands) await perform[command.kind](command as never);
  for (let i = 0; i < 40; i++) await time.advance(20);
  await Promise.all(running);
  // Now that nothing is under way, the last write is the truth, as far as layers work.
  const last = 'a-last';
  await Promise.all([model.write(['a'], () => chain.set('a', model.born(last))), time.advance(2000)]);
  const asked = model.now();
  const [value] = await Promise.all([chain.get('a'), time.advance(100)]);
  if (!failing) expect(value).toBe(last);
  else if (value !== undefined) model.check('a', value, asked);
  const closed = chain.close();
  for (let i = 0; i < 10; i++) await time.advance(1000);
  await closed.catch(() => {});
  expect(chain.stats()).toMatchObject({ loading: 0, background: 0 });
}

describe('a chain under any operations, failures and interleavings', () => {
  const unhandled: unknown[] = [];
  const note = (reason: unknown) => unhandled.push(reason);
  beforeAll(() => process.on('unhandledRejection', note));
  afterAll(() => {
    process.off('unhandledRejection', note);
    expect(unhandled).toEqual([]);
  });

  for (const count of [1, 2, 3, 5]) {
    it(`never answers what a write that was done before has replaced, with ${count} slow layers`, async () => {
      const plans = fc.array(layer(['slow']), { minLength: count, maxLength: count });
      const commands = fc.array(command, { maxLength: 60, size: 'max' });
      await fc.assert(fc.asyncProperty(commands, plans, play), { numRuns: 150 });
    });

    it(`never does so with ${count} layers that fail and hang`, async () => {
      const plans = fc.array(layer(['slow', 'throws', 'rejects', 'hangs']), { minLength: count, maxLength: count });
      const commands = fc.array(command, { maxLength: 60, size: 'max' });
      await fc.assert(fc.asyncProperty(commands, plans, play), { numRuns: 150 });
    });
  }
});
