import { timingSafeEqual } from 'node:crypto';
import type { ConfigMistake } from '../config/mistake.js';
import { isRightLevel, RIGHT_LEVELS, type RightLevel } from './rights.js';
import type { SecretHash } from './secret-hash.js';

/** Who has a token, and what it may do unless `auth.rights` says otherwise. */
export interface TokenOwner {
  readonly name: string;
  readonly right: RightLevel | undefined;
}

/** Every token, as a hash, with its owner. */
export type Tokens = readonly { readonly tokenHash: Buffer; readonly owner: TokenOwner }[];

/** Shorter tokens could be guessed. */
const MIN_TOKEN_LENGTH = 16;

/** Reads the lines `NAME:TOKEN` or `NAME:TOKEN:RIGHT`; every line that is wrong becomes a mistake. */
export function parseTokens(file: string, text: string, hash: SecretHash, mistakes: ConfigMistake[]): Tokens {
  const tokens: { tokenHash: Buffer; owner: TokenOwner }[] = [];
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const wrong = (message: string) => {
      mistakes.push({ origin: `${file}:${index + 1}`, key: 'auth.tokens_file', message });
    };
    const [name = '', token = '', right, ...rest] = line.trim().split(':');
    if (name === '' || token === '' || rest.length > 0) wrong('is no line NAME:TOKEN or NAME:TOKEN:RIGHT');
    else if (!/^[A-Za-z0-9._~+/-]+=*$/.test(token))
      wrong(`the token of ${name} has characters that no bearer token has`);
    else if (token.length < MIN_TOKEN_LENGTH)
      wrong(`the token of ${name} is shorter than ${MIN_TOKEN_LENGTH} characters`);
    else if (right !== undefined && !isRightLevel(right))
      wrong(`found right "${right}"; allowed: ${RIGHT_LEVELS.join(', ')}`);
    else if (findToken(tokens, hash, token)) wrong(`the token of ${name} is there twice`);
    else tokens.push({ tokenHash: hash.of(token), owner: { name, right } });
  }
  return tokens;
}

/** The owner of a token, or undefined. Looks at every token, so that the time says nothing about any of them. */
export function findToken(tokens: Tokens, hash: SecretHash, token: string): TokenOwner | undefined {
  const presented = hash.of(token);
  let found: TokenOwner | undefined;
  for (const { tokenHash, owner } of tokens) if (timingSafeEqual(tokenHash, presented)) found = owner;
  return found;
}
