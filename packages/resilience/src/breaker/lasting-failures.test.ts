import { beforeEach, describe, expect, it } from 'vitest';
import { InvalidOptionError } from '../errors.js';
import { ManualTime } from '../testing/index.js';
import { CircuitBreaker } from './circuit-breaker.js';
import { lastingFailures } from './lasting-failures.js';

let time: ManualTime;
let breaker: CircuitBreaker;

beforeEach(() => {
  time = new ManualTime();
  breaker = new CircuitBreaker({ strategy: lastingFailures(5, 5000), clock: time.clock });
});

function fail(times: number): void {
  for (let i = 0; i < times; i++) breaker.recordFailure();
}

describe('a breaker that opens for failures that last', () => {
  it('stays closed whatever fails in a moment', async () => {
    fail(100);
    await time.advance(4999);
    fail(100);
    expect(breaker.state).toBe('closed');
  });

  it('opens when it goes on', async () => {
    fail(4);
    await time.advance(5000);
    fail(1);
    expect(breaker.state).toBe('open');
  });

  it('stays closed for few failures, however long they take', async () => {
    fail(1);
    await time.advance(60_000);
    fail(3);
    expect(breaker.state).toBe('closed');
  });

  it('begins anew after a success, and when it has been open', async () => {
    fail(4);
    await time.advance(5000);
    breaker.recordSuccess();
    fail(10);
    expect(breaker.state).toBe('closed');
    await time.advance(5000);
    fail(1);
    expect(breaker.state).toBe('open');
    breaker.reset();
    fail(10);
    expect(breaker.state).toBe('closed');
  });

  it.each([
    ['maxFailures', 0, 1],
    ['maxFailures', 1.5, 1],
    ['lastMs', 1, -1],
    ['lastMs', 1, Number.NaN],
  ])('takes no %s that makes no sense (%d, %d)', (option, maxFailures, lastMs) => {
    expect(() => lastingFailures(maxFailures, lastMs)).toThrow(InvalidOptionError);
    expect(() => lastingFailures(maxFailures, lastMs)).toThrow(option);
  });
});
