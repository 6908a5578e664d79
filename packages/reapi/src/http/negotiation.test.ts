import { describe, expect, it } from 'vitest';
import { acceptsCoding, prefersType } from './negotiation.js';

describe('negotiation', () => {
  it.each([
    ['zstd', true],
    ['gzip, zstd', true],
    ['ZSTD;q=0.5, gzip', true],
    ['gzip, zstd ; q=1', true],
    ['zstd, identity', true],
    ['zstd;q=0.5, identity;q=0.5', true],
    ['zstd;q=0.5, identity', false],
    ['identity;q=0, zstd;q=0.1', true],
    ['zstd;q=0', false],
    ['zstd;q=0.000', false],
    ['zstd;q=nonsense', false],
    ['gzip', false],
    ['*', false],
    ['', false],
    [undefined, false],
  ])('takes "%s" for zstd: %s', (header, expected) => {
    expect(acceptsCoding(header, 'zstd')).toBe(expected);
  });

  it.each([
    ['application/json', true],
    ['application/json; charset=utf-8', true],
    ['application/json;q=0.5, application/octet-stream', false],
    ['application/octet-stream;q=0.5, application/json;q=0.6', true],
    ['*/*', false],
    [undefined, false],
  ])('takes "%s" for JSON: %s', (header, expected) => {
    expect(prefersType(header, 'application/json')).toBe(expected);
  });
});
