import { describe, expect, it } from 'vitest';
import { isNuGetRequest } from './nuget-path.js';

const HASH = 'ab'.repeat(32);

describe('a request', () => {
  it.each([
    ['GET', '/nuget/v3/index.json'],
    ['HEAD', '/nuget/up/v2?x'],
    ['GET', '/nuget//v3//index.json'],
    ['GET', '/nuget//up//v3/index.json'],
    ['GET', '/nuget'],
    ['GET', '/nuget/?x'],
    ['PUT', '/nuget/'],
    ['PUT', '/nuget/hosted'],
    ['PUT', '/api/v2/package/'],
    ['DELETE', '/api/v2/package/A/1.0.0'],
    ['DELETE', '/nuget/A/1.0.0'],
    ['POST', '/nuget/hosted/A/1.0.0?x'],
  ])('%s %s is for a feed', (method, url) => {
    expect(isNuGetRequest({ method, url })).toBe(true);
  });

  it.each([
    ['GET', '/'],
    ['GET', '/nugets'],
    ['GET', '/nuget/hosted'],
    ['GET', '/api/v2/package/A/1.0.0'],
    ['GET', `/nuget/cas/${HASH}`],
    ['PUT', `/nuget/ac/${HASH}`],
    ['PUT', `/nuget/x/cas/${HASH}`],
    ['PUT', `/api/v2/package/ac/${HASH}`],
    ['DELETE', `/nuget/ac/${HASH}`],
    ['DELETE', `/nuget/x/cas/${HASH}`],
    ['DELETE', `/cas/${HASH}`],
    ['PUT', undefined],
  ])('%s %s is for the cache', (method, url) => {
    expect(isNuGetRequest({ method, ...(url !== undefined && { url }) })).toBe(false);
  });
});
