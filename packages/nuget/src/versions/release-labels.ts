const [HYPHEN, DOT, ZERO, NINE] = [0x2d, 0x2e, 0x30, 0x39];
const [UPPER_A, UPPER_Z, LOWER_A, LOWER_Z] = [0x41, 0x5a, 0x61, 0x7a];

/**
 * Whether a piece of a text is one or more labels, joined by dots: each of ASCII letters, digits and hyphens, none empty.
 * Numeric labels have no leading zeros, unless those are allowed, as they are in metadata.
 */
export function isRelease(text: string, start: number, end: number, allowLeadingZeros: boolean): boolean {
  let first = start;
  let numeric = true;
  for (let at = start; ; at++) {
    const code = at < end ? text.charCodeAt(at) : DOT;
    if (code === DOT) {
      if (at === first) return false;
      if (numeric && !allowLeadingZeros && at > first + 1 && text.charCodeAt(first) === ZERO) return false;
      if (at >= end) return true;
      first = at + 1;
      numeric = true;
    } else if (code < ZERO || code > NINE) {
      if (!isLetter(code) && code !== HYPHEN) return false;
      numeric = false;
    }
  }
}

/** A label as it is compared: numeric ones as numbers, however large, and all others in lower case. */
type LabelKey = number | bigint | string;

const DIGITS = /^\d+$/;
/** Numbers with as many digits are exact. */
const MAX_EXACT_DIGITS = 15;

/** What labels are compared by: made once for each version that is compared with one of the same numbers. */
export function labelKeys(labels: readonly string[]): readonly LabelKey[] {
  return labels.map((label) => {
    if (!DIGITS.test(label)) return label.toLowerCase();
    return label.length <= MAX_EXACT_DIGITS ? Number(label) : BigInt(label);
  });
}

/** From left to right: numbers come before other labels, and fewer labels before more. */
export function compareLabelKeys(a: readonly LabelKey[], b: readonly LabelKey[]): number {
  const shorter = Math.min(a.length, b.length);
  for (let i = 0; i < shorter; i++) {
    const x = a[i] as LabelKey;
    const y = b[i] as LabelKey;
    if (x === y) continue;
    const xIsNumber = typeof x !== 'string';
    if (xIsNumber !== (typeof y !== 'string')) return xIsNumber ? -1 : 1;
    return x < y ? -1 : 1;
  }
  return a.length - b.length;
}

function isLetter(code: number): boolean {
  return (code >= LOWER_A && code <= LOWER_Z) || (code >= UPPER_A && code <= UPPER_Z);
}
