import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CircuitBreaker } from './circuit-breaker.js';
import type { CircuitState } from './circuit-state.js';

const TIMEOUT = 100;
const LOST = 600_000;

interface Options {
  readonly maxFailures: number;
  readonly maxHalfOpenRequests: number;
  readonly halfOpenSuccesses: number;
}

type Outcome = 'succeeded' | 'failed' | 'released';

/** A call that was let through. */
interface Call {
  /** Which period of the breaker it belongs to. */
  readonly period: number;
  /** Whether its result will say that it is its own; that of a canExecute caller doesn't. */
  readonly known: boolean;
  readonly lostAt: number;
  /** Whether it has a place among the probes. */
  probing: boolean;
}

/** What a breaker is to do, written for reading: it remembers calls, and counts by looking at them. */
class Model {
  state: CircuitState = 'closed';
  failures = 0;
  opens = 0;
  halfOpenSuccesses = 0;
  halfOpenFailures = 0;
  lastFailureTime: number | undefined;
  readonly #options: Options;
  #period = 0;
  #openedAt = 0;
  #probes: Call[] = [];

  constructor(options: Options) {
    this.#options = options;
  }

  admit(now: number, known: boolean): Call | undefined {
    if (this.state === 'open' && now >= this.#openedAt + TIMEOUT) {
      this.#enter('half-open');
      this.halfOpenSuccesses = 0;
      this.halfOpenFailures = 0;
    }
    if (this.state === 'open') return undefined;
    const probing = this.state === 'half-open';
    const call = { period: this.#period, known, lostAt: now + (known ? LOST : TIMEOUT), probing };
    if (!probing) return call;
    if (this.#full()) for (const lost of this.#probes.filter((probe) => probe.lostAt <= now)) this.#leave(lost);
    if (this.#full()) return undefined;
    this.#probes.push(call);
    return call;
  }

  /** A result that says whose it is. */
  settle(call: Call, outcome: Outcome, now: number): void {
    if (call.period !== this.#period || (this.state === 'half-open' && !this.#leave(call))) return;
    this.#count(outcome, now);
  }

  /** A result that doesn't: that of the canExecute caller who has waited longest. */
  record(outcome: Outcome, now: number): void {
    const call = this.#probes.find(({ known }) => !known);
    if (this.state === 'closed') this.#count(outcome, now);
    else if (call) this.settle(call, outcome, now);
  }

  reset(): void {
    this.halfOpenSuccesses = 0;
    this.halfOpenFailures = 0;
    this.#close();
  }

  stats(now: number): unknown {
    const { state, failures, lastFailureTime, halfOpenSuccesses, halfOpenFailures, opens } = this;
    const halfOpenActive = this.#probes.filter(({ lostAt }) => now < lostAt).length;
    return { state, failures, lastFailureTime, halfOpenSuccesses, halfOpenFailures, halfOpenActive, opens };
  }

  #count(outcome: Outcome, now: number): void {
    if (outcome === 'released') return;
    if (outcome === 'failed') this.lastFailureTime = now;
    if (this.state === 'closed') {
      this.failures = outcome === 'failed' ? this.failures + 1 : 0;
      if (this.failures === this.#options.maxFailures) this.#open(now);
    } else if (outcome === 'failed') {
      this.halfOpenFailures++;
      this.#open(now);
    } else if (++this.halfOpenSuccesses === this.#options.halfOpenSuccesses) this.#close();
  }

  #full(): boolean {
    return this.#probes.length === this.#options.maxHalfOpenRequests;
  }

  #leave(call: Call): boolean {
    const probing = call.probing;
    call.probing = false;
    this.#probes = this.#probes.filter((probe) => probe !== call);
    return probing;
  }

  #open(now: number): void {
    this.#enter('open');
    this.opens++;
    this.#openedAt = now;
  }

  #close(): void {
    this.#enter('closed');
    this.failures = 0;
  }

  #enter(state: CircuitState): void {
    this.state = state;
    this.#period++;
    this.#probes = [];
  }
}

const few = fc.integer({ min: 1, max: 3 });
const options: fc.Arbitrary<Options> = fc.record({
  maxFailures: few,
  maxHalfOpenRequests: few,
  halfOpenSuccesses: few,
});
const outcome = fc.constantFrom<Outcome>('succeeded', 'failed', 'failed', 'released');
const call = fc.record({ do: fc.constant('call' as const) });
const settle = fc.record({ do: fc.constant('settle' as const), which: fc.nat(9), outcome });
const wait = fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1, 60, TIMEOUT, LOST) });
const reset = fc.record({ do: fc.constant('reset' as const) });
const ask = fc.record({ do: fc.constant('ask' as const) });
const record = fc.record({ do: fc.constant('record' as const), outcome: fc.constantFrom('succeeded', 'failed') });

