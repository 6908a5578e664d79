import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { customFormat } from './custom-number-format.js';

const show = (format: string, value: number | bigint) => customFormat(format)?.(value);

describe('a format that shows where the digits go', () => {
  it.each([
    ['0.00', 1, '1.00'],
    ['0.00', 12.345, '12.35'],
    ['0.00', -12.345, '-12.35'],
    ['0.00', 0.994, '0.99'],
    ['0.00', 0.995, '1.00'],
    ['0.00', 0.005, '0.01'],
    ['0.00', 0.0005, '0.00'],
    ['0.00', 999.999, '1000.00'],
    ['0.0', 1e21, '1000000000000000000000.0'],
    ['0.0', 5e-324, '0.0'],
    ['0.##', 1.5, '1.5'],
    ['0.##', 1, '1'],
    ['0.0#', 1, '1.0'],
    ['#.##', 0.25, '.25'],
    ['#.##', 0, ''],
    ['.00', 12.5, '12.50'],
    ['0', 2.5, '3'],
    ['0', -0.4, '0'],
    ['000', 7, '007'],
    ['000', 1234, '1234'],
    ['000', -7n, '-007'],
    ['#', 0, ''],
    ['#,##0', 1234567, '1,234,567'],
    ['#,##0.0', 1234.56, '1,234.6'],
    ['#,##0.0', 12, '12.0'],
    ['#,#', 999, '999'],
    ['#,##0', 123456789012345678901234n, '123,456,789,012,345,678,901,234'],
    ['0,000,000', 12, '0,000,012'],
    ['0,', 1234567, '1235'],
    ['0.0,,', 1234567, '1234567.0'],
    ['#,##0,,.0', 1234567890, '1,234.6'],
    ['0%', 0.256, '26%'],
    ['0.0 %', -0.25, '-25.0 %'],
    ['0.0‰', 0.0123, '12.3‰'],
    ['000-0000', 5551234, '555-1234'],
    ['0.0 ms', 1.25, '1.3 ms'],
    ["0' of 10'", 3, '3 of 10'],
    ['0"#"', 3, '3#'],
    ['\\#0', 3, '#3'],
    ['0;(0)', -3, '(3)'],
    ['0;;none', -3, '-3'],
    ['0;(0);none', 0, 'none'],
    ['0;(0);none', -0.2, 'none'],
    ['0;(0)', -0.2, '0'],
  ])('%j shows %s as %j', (format, value, expected) => {
    expect(show(format, value)).toBe(expected);
  });

  it.each(['', 'what?', 'HH:mm', '.', ';0', '0.00E+00', '0e0'])('is not %j', (format) => {
    expect(customFormat(format)).toBeUndefined();
  });

  it('shows as many digits as toFixed does, and never another number', () => {
    const amount = fc.tuple(fc.integer({ min: -1_000_000, max: 1_000_000 }), fc.integer({ min: 0, max: 4 }));
    fc.assert(
      fc.property(amount, fc.integer({ min: 1, max: 6 }), ([whole, decimals], places) => {
        const value = Number((whole / 10 ** decimals).toFixed(decimals));
        const shown = show(`0.${'0'.repeat(places)}`, value) as string;
        expect(shown).toMatch(new RegExp(`^-?\\d+\\.\\d{${places}}$`));
        expect(Math.abs(Number(shown) - value)).toBeLessThanOrEqual(0.5000001 * 10 ** -places);
        if (places >= decimals) expect(Number(shown)).toBe(value === 0 ? 0 : value);
      }),
    );
  });

  it('takes any text', () => {
    const text = fc.string({
      unit: fc.constantFrom('0', '#', '.', ',', ';', '%', '\\', "'", '"', 'E', '+', 'x', '😀'),
    });
    const number = fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.bigInt());
    fc.assert(
      fc.property(text, number, (format, value) => {
        expect(typeof (show(format, value) ?? '')).toBe('string');
      }),
    );
  });
});
