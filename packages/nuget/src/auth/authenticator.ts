import { type Clock, Flight, steadyClock, withTimeout } from '@granary/resilience';
import { redactText } from '@granary/telemetry';
import { NuGetError, SourceError } from '../errors.js';
import { parseUrl } from '../protocol/endpoint-url.js';
import { authorizationOf, type CredentialProvider, type Credentials, splitUserinfo } from './credentials.js';

/** Whose requests an `Authenticator` is for, and where its credentials come from. */
export interface AuthenticatorOptions {
  /** Name of the source. */
  readonly source: string;
  /** URL of the source, whose origin the credentials belong to. `user:password@` in it is taken for credentials. */
  readonly url: string;
  /**
   * Sent from the first request on. A function is called when the source is asked for the first time, and what it
   * throws is what that request fails with.
   */
  readonly credentials?: Credentials | (() => Credentials | undefined) | undefined;
  /** Asked when the source says 401, and once in a while when it says 403. */
  readonly provider?: CredentialProvider | undefined;
  /** More origins (`https://host:port`) that may see the credentials, for feeds that are spread over several. */
  readonly alsoFor?: readonly string[] | undefined;
  /** How many answers of the provider may be refused in a row. Default 3. */
  readonly maxAttempts?: number | undefined;
  /** How long the provider is left alone after it knew nothing better, or was asked because of a 403. Default 60,000. */
  readonly refusedForMs?: number | undefined;
  /** Longest time for an answer of the provider, which may ask a person. Default 300,000. */
  readonly providerTimeoutMs?: number | undefined;
  readonly clock?: Clock | undefined;
}

/** Headers that tell who asks: the same object for as long as the credentials are the same. */
export type AuthHeaders = Readonly<Record<string, string>>;

/** A 401, or a 403. */
export interface Challenge {
  /** Where it came from, after redirects. */
  readonly url: string;
  /** What {@link Authenticator.headers} had given for the request. */
  readonly sent: AuthHeaders | undefined;
  /** `WWW-Authenticate`. */
  readonly challenge: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

const DEFAULT_MAX_ATTEMPTS = 3;
const DEFAULT_REFUSED_FOR_MS = 60_000;
const DEFAULT_PROVIDER_TIMEOUT_MS = 300_000;
const KNOWN_SCHEMES = /\b(basic|bearer|digest|negotiate|ntlm)\b/gi;

/**
 * Credentials of one source. They go to the source's own origin and to no other one: to another host, port or scheme only
 * where it is named, and from http to https of the same host, but never the other way.
 *
 * Whoever sends requests takes {@link headers} for each, says {@link accepted} when an answer came, and asks
 * {@link challenged} after a 401, or {@link forbidden} after a 403, whether to try again.
 */
export class Authenticator {
  readonly source: string;
  /** URL of the source, without credentials. */
  readonly url: string;
  readonly #origins: ReadonlySet<string>;
  readonly #provider: CredentialProvider | undefined;
  readonly #maxAttempts: number;
  readonly #refusedForMs: number;
  readonly #providerTimeoutMs: number;
  readonly #clock: Clock;
  #configured: (() => Credentials | undefined) | undefined;
  #headers: AuthHeaders | undefined;
  /** The last that the provider said. */
  #provided: AuthHeaders | undefined;
  #asking: Flight<boolean> | undefined;
  #attempts = 0;
  #quietUntil = Number.NEGATIVE_INFINITY;
  #quietAfterForbiddenUntil = Number.NEGATIVE_INFINITY;

