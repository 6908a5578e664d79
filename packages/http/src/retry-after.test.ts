import { afterEach, describe, expect, it, vi } from 'vitest';
import { parseRetryAfter } from './retry-after.js';

const NOW = Date.UTC(1994, 10, 6, 8, 49, 0);

afterEach(() => vi.unstubAllEnvs());

describe('a date in Retry-After', () => {
  it.each(['Sun, 06 Nov 1994 08:49:37 GMT', 'Sunday, 06-Nov-94 08:49:37 GMT', 'Sun Nov  6 08:49:37 1994'])(
    'means GMT wherever the client is, in each form that HTTP knows: %s',
    (date) => {
      vi.stubEnv('TZ', 'America/New_York');
      expect(parseRetryAfter(date, NOW)).toBe(37_000);
    },
  );

  it.each(['Retry 5', 'soon', '5.5', '-1', '', '120, 120'])('is not what %j says', (value) => {
    expect(parseRetryAfter(value, NOW)).toBeUndefined();
  });
});
