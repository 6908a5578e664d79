import { afterEach, describe, expect, it, vi } from 'vitest';
import { asDate, parseJson } from './json.js';

const parse = (text: string) => parseJson(Buffer.from(text), 'feed', 'https://feed.example/v3/index.json');

describe('JSON of a source', () => {
  it.each(['0', '[]', '{}', '1.5', '[[]]'])('is refused where it holds more values than any feed has (%s)', (value) => {
    const text = `[${`${value},`.repeat(4_200_000)}0]`;
    expect(() => parse(text.padEnd(9 * 2 ** 20))).toThrow(
      expect.objectContaining({
        code: 'PROTOCOL',
        message: expect.stringContaining('JSON of more than 4000000 values'),
      }),
    );
  });

  it('may be long, and say little', () => {
    const text = 'x'.repeat(20 * 2 ** 20);
    expect(parse(JSON.stringify([text]))).toEqual([text]);
  });

  it('may be long, and have many values', () => {
    const value = { id: 'Contoso.Core', range: '[1.0.0, )', text: 'x'.repeat(100) };
    expect(parse(JSON.stringify(new Array(100_000).fill(value)))).toHaveLength(100_000);
  });
});

describe('a date', () => {
  afterEach(() => vi.unstubAllEnvs());

  it.each([
    '2022-08-10T09:35:30',
    ' 2022-08-10T09:35:30.000 ',
    '2022-08-10 09:35:30',
    '2022-08-10T09:35:30.0000000Z',
    '2022-08-10T09:35:30+0000',
    '2022-08-10T11:35:30+02:00',
  ])('%j is of UTC, unless it says another zone', (text) => {
    vi.stubEnv('TZ', 'Asia/Tokyo');
    expect(asDate(text)?.toISOString()).toBe('2022-08-10T09:35:30.000Z');
  });

  it.each(['', 'yesterday', 0, null])('%j is none', (value) => {
    expect(asDate(value)).toBeUndefined();
  });
});
