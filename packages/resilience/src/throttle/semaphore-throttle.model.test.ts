import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isQueueFull } from '../errors.js';
import { SemaphoreThrottle } from './semaphore-throttle.js';

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Who runs, who waits, and who has got what: two lists and a rule. */
class Model {
  readonly max: number;
  readonly maxQueue: number;
  readonly started: number[] = [];
  readonly outcomes = new Map<number, string>();
  running: number[] = [];
  waiting: number[] = [];

  constructor(max: number, maxQueue: number) {
    this.max = max;
    this.maxQueue = maxQueue;
  }

  come(id: number): void {
    if (this.running.length < this.max) this.#start(id);
    else if (this.waiting.length < this.maxQueue) this.waiting.push(id);
    else this.outcomes.set(id, 'turned away');
  }

  end(id: number, outcome: string): void {
    this.running = this.running.filter((other) => other !== id);
    this.outcomes.set(id, outcome);
    const next = this.waiting.shift();
    if (next !== undefined) this.#start(next);
  }

  abort(id: number): void {
    this.waiting = this.waiting.filter((other) => other !== id);
    this.outcomes.set(id, 'aborted');
  }

  #start(id: number): void {
    this.running.push(id);
    this.started.push(id);
  }
}

describe('a semaphore, whatever happens', () => {
  it('runs the same calls in the same order, and ends them in the same way, as a plain model', async () => {
    const step = fc.oneof(
      fc.record({ do: fc.constant('come' as const) }),
      fc.record({ do: fc.constantFrom('succeed' as const, 'fail' as const, 'abort' as const), which: fc.nat() }),
    );
    const setup = fc.record({ max: fc.integer({ min: 1, max: 4 }), maxQueue: fc.integer({ min: 0, max: 6 }) });
    await fc.assert(
      fc.asyncProperty(setup, fc.array(step, { maxLength: 60 }), async ({ max, maxQueue }, steps) => {
        const throttle = new SemaphoreThrottle(max, { maxQueue });
        const model = new Model(max, maxQueue);
        const started: number[] = [];
        const outcomes = new Map<number, string>();
        const calls = new Map<number, { end: PromiseWithResolvers; caller: AbortController }>();
        for (const [id, next] of steps.entries()) {
          if (next.do === 'come') {
            const call = { end: withResolvers(), caller: new AbortController() };
            calls.set(id, call);
            const run = () => {
              started.push(id);
              return call.end.promise;
            };
            throttle.run(run, { signal: call.caller.signal }).then(
              (value) => outcomes.set(id, value),
              (error: unknown) => outcomes.set(id, isQueueFull(error) ? 'turned away' : String(error)),
            );
            model.come(id);
          } else {
            const candidates = next.do === 'abort' ? model.waiting : model.running;
            const chosen = candidates[next.which % Math.max(candidates.length, 1)];
            if (chosen === undefined) continue;
            if (next.do === 'succeed') {
              calls.get(chosen)?.end.resolve('succeeded');
              model.end(chosen, 'succeeded');
            } else if (next.do === 'fail') {
              calls.get(chosen)?.end.reject('failed');
              model.end(chosen, 'failed');
            } else {
              calls.get(chosen)?.caller.abort('aborted');
              model.abort(chosen);
            }
          }
          await settle();
          expect(started).toEqual(model.started);
          expect([throttle.active, throttle.queued]).toEqual([model.running.length, model.waiting.length]);
          expect(outcomes).toEqual(model.outcomes);
        }
      }),
      { numRuns: 300 },
    );
  });
});

interface PromiseWithResolvers {
  readonly promise: Promise<string>;
  readonly resolve: (value: string) => void;
  readonly reject: (reason: string) => void;
}

function withResolvers(): PromiseWithResolvers {
  let resolve!: (value: string) => void;
  let reject!: (reason: string) => void;
  const promise = new Promise<string>((res, rej) => {
    resolve = res;
    reject = rej;
  });
  return { promise, resolve, reject };
}
