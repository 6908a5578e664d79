import { HttpError } from '@granary/http';
import { TimeoutError } from '@granary/resilience';
import { describe, expect, it } from 'vitest';
import { SourceError } from '../errors.js';
import { retryBody } from './body-retries.js';
import { failureOf } from './source-failures.js';

const timers = { setTimeout: (callback: () => void) => setImmediate(callback), clearTimeout: () => {} };

/** How often something is asked for whose body begins and then fails. */
async function attemptsAt(error: unknown): Promise<number> {
  let attempts = 0;
  const attempt = (bodyBegins: () => void): Promise<never> => {
    attempts++;
    bodyBegins();
    return Promise.reject(error);
  };
  await expect(retryBody(attempt, { signal: undefined, timers })).rejects.toBe(error);
  return attempts;
}

describe('a body', () => {
  const stalled = Object.assign(new Error('Body Timeout Error'), { code: 'UND_ERR_BODY_TIMEOUT' });

  it.each([
    ['breaks off', failureOf('test', 'https://feed.example/', new HttpError('NETWORK', 'the connection failed'))],
    ['stalls', failureOf('test', 'https://feed.example/', new HttpError('TIMEOUT', 'stalled', { cause: stalled }))],
    ['is not what it should be', new SourceError('INVALID_PACKAGE', 'test', 'another package')],
  ])('that %s is asked for three times', async (_, error) => {
    expect(await attemptsAt(error)).toBe(3);
  });

  it('that used up the time for all attempts is not asked for again', async () => {
    const late = new HttpError('TIMEOUT', 'no complete answer in time', { cause: new TimeoutError(1000) });
    expect(await attemptsAt(failureOf('test', 'https://feed.example/', late))).toBe(1);
  });
});
