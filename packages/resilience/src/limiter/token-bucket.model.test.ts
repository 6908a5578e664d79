import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ManualTime } from '../testing/manual-time.js';
import { TokenBucket } from './token-bucket.js';

type Step =
  | { readonly do: 'advance'; readonly ms: number }
  | { readonly do: 'allow'; readonly n: number }
  | { readonly do: 'wait'; readonly n: number }
  | { readonly do: 'abort'; readonly which: number };

interface Shape {
  readonly capacity: number;
  readonly refillRate: number;
  readonly initialTokens: number;
}

interface Admission {
  readonly id: number;
  readonly n: number;
  readonly at: number;
}

/** The bucket as one would write it without a thought of speed: time passes one millisecond after the other. */
class Model {
  readonly admitted: Admission[] = [];
  readonly left: number[] = [];
  queue: { readonly id: number; readonly n: number }[] = [];
  now = 0;
  readonly capacity: number;
  readonly refillRate: number;
  #thousandths: number;

  constructor({ capacity, refillRate, initialTokens }: Shape) {
    this.capacity = capacity;
    this.refillRate = refillRate;
    this.#thousandths = Math.min(initialTokens, capacity) * 1000;
  }

  advance(ms: number): void {
    for (let i = 0; i < ms; i++) {
      this.now++;
      this.#thousandths = Math.min(this.#thousandths + this.refillRate, this.capacity * 1000);
      this.#serve();
    }
  }

  allow(id: number, n: number): boolean {
    if (this.queue.length > 0 || this.#thousandths < n * 1000) return false;
    this.#admit(id, n);
    return true;
  }

  wait(id: number, n: number): void {
    if (n > this.capacity) this.left.push(id);
    else if (!this.allow(id, n)) this.queue.push({ id, n });
  }

  abort(id: number): void {
    if (!this.queue.some((waiter) => waiter.id === id)) return;
    this.queue = this.queue.filter((waiter) => waiter.id !== id);
    this.left.push(id);
    this.#serve();
  }

  #serve(): void {
    for (let head = this.queue[0]; head && this.#thousandths >= head.n * 1000; head = this.queue[0]) {
      this.queue.shift();
      this.#admit(head.id, head.n);
    }
  }

  #admit(id: number, n: number): void {
    this.#thousandths -= n * 1000;
    this.admitted.push({ id, n, at: this.now });
  }
}

const steps = (ms: fc.Arbitrary<number>): fc.Arbitrary<Step[]> =>
  fc.array(
    fc.oneof(
      { weight: 3, arbitrary: fc.record({ do: fc.constant('advance' as const), ms }) },
      { weight: 3, arbitrary: fc.record({ do: fc.constant('allow' as const), n: fc.integer({ min: 1, max: 6 }) }) },
      { weight: 4, arbitrary: fc.record({ do: fc.constant('wait' as const), n: fc.integer({ min: 1, max: 6 }) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('abort' as const), which: fc.nat({ max: 9 }) }) },
    ),
    { maxLength: 60 },
  );

const shape = (refillRate: fc.Arbitrary<number>): fc.Arbitrary<Shape> =>
  fc.record({ capacity: fc.integer({ min: 1, max: 8 }), refillRate, initialTokens: fc.integer({ min: 0, max: 9 }) });

/** A real bucket that the steps are done to, and what came of them. */
class Run {
  readonly time = new ManualTime();
  readonly start = this.time.clock();
  readonly admitted: Admission[] = [];
  readonly left: number[] = [];
  readonly bucket: TokenBucket;
  readonly #callers = new Map<number, AbortController>();

  constructor(options: Shape) {
    this.bucket = new TokenBucket({ ...options, clock: this.time.clock, timers: this.time });
  }

  allow(id: number, n: number): boolean {
    const admitted = this.bucket.allowN(n);
    if (admitted) this.#admit(id, n);
    return admitted;
  }

  wait(id: number, n: number): void {
    const caller = new AbortController();
    this.#callers.set(id, caller);
    this.bucket.waitN(n, { signal: caller.signal }).then(
      () => {
        this.#callers.delete(id);
        this.#admit(id, n);
      },
      () => {
        this.#callers.delete(id);
        this.left.push(id);
      },
    );
  }

  /** Who leaves, of those who wait: chosen by a number. */
  victim(which: number): number | undefined {
    const ids = [...this.#callers.keys()];
    return ids[which % Math.max(ids.length, 1)];
  }

  async abort(id: number): Promise<void> {
    this.#callers.get(id)?.abort();
    await this.time.advance(0);
  }

  #admit(id: number, n: number): void {
    this.admitted.push({ id, n, at: this.time.clock() - this.start });
  }
}

/** The most that any window of time got above what the bucket may let through in it. */
function excess(admitted: readonly Admission[], { capacity, refillRate }: Shape): number {
  let most = -Infinity;
  for (const [i, first] of admitted.entries()) {
    let sum = 0;
    for (const last of admitted.slice(i)) {
      sum += last.n;
      most = Math.max(most, sum - capacity - ((last.at - first.at) * refillRate) / 1000);
    }
  }
  return most;
}

describe('a token bucket, whatever happens', () => {
  it('admits the same callers at the same milliseconds, in the same order, as a plain model', async () => {
    await fc.assert(
      fc.asyncProperty(
        shape(fc.integer({ min: 1, max: 2000 })),
        steps(fc.integer({ min: 0, max: 300 })),
        async (options, todo) => {
          const run = new Run(options);
          const model = new Model(options);
          for (const [id, step] of todo.entries()) {
            if (step.do === 'advance') {
              model.advance(step.ms);
              await run.time.advance(step.ms);
            } else if (step.do === 'allow') {
              expect(run.allow(id, step.n)).toBe(model.allow(id, step.n));
            } else if (step.do === 'wait') {
              model.wait(id, step.n);
              run.wait(id, step.n);
              await run.time.advance(0);
            } else {
              const victim = run.victim(step.which);
              if (victim === undefined) continue;
              model.abort(victim);
              await run.abort(victim);
            }
            expect(run.bucket.waiting).toBe(model.queue.length);
            expect(run.time.pending).toBe(model.queue.length > 0 ? 1 : 0);
          }
          // Nobody starves: none who stayed waits longer than its own tokens take after the one before is served.
          const rest = model.queue.reduce((sum, { n }) => sum + Math.ceil((n * 1000) / options.refillRate), 0);
          model.advance(rest);
          await run.time.advance(rest);
          expect(run.bucket.waiting).toBe(0);
          expect(run.time.pending).toBe(0);
          expect(run.admitted).toEqual(model.admitted);
          expect(run.left).toEqual(model.left);
          expect(excess(run.admitted, options)).toBeLessThanOrEqual(1e-9);
        },
      ),
      { numRuns: 400 },
    );
  });

  it('admits never more than capacity + rate × time in any window, at fractions of rates and milliseconds too', async () => {
    await fc.assert(
      fc.asyncProperty(
        shape(fc.double({ min: 0.001, max: 20_000, noNaN: true })),
        steps(fc.double({ min: 0, max: 2000, noNaN: true })),
        async (options, todo) => {
          const run = new Run(options);
          for (const [id, step] of todo.entries()) {
            if (step.do === 'advance') await run.time.advance(Math.min(step.ms, 20_000 / options.refillRate));
            else if (step.do === 'allow') run.allow(id, step.n);
            else if (step.do === 'wait') run.wait(id, step.n);
            else await run.abort(run.victim(step.which) ?? -1);
          }
          expect(excess(run.admitted, options)).toBeLessThanOrEqual(1e-6);
        },
      ),
      { numRuns: 200 },
    );
  });
});
