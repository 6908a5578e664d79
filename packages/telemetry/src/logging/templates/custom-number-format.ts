import type { NumberFormat } from './number-format.js';

/** What stands for itself, a digit, or the point. Commas are gone: they are in the section's `grouped` and `scale`. */
type Part = { readonly text: string } | '0' | '#' | '.';

/** One of up to three formats, with semicolons between them: for numbers above zero, below zero, and zero. */
interface Section {
  readonly parts: readonly Part[];
  /** How many digits the whole part and the fraction may have. */
  readonly wholePlaces: number;
  readonly places: number;
  /** How many digits they have at least. */
  readonly wholeDigits: number;
  readonly fractionDigits: number;
  readonly grouped: boolean;
  /** Power of ten that the number is multiplied by: 2 for each `%`, -3 for each comma before the point. */
  readonly scale: number;
}

/** A number without its sign: `0.DIGITS` times ten to the power of `exponent`; zero has no digits. */
interface Decimal {
  readonly digits: string;
  readonly exponent: number;
}

const TOKEN = /\\(.)|'([^']*)'|"([^"]*)"|([0#.,;%‰])|(.)/gs;
const SCIENTIFIC = /E[+-]?0/i;
/** Digits that a binary fraction has for certain: with more, 1.005 would be 1.00499999999999989. */
const PRECISION = 15;

/**
 * A format of .NET that shows where the digits go: `0` a digit, `#` one if there is one, `#,##0` thousands separated,
 * `0.0#` digits behind the point, `0%` per cent, `0,` in thousands, `'text'` and `\` for what stands for itself, and
 * semicolons between formats for numbers above zero, below it, and zero. Undefined for what has no place for a digit and
 * for scientific notation.
 */
export function customFormat(format: string): NumberFormat | undefined {
  if (SCIENTIFIC.test(format)) return undefined;
  const [above, below, zero] = sectionsOf(format);
  if (above === undefined || above.wholePlaces + above.places === 0) return undefined;
  return (value) => {
    const decimal = decimalOf(value);
    const section = value < 0 ? (below ?? above) : above;
    const rounded = round(decimal, section);
    // What is rounded to zero is shown as zero is.
    if (rounded.digits === '') return write(ZERO, zero ?? above);
    return (value < 0 && below === undefined ? '-' : '') + write(rounded, section);
  };
}

/** Undefined for one that is empty: there the first holds. */
function sectionsOf(format: string): (Section | undefined)[] {
  const sections: (Section | undefined)[] = [];
  let tokens: RegExpExecArray[] = [];
  for (const token of format.matchAll(TOKEN)) {
    if (token[4] !== ';') {
      tokens.push(token);
      continue;
    }
    sections.push(sectionOf(tokens));
    tokens = [];
  }
  return [...sections, sectionOf(tokens)];
}

function sectionOf(tokens: readonly RegExpExecArray[]): Section | undefined {
  if (tokens.length === 0) return undefined;
  const parts: Part[] = [];
  let [wholePlaces, places, wholeDigits, fractionDigits, scale, commas] = [0, 0, 0, 0, 0, 0];
  let [grouped, hasPoint] = [false, false];
  for (const [, escaped, single, double, special, other] of tokens) {
    if (special === '0' || special === '#') {
      // Commas between digits separate thousands; the last ones before the point divide by them.
      if (!hasPoint && commas > 0) grouped = true;
      if (hasPoint) places++;
      else wholePlaces++;
      if (!hasPoint) commas = 0;
      if (special === '0' && hasPoint) fractionDigits = places;
      // From the first zero on there are digits.
      if (!hasPoint && (special === '0' || wholeDigits > 0)) wholeDigits++;
      parts.push(special);
    } else if (special === '.') {
      if (!hasPoint) parts.push('.');
      hasPoint = true;
    } else if (special === ',') {
      if (!hasPoint && wholePlaces > 0) commas++;
    } else {
      if (special === '%') scale += 2;
      if (special === '‰') scale += 3;
      parts.push({ text: escaped ?? single ?? double ?? special ?? other ?? '' });
    }
  }
  return { parts, wholePlaces, places, wholeDigits, fractionDigits, grouped, scale: scale - 3 * commas };
}

function decimalOf(value: number | bigint): Decimal {
  if (typeof value === 'bigint') {
    const all = String(value < 0n ? -value : value);
    return value === 0n ? ZERO : { digits: all, exponent: all.length };
  }
  if (value === 0) return ZERO;
  const [mantissa = '', power] = Math.abs(value)
    .toExponential(PRECISION - 1)
    .split('e');
  return { digits: mantissa.replace('.', ''), exponent: Number(power) + 1 };
}

const ZERO: Decimal = { digits: '', exponent: 0 };

/** To as many digits as the section has places for behind the point, a half up. */
function round({ digits, exponent }: Decimal, { places, scale }: Section): Decimal {
  if (digits === '') return ZERO;
  const scaled = exponent + scale;
  const kept = scaled + places;
  if (kept < 0) return ZERO;
  if (kept >= digits.length) return { digits, exponent: scaled };
  const up = digits.charCodeAt(kept) >= HALF;
  const rounded = String(BigInt(`0${digits.slice(0, kept)}`) + (up ? 1n : 0n));
  if (rounded === '0') return ZERO;
  // What is rounded up to the next power of ten is one digit longer.
  return { digits: rounded, exponent: scaled + rounded.length - kept };
}

const HALF = '5'.charCodeAt(0);

function write({ digits, exponent }: Decimal, section: Section): string {
  const { parts, wholePlaces, places, wholeDigits, fractionDigits, grouped } = section;
  const whole = (exponent > 0 ? digits.slice(0, exponent).padEnd(exponent, '0') : '').padStart(wholeDigits, '0');
  const behind = exponent > 0 ? digits.slice(exponent) : digits.padStart(digits.length - exponent, '0');
  const fraction = behind.slice(0, places).replace(/0+$/, '').padEnd(fractionDigits, '0');
  let written = '';
  let wholeLeft = wholePlaces;
  let next = 0;
  const writeWhole = (upTo: number): void => {
    for (; next < upTo; next++) {
      if (grouped && next > 0 && (whole.length - next) % 3 === 0) written += ',';
      written += whole[next];
    }
  };
  let fractionNext = 0;
  let afterPoint = false;
  for (const part of parts) {
    if (typeof part === 'object') {
      written += part.text;
    } else if (part === '.') {
      writeWhole(whole.length);
      if (fraction !== '') written += '.';
      afterPoint = true;
    } else if (afterPoint) {
      written += fraction[fractionNext++] ?? '';
    } else {
      // The first place has all digits that there is no other one for.
      writeWhole(whole.length - --wholeLeft);
    }
  }
  return written;
}
