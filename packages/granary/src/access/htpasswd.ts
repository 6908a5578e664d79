import type { ConfigMistake } from '../config/mistake.js';

/** Users with their bcrypt hashes. */
export type Htpasswd = ReadonlyMap<string, string>;

const BCRYPT = /^\$2[aby]\$(?:0[4-9]|1[0-9]|2[0-9]|3[01])\$[./A-Za-z0-9]{53}$/;

/** Reads the lines `USER:HASH` of an htpasswd file; every line that is wrong becomes a mistake. */
export function parseHtpasswd(file: string, text: string, mistakes: ConfigMistake[]): Htpasswd {
  const users = new Map<string, string>();
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const wrong = (message: string) => {
      mistakes.push({ origin: `${file}:${index + 1}`, key: 'auth.htpasswd_file', message });
    };
    const colon = line.indexOf(':');
    const user = line.slice(0, Math.max(0, colon));
    const hash = line.slice(colon + 1).trim();
    // No message shows the line: a hash in a log is a password half lost.
    if (user === '') wrong('is no line USER:HASH');
    else if (!BCRYPT.test(hash)) wrong(`the hash of ${user} is not bcrypt; allowed: what htpasswd -B writes ($2y$…)`);
    else if (users.has(user)) wrong(`${user} is there twice`);
    else users.set(user, hash);
  }
  return users;
}
