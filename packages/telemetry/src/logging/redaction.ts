export const REDACTED = '[redacted]';

/** Endings of property names, in lower case without separators, whose values are never written. */
const SECRET_NAMES = [
  'password',
  'passwd',
  'secret',
  'token',
  'authorization',
  'apikey',
  'accesskey',
  'cookie',
  'credentials',
];

const SECRET_PARAMETER =
  /((?:password|passwd|pwd|secret|token|api[-_]?key|access[-_]?key|signature|sig|authorization|cookie)["']?=)[^&\s"',;]+/gi;
/** From `://` on, so that a long text without one is passed over once and not once for each word. */
const USERINFO = /:\/\/[^\s/?#]+@/g;
const HEADER =
  /\b((?:proxy-)?authorization|(?:set-)?cookie|x-(?:nuget-)?api-?key)(["']?\s*:\s*["']?)(?:(?:basic|bearer|digest|negotiate)\s+)?[^\s"',]+/gi;
const SCHEME = /\b(basic|bearer|negotiate)(\s+)([A-Za-z0-9._~+/-]+=*)/gi;
/** What a sentence about the schemes says after their names. */
const PROSE = /^(?:tokens?|auth|authentication|authorization|credentials?|challenge|scheme|realm)$/i;
/** Cheap test for texts that can hold none of the above. */
const SUSPICIOUS = /[@=:]|basic|bearer|negotiate/i;

/** The text without passwords in URLs, `Authorization` values, and parameters that are named like secrets. */
export function redactText(text: string): string {
  if (!SUSPICIOUS.test(text)) return text;
  return text
    .replace(USERINFO, `://${REDACTED}@`)
    .replace(HEADER, `$1$2${REDACTED}`)
    .replace(SCHEME, (all, scheme: string, space: string, token: string) =>
      PROSE.test(token) ? all : `${scheme}${space}${REDACTED}`,
    )
    .replace(SECRET_PARAMETER, `$1${REDACTED}`);
}

const MAX_CACHED = 1000;

/** Whether a property's name says that its value is a secret. */
export class SecretNames {
  readonly #endings: readonly string[];
  readonly #known = new Map<string, boolean>();

  /** @param more names to treat like the known ones; case and separators don't matter */
  constructor(more: readonly string[] = []) {
    this.#endings = [...SECRET_NAMES, ...more.map(normalize)];
  }

  has(name: string): boolean {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const plain = normalize(name);
    const secret = this.#endings.some((ending) => plain.endsWith(ending));
    if (this.#known.size < MAX_CACHED) this.#known.set(name, secret);
    return secret;
  }
}

function normalize(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, '');
}
