import { readFile } from 'node:fs/promises';
import { ConfigError, type ConfigMistake, unreadable } from '../config/mistake.js';
import type { Config } from '../config/schema.js';
import { parseHtpasswd } from './htpasswd.js';
import type { Identities } from './policy.js';
import type { SecretHash } from './secret-hash.js';
import { parseTokens } from './tokens.js';

/**
 * Reads the files that name users and tokens.
 *
 * @throws ConfigError with every line that is wrong
 */
export async function loadIdentities(auth: Config['auth'], hash: SecretHash): Promise<Identities> {
  const mistakes: ConfigMistake[] = [];
  const users = await readKeyFile('auth.htpasswd_file', auth.htpasswd_file, mistakes);
  const tokens = await readKeyFile('auth.tokens_file', auth.tokens_file, mistakes);
  const identities = {
    users: parseHtpasswd(auth.htpasswd_file ?? '', users, mistakes),
    tokens: parseTokens(auth.tokens_file ?? '', tokens, hash, mistakes),
  };
  if (mistakes.length > 0) throw new ConfigError(mistakes);
  return identities;
}

/** The text of a file that a key names; empty when it names none or the file can't be read, which is a mistake. */
async function readKeyFile(key: string, file: string | undefined, mistakes: ConfigMistake[]): Promise<string> {
  if (file === undefined) return '';
  try {
    // Some editors put a byte order mark first, which would become part of a name; the decoder leaves it out.
    return new TextDecoder().decode(await readFile(file));
  } catch (error) {
    mistakes.push(unreadable(file, key, error));
    return '';
  }
}
