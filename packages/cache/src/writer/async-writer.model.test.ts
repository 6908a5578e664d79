import { ManualTime } from '@granary/resilience/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Layer } from '../layer.js';
import { AsyncWriter } from './async-writer.js';

interface Call {
  readonly key: string;
  /** Number of the change, from when it was given. */
  readonly change: number;
  readonly end: (error?: unknown) => void;
}

const settle = async (): Promise<void> => {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
};

type Step =
  | { readonly do: 'set' | 'delete'; readonly key: string; readonly size: number }
  | { readonly do: 'succeed' | 'fail'; readonly which: number }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'flush' | 'abort' };

const KEYS = ['a', 'b', 'c', 'd'];
const change: fc.Arbitrary<Step> = fc.record({
  do: fc.constantFrom('set', 'delete'),
  key: fc.constantFrom(...KEYS),
  size: fc.nat(6),
});
const end: fc.Arbitrary<Step> = fc.record({ do: fc.constantFrom('succeed', 'fail'), which: fc.nat() });
const pause: fc.Arbitrary<Step> = fc.record({ do: fc.constant('wait'), ms: fc.nat(60) });
const call: fc.Arbitrary<Step> = fc.record({ do: fc.constantFrom('flush', 'abort') });
const step = fc.oneof(
  { weight: 4, arbitrary: change },
  { weight: 3, arbitrary: end },
  { weight: 1, arbitrary: pause },
  { weight: 1, arbitrary: call },
);
type Bounds = Readonly<Record<'workers' | 'maxEntries' | 'maxBytes' | 'maxWaiting' | 'maxWaitMs', number>>;

const bounds: fc.Arbitrary<Bounds> = fc.record({
  workers: fc.integer({ min: 1, max: 3 }),
  maxEntries: fc.integer({ min: 1, max: 5 }),
  maxBytes: fc.integer({ min: 1, max: 12 }),
  maxWaiting: fc.nat(3),
  maxWaitMs: fc.constantFrom(0, 50),
});

interface Value {
  readonly change: number;
  readonly size: number;
}

/** A layer whose calls last until they are told to end. */
class HeldLayer implements Layer<Value> {
  readonly name = 'model';
  readonly begun: Call[] = [];
  readonly running: Call[] = [];
  /** Deletes carry no value, so their number is looked up: the newest delete of the key so far. */
  readonly lastDelete = new Map<string, number>();
  failed = 0;

  get(): undefined {
    return undefined;
  }

  set(key: string, { change }: Value): Promise<void> {
    return this.#begin(key, change);
  }

  async delete(key: string): Promise<boolean> {
    await this.#begin(key, this.lastDelete.get(key) ?? -1);
    return true;
  }

  close(): void {}

  end(which: number, how: 'succeed' | 'fail'): void {
    if (this.running.length === 0) return;
    const [ended] = this.running.splice(which % this.running.length, 1);
    if (how === 'fail') this.failed++;
    ended?.end(how === 'fail' ? new Error('refused') : undefined);
  }

  async endAll(): Promise<void> {
    while (this.running.length > 0) {
      for (const each of this.running.splice(0)) each.end();
      await settle();
    }
  }

  #begin(key: string, change: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const begun = { key, change, end: (error?: unknown) => (error === undefined ? resolve() : reject(error)) };
      this.running.push(begun);
      this.begun.push(begun);
    });
  }
}

/** A writer beside what is known of each change that it was given. */
class Modelled {
  readonly #bounds: Bounds;
  readonly #time = new ManualTime();
  readonly #layer = new HeldLayer();
  readonly #writer: AsyncWriter<Value>;
  readonly #keys = new Map<number, string>();
  /** By change: whether it was taken. */
  readonly #answers = new Map<number, boolean | 'aborted'>();
  readonly #flushes: Promise<boolean>[] = [];
  #caller = new AbortController();

  constructor(bounds: Bounds) {
    this.#bounds = bounds;
    const { clock } = this.#time;
    this.#writer = new AsyncWriter(this.#layer, { ...bounds, sizeOf: ({ size }) => size, clock, timers: this.#time });
  }

