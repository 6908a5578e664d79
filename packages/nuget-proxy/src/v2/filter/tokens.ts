import { HttpError } from '../../http/http-error.js';

export type Token =
  | { readonly kind: 'text'; readonly value: string }
  | { readonly kind: 'number'; readonly value: number }
  /** Milliseconds since 1970. */
  | { readonly kind: 'date'; readonly value: number }
  | { readonly kind: 'word'; readonly value: string }
  | { readonly kind: 'mark'; readonly value: '(' | ')' | ',' };

const MAX_TEXT = 8192;
const MAX_TOKENS = 1500;
/** One alternative at a time, each linear: hostile texts cost no more than others. */
const TOKEN = /\s*(?:([Dd]ate[Tt]ime)?'((?:[^']|'')*)'|(-?\d+(?:\.\d+)?)[LlMmFfDd]?(?![\w.])|([A-Za-z_]\w*)|([(),]))/y;

/**
 * The words, literals and marks of an OData expression.
 *
 * @throws HttpError 400 for what is none, and for more of it than any client sends
 */
export function tokensOf(text: string): readonly Token[] {
  if (text.length > MAX_TEXT) throw new HttpError(400, `a filter has at most ${MAX_TEXT} characters`);
  const tokens: Token[] = [];
  const end = text.trimEnd().length;
  TOKEN.lastIndex = 0;
  for (let at = 0; at < end; at = TOKEN.lastIndex) {
    const match = TOKEN.exec(text);
    if (match === null) throw new HttpError(400, `no filter from here on: ${text.slice(at, at + 40)}`);
    if (tokens.length === MAX_TOKENS) throw new HttpError(400, `a filter has at most ${MAX_TOKENS} words and marks`);
    tokens.push(tokenOf(match));
  }
  return tokens;
}

function tokenOf([, isDate, quoted, number, word, mark]: RegExpExecArray): Token {
  if (quoted !== undefined) {
    const value = quoted.replaceAll("''", "'");
    return isDate === undefined ? { kind: 'text', value } : { kind: 'date', value: dateOf(value) };
  }
  if (number !== undefined) return { kind: 'number', value: Number(number) };
  if (word !== undefined) return { kind: 'word', value: word };
  return { kind: 'mark', value: mark as '(' | ')' | ',' };
}

/** Without a zone it is UTC. */
function dateOf(text: string): number {
  const value = Date.parse(/(?:Z|[+-]\d\d:\d\d)$/i.test(text) || !text.includes('T') ? text : `${text}Z`);
  if (Number.isNaN(value)) throw new HttpError(400, `no date: ${text.slice(0, 40)}`);
  return value;
}
