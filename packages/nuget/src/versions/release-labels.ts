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

/**
 * Compares two sequences of labels, neither of them empty, in their written form.
 *
 * Labels are compared where they stand: cutting them out first would cost several times as much, and numbers would have
 * to be made of digits that may be too many for one. Without leading zeros the longer number is the larger one.
 */
export function compareReleases(a: string, b: string): number {
  let at = 0;
  let aStart = 0;
  let bothNumeric = true;
  // As long as both are the same, their labels begin and end in the same places.
  for (; ; at++) {
    const aCode = at < a.length ? foldCase(a.charCodeAt(at)) : DOT;
    const bCode = at < b.length ? foldCase(b.charCodeAt(at)) : DOT;
    if (aCode !== bCode) return compareLabels(a, b, aStart, at, bothNumeric);
    if (aCode === DOT) {
      if (at >= a.length || at >= b.length) return a.length - b.length;
      aStart = at + 1;
      bothNumeric = true;
    } else if (aCode < ZERO || aCode > NINE) bothNumeric = false;
  }
}

/** Compares the labels that begin at `start` in both and differ from `at` on; up to there they may be numeric. */
function compareLabels(a: string, b: string, start: number, at: number, mayBeNumeric: boolean): number {
  const aEnd = mayBeNumeric ? numberEnd(a, at, start) : -1;
  const bEnd = mayBeNumeric ? numberEnd(b, at, start) : -1;
  if (aEnd >= 0 && bEnd >= 0) return aEnd !== bEnd ? aEnd - bEnd : a.charCodeAt(at) - b.charCodeAt(at);
  if (aEnd >= 0) return -1;
  if (bEnd >= 0) return 1;
  const aCode = at < a.length ? a.charCodeAt(at) : DOT;
  const bCode = at < b.length ? b.charCodeAt(at) : DOT;
  // The end of a label comes before whatever the other one goes on with.
  if (aCode === DOT) return -1;
  if (bCode === DOT) return 1;
  return foldCase(aCode) - foldCase(bCode);
}

/** Where the label ends, all of whose characters are digits; -1 when one isn't, or when there are none. */
function numberEnd(text: string, at: number, start: number): number {
  for (; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === DOT) break;
    if (code < ZERO || code > NINE) return -1;
  }
  return at > start ? at : -1;
}

function foldCase(code: number): number {
  return code >= LOWER_A && code <= LOWER_Z ? code - 32 : code;
}

function isLetter(code: number): boolean {
  return (code >= LOWER_A && code <= LOWER_Z) || (code >= UPPER_A && code <= UPPER_Z);
}
