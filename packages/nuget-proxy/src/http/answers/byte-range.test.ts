import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseRange } from './byte-range.js';

describe('a range of 100 bytes', () => {
  it.each([
    ['bytes=0-9', 0, 10],
    ['bytes=90-', 90, 10],
    ['bytes=99-99', 99, 1],
    ['bytes=50-1000', 50, 50],
    ['bytes=-10', 90, 10],
    ['bytes=-1000', 0, 100],
    [' bytes=0-0 ', 0, 1],
    ['Bytes=1-2', 1, 2],
  ])('%j is a part', (header, offset, length) => {
    expect(parseRange(header, 100)).toEqual({ offset, length });
  });

  it.each([
    [undefined],
    [''],
    ['bytes=-'],
    ['bytes='],
    ['bytes=5-4'],
    ['bytes=0-1,5-6'],
    ['items=0-1'],
    ['bytes=a-b'],
    ['bytes=--1'],
    ['bytes=0-99999999999999999999'],
  ])('%j is ignored, as servers may', (header) => {
    expect(parseRange(header, 100)).toBeUndefined();
  });

  it.each([['bytes=100-'], ['bytes=100-200'], ['bytes=9999999999999999-'], ['bytes=-0']])(
    '%j has none of them',
    (header) => {
      expect(() => parseRange(header, 100)).toThrow(
        expect.objectContaining({ status: 416, headers: { 'Content-Range': 'bytes */100' } }),
      );
    },
  );

  it('lies within what there is, always', () => {
    const end = fc.option(fc.nat(300), { nil: '' });
    fc.assert(
      fc.property(end, end, fc.nat(200), (first, last, size) => {
        try {
          const range = parseRange(`bytes=${first}-${last}`, size);
          if (range === undefined) return;
          expect(range.length).toBeGreaterThan(0);
          expect(range.offset).toBeGreaterThanOrEqual(0);
          expect(range.offset + range.length).toBeLessThanOrEqual(size);
        } catch (error) {
          expect(error).toMatchObject({ status: 416 });
        }
      }),
    );
  });
});
