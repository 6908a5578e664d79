import { customFormat } from './custom-number-format.js';

/** Writes a number; finite, if it is no bigint. */
export type NumberFormat = (value: number | bigint) => string;

/**
 * `F2` fixed, `N1` with thousands separated, `P1` per cent, `D4` padded with zeros, `X` hexadecimal; or places for digits
 * as {@link customFormat} takes them. Undefined for a format that is not known, which is passed over: a record is worth
 * more than its looks.
 */
export function parseFormat(format: string | undefined): NumberFormat | undefined {
  if (!format) return undefined;
  const [, letter, count] = /^([FNPDX])(\d{0,2})$/i.exec(format) ?? [];
  if (letter === undefined) return customFormat(format);
  const kind = letter.toUpperCase();
  const digits = count ? Number(count) : undefined;
  return (value) => (typeof value === 'bigint' ? formatWhole(value, kind, digits) : formatAny(value, kind, digits));
}

/** From here on numbers are whole, and `toFixed` soon writes them with an exponent. */
const WHOLE_FROM = 1e18;

function formatAny(value: number, letter: string, digits: number | undefined): string {
  if (Math.abs(value) >= WHOLE_FROM) return formatWhole(BigInt(value), letter, digits);
  switch (letter) {
    case 'F':
      return value.toFixed(digits ?? 2);
    case 'N':
      return withThousands(value.toFixed(digits ?? 2));
    case 'P':
      return `${(value * 100).toFixed(digits ?? 2)}%`;
    default:
      return formatWhole(BigInt(Math.trunc(value)), letter, digits);
  }
}

function formatWhole(value: bigint, letter: string, digits: number | undefined): string {
  const sign = value < 0n ? '-' : '';
  const size = value < 0n ? -value : value;
  if (letter === 'X')
    return (
      sign +
      size
        .toString(16)
        .toUpperCase()
        .padStart(digits ?? 0, '0')
    );
  if (letter === 'D') return sign + size.toString().padStart(digits ?? 0, '0');
  const fraction = digits === 0 ? '' : `.${'0'.repeat(digits ?? 2)}`;
  if (letter === 'P') return `${value * 100n}${fraction}%`;
  return sign + (letter === 'N' ? withThousands(size.toString()) : size.toString()) + fraction;
}

function withThousands(fixed: string): string {
  const [whole = '', fraction] = fixed.split('.');
  const separated = whole.replace(/\d(?=(?:\d{3})+$)/g, '$&,');
  return fraction === undefined ? separated : `${separated}.${fraction}`;
}
