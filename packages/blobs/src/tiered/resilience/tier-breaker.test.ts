import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { TierBreaker } from './tier-breaker.js';

describe("a tier's breaker", () => {
  it('counts no call that was given up, also where the error is of another realm as in the contexts of jest', async () => {
    const breaker = new TierBreaker({ maxFailures: 1 });
    const foreign = runInNewContext("Object.assign(new Error('gone'), { name: 'AbortError' })");
    for (const error of [new DOMException('gone', 'AbortError'), foreign]) {
      await expect(breaker.execute(() => Promise.reject(error))).rejects.toBe(error);
    }
    expect(breaker.state).toBe('closed');
    await expect(breaker.execute(() => Promise.reject(new Error('down')))).rejects.toThrow('down');
    expect(breaker.state).toBe('open');
  });
});
