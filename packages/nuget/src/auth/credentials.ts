import { NuGetError } from '../errors.js';

/** What a source is told of who asks. `none` asks without a name on purpose. */
export type Credentials =
  | { readonly type: 'basic'; readonly username: string; readonly password: string }
  | { readonly type: 'bearer'; readonly token: string }
  | { readonly type: 'none' };

/** What a `CredentialProvider` is told of the 401 or 403 that it is asked for. */
export interface CredentialRequest {
  /** Name of the source. */
  readonly source: string;
  /** What was asked for when the source said so. */
  readonly url: string;
  /** Its `WWW-Authenticate`. */
  readonly challenge: string | undefined;
  /** Whether what the provider said was sent and refused, so that what it remembers is of no use. */
  readonly isRetry: boolean;
  /** Aborted when nobody waits for the answer any more. */
  readonly signal?: AbortSignal | undefined;
}

/** Finds credentials for a source that wants some; undefined when there are none. */
export type CredentialProvider = (request: CredentialRequest) => Promise<Credentials | undefined>;

/** Basic credentials whose password no log, `JSON.stringify` or `inspect` shows. */
export function basicCredentials(username: string, password: string): Credentials {
  return new BasicCredentials(username, password);
}

/** A bearer token that no log, `JSON.stringify` or `inspect` shows. */
export function bearerCredentials(token: string): Credentials {
  return new BearerCredentials(token);
}

class BasicCredentials {
  readonly type = 'basic';
  readonly username: string;
  readonly #password: string;

  constructor(username: string, password: string) {
    this.username = username;
    this.#password = password;
  }

  get password(): string {
    return this.#password;
  }
}

class BearerCredentials {
  readonly type = 'bearer';
  readonly #token: string;

  constructor(token: string) {
    this.#token = token;
  }

  get token(): string {
    return this.#token;
  }
}

const VISIBLE = /^[\x21-\x7e]+$/;

/**
 * Value of the `authorization` header; undefined for `none`.
 *
 * @throws {@link NuGetError} `INVALID_OPTION` for what no header can hold and for no credentials, without showing it
 */
export function authorizationOf(credentials: Credentials): string | undefined {
  switch (credentials.type) {
    case 'basic': {
      const { username, password } = credentials;
      if (username.includes(':'))
        throw new NuGetError('INVALID_OPTION', 'a username can have no colon with the scheme Basic');
      return `Basic ${Buffer.from(`${username}:${password}`, 'utf8').toString('base64')}`;
    }
    case 'bearer':
      if (!VISIBLE.test(credentials.token))
        throw new NuGetError('INVALID_OPTION', 'a bearer token has visible ASCII characters only; this one has others');
      return `Bearer ${credentials.token}`;
    case 'none':
      return undefined;
    default:
      // From JavaScript; without a word the source would be asked without a name.
      throw new NuGetError('INVALID_OPTION', 'credentials have the type basic, bearer or none');
  }
}

/** Takes `user:password@` out of a URL. A text that is no URL is given back as it is. */
export function splitUserinfo(url: string): { readonly url: string; readonly credentials: Credentials | undefined } {
  if (!URL.canParse(url)) return { url, credentials: undefined };
  const parsed = new URL(url);
  if (parsed.username === '' && parsed.password === '') return { url, credentials: undefined };
  const credentials = basicCredentials(decode(parsed.username), decode(parsed.password));
  parsed.username = '';
  parsed.password = '';
  return { url: parsed.href, credentials };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
