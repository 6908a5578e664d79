const HEX = /^[0-9a-f]+$/;
const ONLY_ZEROS = /^0+$/;
/** Every byte in two digits: nine times as fast as `toString(16)` (benchmark `request whose caller is not sampled`). */
const BYTES: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** Whether the text is an id of so many hexadecimal digits in lower case, and not all zeros, which means none. */
export function isId(text: string, digits: number): boolean {
  return text.length === digits && HEX.test(text) && !ONLY_ZEROS.test(text);
}

/** Words that are made at once. */
const WORDS_AHEAD = 96;
const DIGITS_OF_WORD = 8;

let ahead = '';
let used = 0;

/** A random id of 8 hexadecimal digits for each word. Ids need to be unique, not unguessable. */
export function randomId(words: number): string {
  const from = used;
  used += words * DIGITS_OF_WORD;
  if (used <= ahead.length) return ahead.slice(from, used);
  ahead = randomWords(WORDS_AHEAD);
  used = words * DIGITS_OF_WORD;
  return ahead.slice(0, used);
}

function randomWords(words: number): string {
  let digits = '';
  for (let i = 0; i < words; i++) {
    // No word is zero, because no id may be nothing but zeros.
    const word = 1 + Math.floor(Math.random() * 0xffff_ffff);
    digits += `${byte(word >>> 24)}${byte(word >>> 16)}${byte(word >>> 8)}${byte(word)}`;
  }
  return digits;
}

const byte = (word: number): string => BYTES[word & 0xff] ?? '00';