  async take(step: Step, number: number): Promise<void> {
    switch (step.do) {
      case 'set':
      case 'delete':
        this.#change(step.do, step.key, { change: number, size: step.size });
        break;
      case 'wait':
        await this.#time.advance(step.ms);
        break;
      case 'flush':
        this.#flushes.push(this.#writer.flush(1_000_000));
        break;
      case 'abort':
        this.#caller.abort();
        this.#caller = new AbortController();
        break;
      default:
        this.#layer.end(step.which, step.do);
    }
    await settle();
  }

  #change(how: 'set' | 'delete', key: string, value: Value): void {
    const { change } = value;
    this.#keys.set(change, key);
    if (how === 'delete') this.#layer.lastDelete.set(key, change);
    const { signal } = this.#caller;
    const answer = how === 'set' ? this.#writer.set(key, value, { signal }) : this.#writer.delete(key, { signal });
    if (typeof answer === 'boolean') this.#answers.set(change, answer);
    else
      answer.then(
        (accepted) => this.#answers.set(change, accepted),
        () => this.#answers.set(change, 'aborted'),
      );
  }

  checkBounds(): void {
    const { workers, maxEntries, maxBytes, maxWaiting } = this.#bounds;
    const stats = this.#writer.stats();
    expect(stats.queueDepth).toBeLessThanOrEqual(maxEntries);
    expect(stats.queuedBytes).toBeLessThanOrEqual(maxBytes);
    expect(stats.waiting).toBeLessThanOrEqual(maxWaiting);
    const written = this.#layer.running.map(({ key }) => key);
    expect(written.length).toBeLessThanOrEqual(workers);
    expect(new Set(written).size).toBe(written.length);
  }

  checkCounts(): void {
    const { queueDepth, waiting, droppedWrites, supersededWrites, totalWrites } = this.#writer.stats();
    const counted = queueDepth + waiting + droppedWrites + supersededWrites + totalWrites;
    expect(counted + this.#answered('aborted')).toBe(this.#keys.size);
  }

  async finish(): Promise<void> {
    await this.#layer.endAll();
    await this.#time.advance(100);
    await this.#layer.endAll();
    await Promise.all(this.#flushes);
    const { failed, begun } = this.#layer;
    expect(this.#writer.stats()).toMatchObject({
      queueDepth: 0,
      queuedBytes: 0,
      waiting: 0,
      failedWrites: failed,
      totalWrites: begun.length,
      droppedWrites: this.#answered(false),
    });
    expect(this.#answers.size).toBe(this.#keys.size);
    for (const key of KEYS) this.#checkOrder(key);
    expect(this.#time.pending).toBe(0);
  }

  #checkOrder(key: string): void {
    const written = this.#layer.begun.filter((each) => each.key === key).map((each) => each.change);
    expect(written).toEqual([...new Set(written)].sort((a, b) => a - b));
    const given = [...this.#keys].filter(([, of]) => of === key).map(([change]) => change);
    const last = given.findLast((change) => this.#answers.get(change) === true);
    // A change that took the place of one who waited, and was dropped then, takes both away.
    if (last === given.at(-1)) expect(written.at(-1)).toBe(last);
    else if (last !== undefined) expect(written.at(-1) ?? -1).toBeLessThanOrEqual(last);
  }

  #answered(how: boolean | 'aborted'): number {
    return [...this.#answers.values()].filter((answer) => answer === how).length;
  }
}

describe('an async writer, whatever happens', () => {
  it('writes each key in order with its last change last, one at a time, within its bounds, and counts exactly', async () => {
    await fc.assert(
      fc.asyncProperty(bounds, fc.array(step, { maxLength: 50 }), async (options, steps) => {
        const modelled = new Modelled(options);
        for (const [number, each] of steps.entries()) {
          await modelled.take(each, number);
          modelled.checkBounds();
          modelled.checkCounts();
        }
        await modelled.finish();
      }),
      { numRuns: 300 },
    );
  });
});
