import { describe, expect, it } from 'vitest';
import { preferredCoding } from './negotiation.js';

describe('the coding that a client likes best', () => {
  it.each([
    [undefined, 'identity'],
    ['', 'identity'],
    ['identity', 'identity'],
    ['gzip', 'gzip'],
    ['x-gzip', 'gzip'],
    ['GZIP', 'gzip'],
    ['gzip, deflate', 'gzip'],
    ['gzip, deflate, br', 'br'],
    ['br', 'br'],
    ['br;q=0.5, gzip;q=0.8', 'gzip'],
    ['br;q=0.8,gzip;q=0.8', 'br'],
    ['br;q=0, gzip;q=0', 'identity'],
    ['br; q=0 , gzip ; Q=0.1', 'gzip'],
    ['gzip;q=nonsense', 'identity'],
    ['identity;q=0.5, gzip;q=0.2', 'identity'],
    ['identity;q=0.5, gzip;q=0.2, br;q=0.5', 'br'],
    ['identity, gzip', 'gzip'],
    ['deflate', 'identity'],
    ['*', 'identity'],
    ['*;q=0', 'identity'],
    ['identity;q=0', 'identity'],
    ['identity;q=0, gzip;q=0.1', 'gzip'],
    ['identity;q=0, *', 'br'],
    ['*;q=0.1, identity;q=0', 'br'],
    ['identity;q=0, gzip;q=0, *;q=0.5', 'br'],
    ['identity;q=0, x-gzip;q=0, br;q=0, *', 'identity'],
    ['gzip;q=0, *', 'identity'],
    ['brotli, gzipped', 'identity'],
  ])('of %j is %s', (header, coding) => {
    expect(preferredCoding(header)).toBe(coding);
  });
});
