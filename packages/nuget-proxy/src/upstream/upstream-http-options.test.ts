import { describe, expect, it } from 'vitest';
import { upstreamHttpOptions } from './upstream-http-options.js';

describe('failures of a source', () => {
  it('leave it alone when there are enough in a row, for some time', () => {
    let now = 1000;
    const { circuitBreaker, retry } = upstreamHttpOptions({ failures: 3, restMs: 2, firstRestMs: 1, retries: 2 });
    expect(circuitBreaker).toMatchObject({ timeoutMs: 2, quickTimeoutMs: 1 });
    expect(retry.maxRetries).toBe(2);
    const failing = circuitBreaker.strategy(() => now);
    // A burst is one failure.
    for (let i = 0; i < 50; i++) expect(failing.failure()).toBe(false);
    now += 1999;
    expect(failing.failure()).toBe(false);
    now += 1;
    expect(failing.failure()).toBe(true);
    failing.success();
    expect(failing.failures).toBe(0);
    expect(failing.failure()).toBe(false);
    now += 5000;
    expect(failing.failure()).toBe(false);
    expect(failing.failure()).toBe(true);
    failing.reset();
    expect(failing.failures).toBe(0);
    expect(failing.failure()).toBe(false);
  });

  it('are none of its answers but those that say that it is not well', () => {
    const { isFailureResult } = upstreamHttpOptions().circuitBreaker;
    const failing = [200, 404, 429, 500, 501, 503].filter((statusCode) => isFailureResult({ statusCode }));
    expect(failing).toEqual([500, 503]);
  });

  it("that say for how long they last are not the client's to wait out", () => {
    const { retry, opensWhenUnreachable } = upstreamHttpOptions();
    expect(retry.statusCodes).not.toContain(429);
    expect(retry.statusCodes).not.toContain(503);
    expect(opensWhenUnreachable).toBe(true);
  });
});