describe('a breaker among random outcomes', () => {
  it('does as the model does, with results in any order, late, twice or never', () => {
    const step = fc.oneof(
      { weight: 5, arbitrary: call },
      { weight: 5, arbitrary: settle },
      { weight: 3, arbitrary: wait },
      { weight: 2, arbitrary: ask },
      { weight: 2, arbitrary: record },
      { weight: 1, arbitrary: reset },
    );
    const seen = new Set<string>();
    fc.assert(
      fc.property(options, fc.array(step, { maxLength: 40, size: 'max' }), (options, steps) => {
        let now = 0;
        const breaker = new CircuitBreaker({ ...options, timeoutMs: TIMEOUT, clock: () => now });
        const model = new Model(options);
        const calls: { permit: number; call: Call }[] = [];
        const real: unknown[] = [];
        const wanted: unknown[] = [];
        for (const step of steps) {
          if (step.do === 'wait') now += step.ms;
          else if (step.do === 'call') {
            const permit = breaker.acquire();
            const call = model.admit(now, true);
            if (call) calls.push({ permit, call });
            real.push(permit > 0);
            wanted.push(call !== undefined);
          } else if (step.do === 'settle') {
            const found = calls.at(-1 - step.which);
            if (!found) continue;
            breaker[step.outcome](found.permit);
            model.settle(found.call, step.outcome, now);
          } else if (step.do === 'ask') {
            real.push(breaker.canExecute());
            wanted.push(model.admit(now, false) !== undefined);
          } else if (step.do === 'record') {
            if (step.outcome === 'succeeded') breaker.recordSuccess();
            else breaker.recordFailure();
            model.record(step.outcome as Outcome, now);
          } else {
            breaker.reset();
            model.reset();
          }
          real.push(breaker.stats());
          wanted.push(model.stats(now));
          seen.add(`${model.state} ${step.do}`);
        }
        expect(real).toEqual(wanted);
      }),
      { numRuns: 10_000 },
    );
    // Every step was seen to end in every state (but reset only in closed); else the runs would say less than they seem to.
    expect(seen.size).toBe(16);
  });

  it('does as the model does when functions are executed, and their callers may go away', async () => {
    const step = fc.oneof(
      { weight: 5, arbitrary: call },
      { weight: 5, arbitrary: settle },
      { weight: 2, arbitrary: wait },
    );
    await fc.assert(
      fc.asyncProperty(options, fc.array(step, { maxLength: 30, size: 'max' }), async (options, steps) => {
        let now = 0;
        const breaker = new CircuitBreaker({ ...options, timeoutMs: TIMEOUT, clock: () => now });
        const model = new Model(options);
        const calls: { end: (outcome: Outcome) => Promise<void>; call: Call }[] = [];
        for (const step of steps) {
          if (step.do === 'wait') now += step.ms;
          else if (step.do === 'call') {
            const end = execute(breaker);
            const call = model.admit(now, true);
            expect(end !== undefined).toBe(call !== undefined);
            if (end && call) calls.push({ end, call });
          } else {
            const [found] = calls.splice(-1 - step.which, 1);
            if (!found) continue;
            model.settle(found.call, step.outcome, now);
            await found.end(step.outcome);
          }
          expect(breaker.stats()).toEqual(model.stats(now));
        }
      }),
      { numRuns: 1000 },
    );
  });
});

/** Executes a function that ends when it is told how; undefined when the breaker doesn't call it. */
function execute(breaker: CircuitBreaker): ((outcome: Outcome) => Promise<void>) | undefined {
  const controller = new AbortController();
  const ends: Record<Outcome, () => void> = { succeeded() {}, failed() {}, released: () => controller.abort() };
  let called = false;
  const fn = () =>
    new Promise<void>((resolve, reject) => {
      called = true;
      ends.succeeded = resolve;
      ends.failed = () => reject(new Error('no'));
    });
  const settled = breaker.execute(fn, { signal: controller.signal }).catch(() => {});
  if (!called) return undefined;
  return (outcome) => {
    ends[outcome]();
    return settled;
  };
}
