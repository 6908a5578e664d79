/** Endings of property names, in lower case without separators, whose values are never written. */
const ENDINGS = [
  'password',
  'passwords',
  'passwd',
  'passphrase',
  'passphrases',
  'secret',
  'secrets',
  'token',
  'authorization',
  'apikey',
  'apikeys',
  'accesskey',
  'accesskeys',
  'privatekey',
  'privatekeys',
  'secretkey',
  'secretkeys',
  'accountkey',
  'accountkeys',
  'cookie',
  'cookies',
  'credential',
  'credentials',
  'signature',
  'signatures',
];
/** Names that are secrets as a whole, and too short to be looked for in others. */
const WHOLE = new Set(['pwd', 'pass', 'sig', 'auth', 'jwt']);

const MAX_CACHED = 1000;
const MAX_LENGTH = 200;

/** Whether a property's name says that its value is a secret. */
export class SecretNames {
  readonly #endings: readonly string[];
  readonly #known = new Map<string, boolean>();

  /**
   * @param more names to treat like the known ones; case and separators don't matter
   * @throws TypeError when that is no list of texts
   */
  constructor(more: readonly string[] = []) {
    if (!Array.isArray(more) || more.some((name) => typeof name !== 'string')) {
      throw new TypeError('redact must be a list of names');
    }
    this.#endings = [...ENDINGS, ...more.map(normalize).filter((name) => name !== '')];
  }

  has(name: string): boolean {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const plain = normalize(name.slice(-MAX_LENGTH)).replace(/(?:value|hash|headers?)?\d{0,9}$/, '');
    const secret = WHOLE.has(plain) || this.#endings.some((ending) => plain.endsWith(ending));
    if (this.#known.size < MAX_CACHED && name.length <= MAX_LENGTH) this.#known.set(name, secret);
    return secret;
  }
}

function normalize(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, '');
}
