import { findUserinfo } from './userinfo.js';
import { findXmlSecrets } from './xml-secrets.js';

export const REDACTED = '[redacted]';
/** Two do, the second of which finds nothing; few texts made to deceive need three. */
const MAX_PASSES = 4;

/** Names whose values are secrets, as texts have them: `X-Amz-Signature=`, `"password":`, `Authorization: `. */
const NAME = new RegExp(
  [
    // Their values may be made of several words: they reach to the end of the line.
    '(?:(authorization|cookies?)',
    // What else is said after `token:` is often prose.
    '|(token|signature|credentials?)',
    '|passw(?:or)?ds?|passphrase|secret|(?:api|access|private|secret|account)[-_]?key|(?<![a-z0-9])(?:pwd|sig|auth))',
    '(?:[-_]?(?:value|hash))?\\d{0,3}',
    '(\\\\{0,7}["\'`]?)\\]?',
    '(?:[ \\t]{0,4}(=>?|:|%3[ad]|,(?=\\s?\\\\{0,7}["\'`]))[ \\t]{0,4}|(?<=--[a-z-]{3,40})[ \\t])',
  ].join(''),
  'gi',
);
const QUOTE = /\\{0,7}["'`]/y;
const WORD = /(?:(?:basic|bearer|digest|negotiate|token|apikey)[ \t]+)?(?:[^\s"'`&,;]|,(?=[^\s"'`]))+/iy;
const SCHEME_BEFORE = /(?:basic|bearer|digest|negotiate|token|apikey)[ \t]+/iy;
/** What a name without quotes is followed by, too, without giving a secret away. */
const HARMLESS = /^(?:null|undefined|true|false|none|\[redacted\])[)\]}]*$/i;
const MASK = '\uE000';
const LOOKS_RANDOM = /\d|^.{20}/;
/** A value that is a name itself ends so; a longer one isn't looked at again, so that many in a row take no time. */
const NAME_END = /[:=]$/;
const MAX_NAME = 40;

const SCHEME = /(?<![\w-])(?:basic|bearer|negotiate)\s{1,4}([A-Za-z0-9._~+/-]+=*)/gi;
/** What a sentence about the schemes says after their names. */
const PROSE =
  /^(?:tokens?|auth|authentication|authorization|credentials?|challenge|scheme|realm|header|usage|a|an|and|or|the|of|is|are|was|were|not|in|for|with|to|on|by|from)\.?$/i;

/** Secrets that are known by their looks: JSON web tokens, private keys, tokens of GitHub and of npm. */
const SHAPES =
  /(?<![\w-])eyJ[\w-]{6,}\.[\w-]{6,}(?:\.[\w-]*)?|-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----(?:(?!-----END)[\s\S])*|(?<!\w)(?:gh[opsru]_|github_pat_|npm_)\w{20,}/g;

/** A text without any of these holds nothing that is looked for. */
const SUSPICIOUS =
  /@|%40|passw|passphrase|secret|token|[-_ aistp]key|pwd|sig|auth|cookie|credential|basic|bearer|negotiate|eyJ|gh[opsru]_|npm_/i;

/** Characters of which a text must have one before it is worth a look, by their codes. */
const WORTH_A_LOOK = new Uint8Array(128);
for (const character of '@=%:, <_J\t\n') WORTH_A_LOOK[character.charCodeAt(0)] = 1;
const COLON = 58;
const SLASH = 47;
// eyJ, as JSON web tokens begin.
const CAPITAL_J = 74;
const SMALL_Y = 121;

/** Whether a text may hold a secret, or the half of one: nearly free for texts that don't. */
export function isSuspicious(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 127 || WORTH_A_LOOK[code] === 0) continue;
    if (code === COLON && text.charCodeAt(i + 1) === SLASH && text.charCodeAt(i + 2) === SLASH) continue;
    if (code === CAPITAL_J && text.charCodeAt(i - 1) !== SMALL_Y) continue;
    return SUSPICIOUS.test(text);
  }
  return false;
}

/**
 * The text without passwords in URLs, values of `Authorization` and `Cookie` headers, parameters and fields that are
 * named like secrets, and tokens that are known by their looks. Takes time in proportion to the text.
 */
export function redactText(text: string): string {
  if (!isSuspicious(text)) return text;
  let shown = text;
  // Without what was hidden the rest may read as a secret of its own.
  for (let pass = 0; pass < MAX_PASSES; pass++) {
    const secrets = findSecrets(shown);
    if (secrets.length === 0) break;
    shown = hide(shown, secrets);
  }
  return shown;
}

/** The text with something else in the place of each range. */
export function hide(text: string, ranges: readonly Range[]): string {
  if (ranges.length === 0) return text;
  let shown = '';
  let end = 0;
  for (const range of ranges) {
    shown += text.slice(end, range.start) + REDACTED;
    end = range.end;
  }
  return shown + text.slice(end);
}

/** Longest secret that a cut may go through: what is behind the cut says that it is one, such as the `@` of a URL. */
const MAX_SECRET_CHARACTERS = 1024;

