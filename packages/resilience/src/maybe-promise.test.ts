import { runInNewContext } from 'node:vm';
import { describe, expect, it, vi } from 'vitest';
import { CircuitBreaker } from './breaker/circuit-breaker.js';
import { isThenable, toMaybePromise } from './maybe-promise.js';
import { quietly } from './quietly.js';
import { untilAborted } from './until-aborted.js';

/** As Node's own are in the contexts that jest runs tests in. */
const ForeignPromise: PromiseConstructor = runInNewContext('Promise');

describe('an answer', () => {
  it('stays as it is where nothing has to be waited for', () => {
    for (const answer of [undefined, null, 0, '', 'text', true, {}, [], () => 1]) {
      expect(toMaybePromise(answer)).toBe(answer);
      expect(isThenable(answer)).toBe(false);
    }
    const promise = Promise.resolve(1);
    expect(toMaybePromise(promise)).toBe(promise);
  });

  it('becomes a promise of this realm where it is one of another', async () => {
    const answer = ForeignPromise.resolve('late');
    expect(answer).not.toBeInstanceOf(Promise);
    expect(toMaybePromise(answer)).toBeInstanceOf(Promise);
    expect(await toMaybePromise(answer)).toBe('late');
    await expect(toMaybePromise(ForeignPromise.reject(new Error('no')))).rejects.toThrow('no');
  });

  it('is asked for once where it begins when it is asked for', async () => {
    const begin = vi.fn((resolve: (value: string) => void) => resolve('rows'));
    // biome-ignore lint/suspicious/noThenProperty: what queries of several databases' clients have
    const answer = toMaybePromise({ then: begin } as unknown as PromiseLike<string>);
    expect([await answer, await answer]).toEqual(['rows', 'rows']);
    expect(begin).toHaveBeenCalledTimes(1);
  });
});

describe('promises of another realm', () => {
  it('are waited for no longer than until a signal is aborted', async () => {
    const controller = new AbortController();
    const waiting = untilAborted(new ForeignPromise(() => {}), controller.signal);
    controller.abort(new Error('gone'));
    await expect(waiting).rejects.toThrow('gone');
  });

  it('are counted by a breaker as they end', async () => {
    const breaker = new CircuitBreaker({ maxFailures: 1 });
    await expect(breaker.execute(() => ForeignPromise.reject(new Error('no')))).rejects.toThrow('no');
    expect(breaker.state).toBe('open');
  });

  it('end nothing where they reject and a listener gave them', async () => {
    const rejected = ForeignPromise.reject(new Error('no'));
    const caught = vi.spyOn(rejected, 'then');
    expect(quietly(() => rejected)).toBe(rejected);
    await new Promise(setImmediate);
    expect(caught).toHaveBeenCalled();
  });
});