  /** @throws {@link NuGetError} `INVALID_OPTION` for a URL that is no http URL */
  constructor(options: AuthenticatorOptions) {
    const { url, credentials } = splitUserinfo(options.url);
    this.source = options.source;
    this.url = url;
    this.#origins = originsOf(url, options.alsoFor ?? []);
    const configured = options.credentials ?? credentials;
    this.#configured = typeof configured === 'function' ? configured : () => configured;
    this.#provider = options.provider;
    this.#maxAttempts = options.maxAttempts ?? DEFAULT_MAX_ATTEMPTS;
    this.#refusedForMs = options.refusedForMs ?? DEFAULT_REFUSED_FOR_MS;
    this.#providerTimeoutMs = options.providerTimeoutMs ?? DEFAULT_PROVIDER_TIMEOUT_MS;
    this.#clock = options.clock ?? steadyClock;
  }

  /**
   * What a request for a URL carries; undefined for nothing.
   *
   * @throws what the configured credentials can't be read for
   */
  headers(url: string): AuthHeaders | undefined {
    return this.#mayKnow(url) ? this.#current() : undefined;
  }

  /** An answer other than 401 came to a request with these headers: they go on being used. */
  accepted(sent: AuthHeaders | undefined): void {
    if (sent !== undefined && sent === this.#headers) this.#attempts = 0;
  }

  /**
   * Whether the request is worth another try with the {@link headers} of now: somebody found other credentials
   * meanwhile, or the provider knows some. All who wait for the provider at the same time wait for one answer.
   *
   * @throws {@link SourceError} `UNAUTHORIZED` when the provider fails
   */
  async challenged(refused: Challenge): Promise<boolean> {
    const { url, sent } = refused;
    if (!this.#mayKnow(url)) return false;
    const current = this.#current();
    if (current !== sent) return current !== undefined;
    const provider = this.#provider;
    if (provider === undefined || this.#clock() < this.#quietUntil) return false;
    if (this.#attempts >= this.#maxAttempts) return this.#beQuiet();
    return this.#join(refused, provider, () => this.#beQuiet());
  }

  /**
   * As {@link challenged}, after a 403. Some sources say that to whoever has no credentials, or some that have expired, and
   * most of them of what nobody may have: the provider is asked only once in a while, and is not left alone for it.
   *
   * @throws {@link SourceError} `UNAUTHORIZED` when the provider fails
   */
  async forbidden(refused: Challenge): Promise<boolean> {
    const { url, sent } = refused;
    if (!this.#mayKnow(url)) return false;
    const current = this.#current();
    if (current !== sent) return current !== undefined;
    const now = this.#clock();
    const provider = this.#provider;
    if (provider === undefined || now < Math.max(this.#quietUntil, this.#quietAfterForbiddenUntil)) return false;
    this.#quietAfterForbiddenUntil = now + this.#refusedForMs;
    return this.#join(refused, provider, () => false);
  }

  /**
   * Sends others from the next request on, or none; that those of before were refused says nothing about them.
   *
   * @throws {@link NuGetError} `INVALID_OPTION` for what no header can hold; those of before stay
   */
  replace(credentials: Credentials | undefined): void {
    if (credentials === undefined) this.#headers = undefined;
    else this.#use(credentials);
    this.#configured = undefined;
    this.#attempts = 0;
    this.#quietUntil = this.#quietAfterForbiddenUntil = Number.NEGATIVE_INFINITY;
  }

  /**
   * The error for a 401 that stays.
   *
   * @param refused `hasApiKey` when the request had one, which may be what is refused; `reason` is what the source says of
   * it, fit to be shown
   */
  unauthorized(
    url: string,
    challenge: string | undefined,
    { hasApiKey = false, reason }: { hasApiKey?: boolean; reason?: string | undefined } = {},
  ): SourceError {
    const schemes = new Set(challenge?.match(KNOWN_SCHEMES)?.map((scheme) => scheme.toLowerCase()));
    const offered = schemes.size === 0 ? '' : ` (it takes ${[...schemes].join(', ')})`;
    const wants = hasApiKey ? 'it refuses the API key, or wants credentials besides' : 'it wants credentials';
    const what = !this.#mayKnow(url)
      ? `${originOf(url) ?? 'another host'} wants credentials, and those of the source are for ${[...this.#origins].join(', ')} only`
      : this.#headers === undefined
        ? `${wants}${offered}, and there are none for it`
        : `it refuses the credentials that it was given${offered}`;
    const said = reason === undefined ? '' : `: ${reason}`;
    return new SourceError('UNAUTHORIZED', this.source, what + said, { statusCode: 401, reason });
  }

  #current(): AuthHeaders | undefined {
    if (this.#configured !== undefined) {
      const credentials = this.#configured();
      if (credentials !== undefined) this.#use(credentials);
      // What can't be read or sent is no answer: without it, the next request would go out without a name.
      this.#configured = undefined;
    }
    return this.#headers;
  }

  /** @param afterNothing is called when the provider knows nothing better, or fails */
  async #join(refused: Challenge, provider: CredentialProvider, afterNothing: () => false): Promise<boolean> {
    if (this.#asking === undefined || this.#asking.isStopped) {
      const flight = new Flight<boolean>();
      this.#asking = flight;
      void this.#ask(flight, provider, refused, afterNothing);
    }
    return this.#asking.join(refused.signal);
  }

  async #ask(
    flight: Flight<boolean>,
    provider: CredentialProvider,
    refused: Challenge,
    afterNothing: () => false,
  ): Promise<void> {
    const { url, sent, challenge } = refused;
    const isRetry = sent !== undefined && sent === this.#provided;
    try {
      const answer = await withTimeout(
        () => provider({ source: this.source, url, challenge, isRetry, signal: flight.signal }),
        this.#providerTimeoutMs,
        // A provider may ignore its signal: nothing waits for it then, which would keep the process alive.
        { signal: flight.signal },
      );
      // Without types, "none" is null as often.
      const credentials = answer ?? undefined;
      // An answer that nobody waited for may be as old as it likes.
      if (flight !== this.#asking || flight.isStopped) return;
      const knowsMore = credentials !== undefined && this.#use(credentials);
      if (knowsMore) {
        this.#attempts++;
        this.#provided = this.#headers;
      }
      flight.answer(knowsMore || afterNothing());
    } catch (error) {
      if (flight === this.#asking && !flight.isStopped) afterNothing();
      flight.stop(error);
      const reason = redactText(error instanceof Error ? error.message : String(error));
      flight.fail(
        new SourceError('UNAUTHORIZED', this.source, `its credential provider failed: ${reason}`, {
          statusCode: 401,
          cause: error,
        }),
      );
    } finally {
      if (flight === this.#asking) this.#asking = undefined;
    }
  }

  /** Whether the credentials are others than those before. */
  #use(credentials: Credentials): boolean {
    const authorization = authorizationOf(credentials);
    if (authorization === this.#headers?.['authorization']) return false;
    this.#headers = authorization === undefined ? undefined : Object.freeze({ authorization });
    return true;
  }

  #beQuiet(): false {
    this.#attempts = 0;
    this.#quietUntil = this.#clock() + this.#refusedForMs;
    return false;
  }

  #mayKnow(url: string): boolean {
    // Nearly all are the source's own, and this is asked for each request.
    for (const known of this.#origins) if (url.startsWith(known) && url[known.length] === '/') return true;
    const origin = originOf(url);
    return origin !== undefined && this.#origins.has(origin);
  }
}

function originOf(url: string): string | undefined {
  return parseUrl(url)?.origin;
}

function originsOf(url: string, others: readonly string[]): Set<string> {
  const origins = new Set<string>();
  for (const text of [url, ...others]) {
    const parsed = parseUrl(text);
    if (parsed === undefined || (parsed.protocol !== 'http:' && parsed.protocol !== 'https:'))
      throw new NuGetError('INVALID_OPTION', `${redactText(text)} is no http or https URL`);
    origins.add(parsed.origin);
    // What went to a host in the clear may go to it encrypted, too.
    if (parsed.protocol === 'http:' && parsed.port === '') origins.add(`https://${parsed.hostname}`);
  }
  return origins;
}
