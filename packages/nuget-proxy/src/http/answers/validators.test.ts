import { describe, expect, it } from 'vitest';
import { isAnother, isUnmodified, wantsRangeOf } from './validators.js';

const lastModified = new Date('2026-01-02T03:04:05.678Z');
const KNOWN = { etag: '"abc"', lastModified };
const DATE = lastModified.toUTCString();
const EARLIER = new Date(lastModified.getTime() - 2000).toUTCString();
const LATER = new Date(lastModified.getTime() + 2000).toUTCString();

describe('a representation', () => {
  it.each([
    ['"abc"', true],
    ['W/"abc"', true],
    ['"x", "abc"', true],
    ['"x","y"', false],
    ['*', true],
    ['abc', false],
    ['"abc-gzip"', false],
  ])('with a tag and %s in If-None-Match', (tags, unmodified) => {
    expect(isUnmodified({ 'if-none-match': tags }, KNOWN)).toBe(unmodified);
  });

  it.each([
    [DATE, true],
    [LATER, true],
    [EARLIER, false],
    ['nonsense', false],
  ])('with a date and %s in If-Modified-Since', (since, unmodified) => {
    expect(isUnmodified({ 'if-modified-since': since }, KNOWN)).toBe(unmodified);
  });

  it('is compared by date only when there is no tag to compare', () => {
    expect(isUnmodified({ 'if-none-match': '"x"', 'if-modified-since': LATER }, KNOWN)).toBe(false);
    expect(isUnmodified({ 'if-none-match': '*' }, { etag: undefined, lastModified })).toBe(false);
    expect(isUnmodified({ 'if-modified-since': LATER }, { etag: '"abc"' })).toBe(false);
    expect(isUnmodified({}, KNOWN)).toBe(false);
  });

  it.each([
    [undefined, true],
    ['"abc"', true],
    [' "abc" ', true],
    ['W/"abc"', false],
    ['"x"', false],
    [DATE, true],
    [EARLIER, false],
    [LATER, false],
    ['nonsense', false],
  ])('has a range for If-Range %j: %s', (condition, wanted) => {
    expect(wantsRangeOf({ 'if-range': condition }, KNOWN)).toBe(wanted);
  });

  it.each([
    [{ 'if-match': '"abc"' }, false],
    [{ 'if-match': '"x", "abc"' }, false],
    [{ 'if-match': '*' }, false],
    [{ 'if-match': 'W/"abc"' }, true],
    [{ 'if-match': '"x"' }, true],
    [{ 'if-match': '"abc"', 'if-unmodified-since': EARLIER }, false],
    [{ 'if-unmodified-since': DATE }, false],
    [{ 'if-unmodified-since': LATER }, false],
    [{ 'if-unmodified-since': EARLIER }, true],
    [{ 'if-unmodified-since': 'nonsense' }, false],
    [{}, false],
  ])('is another one for %j: %s', (headers, another) => {
    expect(isAnother(headers, KNOWN)).toBe(another);
  });

  it('has none for a condition when nothing is known of it', () => {
    expect(wantsRangeOf({ 'if-range': '"abc"' }, { etag: undefined })).toBe(false);
    expect(wantsRangeOf({ 'if-range': DATE }, { etag: undefined })).toBe(false);
  });
});