/** The beginning of a text, as {@link redactText} shows it: with `…` behind it where more than `maxLength` is left out. */
export function redactStart(text: string, maxLength: number): string {
  const seen = text.slice(0, maxLength + MAX_SECRET_CHARACTERS);
  const shown = redactText(seen);
  // Where the look ended a secret may have been cut, that nobody knows as one any more.
  const sure = seen.length < text.length ? Math.max(0, shown.length - MAX_SECRET_CHARACTERS) : shown.length;
  if (seen.length === text.length && sure <= maxLength) return shown;
  return `${shown.slice(0, Math.min(maxLength, sure))}…`;
}

/** A part of a text, from `start` to before `end`. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** Where the secrets of a text are, in order, apart from each other; what is redacted already is none. */
export function findSecrets(text: string): Range[] {
  const found: Range[] = [];
  findUserinfo(text, found);
  const masked = mask(text, found);
  findNamed(masked, found);
  findXmlSecrets(masked, found);
  for (const { 0: match, 1: token = '', index } of masked.matchAll(SCHEME)) {
    const end = index + match.length;
    if (!PROSE.test(token)) found.push({ start: end - token.length, end });
  }
  for (const { 0: match, index } of masked.matchAll(SHAPES)) found.push({ start: index, end: index + match.length });
  return merge(found).filter(({ start, end }) => text.slice(start, end) !== REDACTED);
}

/** What is hidden in any case, as characters that neither begin nor end anything: the rest reads as it will be shown. */
function mask(text: string, ranges: readonly Range[]): string {
  if (ranges.length === 0) return text;
  let masked = '';
  let at = 0;
  for (const { start, end } of ranges) {
    masked += text.slice(at, start) + MASK.repeat(end - start);
    at = end;
  }
  return masked + text.slice(at);
}

function findNamed(text: string, found: Range[]): void {
  NAME.lastIndex = 0;
  for (let match = NAME.exec(text); match !== null; match = NAME.exec(text)) {
    const [, line, weak, quote = '', separator] = match;
    const start = NAME.lastIndex;
    // A comma stands between names and values in lists of headers, and between any words elsewhere.
    if (separator === ',' && (quote === '' || line === undefined)) continue;
    const value = valueAt(text, start, line !== undefined && separator === ':' ? quoteBefore(text, match.index) : null);
    if (value.end <= value.start) continue;
    const shown = text.slice(value.start, value.end);
    const prose =
      weak !== undefined &&
      separator === ':' &&
      quote === '' &&
      !value.quoted &&
      !LOOKS_RANDOM.test(shown.replaceAll(REDACTED, '').replaceAll(MASK, ''));
    if (!prose && !HARMLESS.test(shown)) found.push(value);
    // What looks like a value may be the next name: `bad credentials: password: …`.
    const isName = !value.quoted && shown.length <= MAX_NAME && NAME_END.test(shown);
    NAME.lastIndex = prose || isName ? start : Math.max(value.end, start);
  }
}

interface Value extends Range {
  readonly quoted: boolean;
}

/** @param lineQuote null: the value is a word; else a line, which this quote ends if it isn't empty */
function valueAt(text: string, at: number, lineQuote: string | null): Value {
  QUOTE.lastIndex = at;
  const quote = QUOTE.exec(text)?.[0];
  if (quote !== undefined) {
    const start = at + quote.length;
    return { start, end: closing(text, start, quote), quoted: true };
  }
  SCHEME_BEFORE.lastIndex = at;
  const start = SCHEME_BEFORE.test(text) ? SCHEME_BEFORE.lastIndex : at;
  if (text.startsWith(REDACTED, start)) return { start, end: start + REDACTED.length, quoted: false };
  if (lineQuote !== null) return { start: at, end: lineEnd(text, at, lineQuote), quoted: false };
  WORD.lastIndex = at;
  return { start: at, end: at + (WORD.exec(text)?.[0].length ?? 0), quoted: false };
}

/** Where the quoted value ends. One that has no end was cut off: all that is left of the text belongs to it. */
function closing(text: string, start: number, quote: string): number {
  for (let at = text.indexOf(quote, start); at >= 0; at = text.indexOf(quote, at + 1)) {
    if (text[at - 1] !== '\\' || at === start) return at;
  }
  return text.length;
}

/** The quote around a whole header, as in `-H "Authorization: Basic …"`. */
function quoteBefore(text: string, nameStart: number): string {
  const before = text.slice(Math.max(0, nameStart - 10), nameStart);
  return /["'`](?=(?:proxy-|set-|x-)?$)/i.exec(before)?.[0] ?? '';
}

const LINE_ENDS = new Map(['', '"', "'", '`'].map((quote) => [quote, new RegExp(`[\\r\\n${quote}]`, 'g')]));

function lineEnd(text: string, start: number, quote: string): number {
  const end = LINE_ENDS.get(quote);
  if (end === undefined) return text.length;
  end.lastIndex = start;
  return end.exec(text)?.index ?? text.length;
}

function merge(ranges: Range[]): Range[] {
  const merged: { start: number; end: number }[] = [];
  for (const { start, end } of ranges.sort((a, b) => a.start - b.start)) {
    const last = merged.at(-1);
    if (last !== undefined && start <= last.end) last.end = Math.max(last.end, end);
    else merged.push({ start, end });
  }
  return merged;
}
