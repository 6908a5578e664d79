import type { Htpasswd } from './htpasswd.js';
import type { SecretHash } from './secret-hash.js';

/** Compares a password with a bcrypt hash, away from the event loop. */
export type VerifyPassword = (password: string, hash: string) => Promise<boolean>;

/** Node's thread pool, which bcrypt takes its threads from, also reads and writes files: leave it some. */
const MAX_RUNNING = 2;
const MAX_WAITING = 64;

/** Users times passwords that are right are few; those that are wrong are not kept. */
const MAX_VERIFIED = 10_000;

/** Any bcrypt hash: stands for the users that there are not. */
const NOBODYS_HASH = '$2b$12$ZZZZZZZZZZZZZZZZZZZZZOZ6X1yTBGs0SPvBsmtDOmZvN1Kwkzmr6';

/** Answers whether a password is right; bcrypt runs once for each that is. */
export class Passwords {
  readonly #users: Htpasswd;
  readonly #hash: SecretHash;
  readonly #verify: VerifyPassword;
  readonly #verified = new Set<string>();
  readonly #running = new Map<string, Promise<boolean>>();
  #slots = MAX_RUNNING;
  readonly #waiting: (() => void)[] = [];

  constructor(users: Htpasswd, hash: SecretHash, verify: VerifyPassword) {
    this.#users = users;
    this.#hash = hash;
    this.#verify = verify;
  }

  isUser(user: string): boolean {
    return this.#users.has(user);
  }

  /**
   * True at once for what was right before, false when too many passwords wait to be checked, else a promise. An
   * unknown user takes as long as a wrong password.
   */
  check(user: string, password: string): Promise<boolean> | true | 'busy' {
    const key = this.#hash.of(user, password).toString('base64');
    if (this.#verified.has(key)) return true;
    const running = this.#running.get(key);
    if (running) return running;
    if (this.#waiting.length >= MAX_WAITING) return 'busy';
    const result = this.#compare(user, password).then((right) => {
      if (right) this.#remember(key);
      return right;
    });
    this.#running.set(key, result);
    const done = () => this.#running.delete(key);
    result.then(done, done);
    return result;
  }

  /** Whether a check of these very credentials is under way, which the next check joins. */
  isChecking(user: string, password: string): boolean {
    return this.#running.has(this.#hash.of(user, password).toString('base64'));
  }

  async #compare(user: string, password: string): Promise<boolean> {
    const known = this.#users.get(user);
    const decoy = this.#users.values().next().value ?? NOBODYS_HASH;
    if (this.#slots === 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#slots--;
    try {
      const right = await this.#verify(password, known ?? decoy);
      return right && known !== undefined;
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#slots++;
    }
  }

  #remember(key: string): void {
    if (this.#verified.size >= MAX_VERIFIED) this.#verified.clear();
    this.#verified.add(key);
  }
}
