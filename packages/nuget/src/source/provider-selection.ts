import { Flight } from '@granary/resilience';
import { type Logger, nullLogger } from '@granary/telemetry';
import { isNuGetError, type NuGetError, SourceError } from '../errors.js';
import { shownUrl } from '../protocol/endpoint-url.js';
import type { CallOptions, Feed } from '../protocol/feed.js';
import type { Provider } from '../protocol/provider.js';
import { V2Provider } from '../protocol/v2/v2-provider.js';
import { baseOf } from '../protocol/v2/v2-source.js';
import { V3Provider } from '../protocol/v3/v3-provider.js';

/** The protocols that sources speak: OData feeds (`v2`), or JSON documents behind a service index (`v3`). */
export type Protocol = 'v2' | 'v3';

export interface ProviderSelectionOptions {
  /** The protocol of the source, where somebody said it: then the source isn't asked for it. */
  readonly protocol?: Protocol | undefined;
  readonly logger?: Logger | undefined;
}

/**
 * Which protocol a source speaks. As for NuGet.Client the URL says it: one that ends with `.json` is a service index of
 * protocol 3, every other one a feed of protocol 2. But what the source answers has the last word; what it has shown is
 * remembered, and a failure isn't.
 */
export class ProviderSelection {
  readonly #feed: Feed;
  readonly #v2: V2Provider;
  readonly #v3: V3Provider;
  readonly #logger: Logger;
  #provider: Provider | undefined;
  #publisher: Provider | undefined;
  #selecting: Flight<Provider> | undefined;

  constructor(feed: Feed, { protocol, logger = nullLogger }: ProviderSelectionOptions = {}) {
    this.#feed = feed;
    this.#logger = logger;
    this.#v2 = new V2Provider(feed, { logger });
    this.#v3 = new V3Provider(feed, { logger });
    if (protocol !== undefined) this.#provider = protocol === 'v3' ? this.#v3 : this.#v2;
  }

  /**
   * The provider for the source. All who ask at once wait for one answer.
   *
   * @throws {@link SourceError} `PROTOCOL` when the source speaks neither
   */
  async provider(options: CallOptions = {}): Promise<Provider> {
    if (this.#provider !== undefined) return this.#provider;
    if (this.#selecting === undefined || this.#selecting.isStopped) {
      const flight = new Flight<Provider>();
      this.#selecting = flight;
      void this.#run(flight, options);
    }
    return this.#selecting.join(options.signal);
  }

  /**
   * The provider that packages are pushed with. As for NuGet.Client that needs no feed behind the URL: `…/api/v2/package`
   * is one for pushes alone, and others give nothing to those who may only push.
   *
   * @throws {@link SourceError} as {@link provider} does, but for what is no service index, and answers and refuses
   */
  async publisher(options: CallOptions = {}): Promise<Provider> {
    const known = this.#provider ?? this.#publisher;
    if (known !== undefined) return known;
    try {
      return await this.provider(options);
    } catch (error) {
      if (this.#looksLikeV3 || !isRefusal(error)) throw error;
      this.#publisher = this.#v2;
      return this.#v2;
    }
  }

  get #looksLikeV3(): boolean {
    return /\.json$/i.test(new URL(this.#feed.url).pathname);
  }

  async #run(flight: Flight<Provider>, options: CallOptions): Promise<void> {
    try {
      const provider = await this.#select({ ...options, signal: flight.signal });
      this.#provider = provider;
      this.#logger.debug('{Source} speaks protocol {Protocol}', this.#feed.name, provider.protocol);
      flight.answer(provider);
    } catch (error) {
      flight.fail(error);
    } finally {
      if (this.#selecting === flight) this.#selecting = undefined;
    }
  }

  async #select(options: CallOptions): Promise<Provider> {
    const { name, url } = this.#feed;
    const others: NuGetError[] = [];
    for (const speaks of this.#looksLikeV3
      ? [this.#speaksV3, this.#speaksV2]
      : [this.#speaksV2, this.#speaksV3, this.#isV2Service]) {
      const provider = await unlessOther(() => speaks(options), others);
      if (provider !== undefined) return provider;
    }
    // What its URL says that it is comes first: whoever is to sign in is told so there.
    const [cause] = others;
    const said = cause === undefined ? '' : `: ${cause.message.replace(`${name}: `, '')}`;
    const message = `${shownUrl(url)} leads neither to a service index of protocol 3 nor to a feed of protocol 2${said}`;
    throw new SourceError('PROTOCOL', name, message, { cause });
  }

  readonly #speaksV3 = async (options: CallOptions): Promise<Provider | undefined> => {
    await this.#v3.serviceIndex(options);
    return this.#v3;
  };

  /** A source that fails here may be well all the same: it is one of this protocol when its URL shows that. */
  readonly #speaksV2 = async (options: CallOptions): Promise<Provider | undefined> => {
    try {
      return (await this.#v2.capabilities(options)) && this.#v2;
    } catch (error) {
      if (!isFailure(error)) throw error;
      const provider = await this.#isV2Service(options).catch(() => undefined);
      options.signal?.throwIfAborted();
      if (provider === undefined) throw error;
      return provider;
    }
  };

  /**
   * Some feeds of protocol 2 have no `$metadata`; but their URL leads to something in XML that says what it is. Where it
   * leads elsewhere, the feed is there, as for NuGet.Client: below the URL itself there would be no package at all.
   */
  readonly #isV2Service = async (options: CallOptions): Promise<Provider | undefined> => {
    const serviceUrl = await this.#feed.document(this.#feed.url, {
      ...options,
      cacheKey: undefined,
      maxBytes: MAX_SERVICE_BYTES,
      parse: (body, url) => (ATOM_SERVICE.test(body.toString('utf8', 0, MAX_SERVICE_START)) ? url : undefined),
    });
    if (serviceUrl === undefined) return undefined;
    if (baseOf(serviceUrl) === baseOf(this.#feed.url)) return this.#v2;
    return new V2Provider(this.#feed, { logger: this.#logger, baseUrl: serviceUrl });
  };
}

const MAX_SERVICE_BYTES = 4 * 1024 * 1024;
const MAX_SERVICE_START = 4096;
const ATOM_SERVICE = /^\ufeff?\s*(?:<\?xml[^>]*>\s*)?<(?:service|feed)\b/;

/**
 * Undefined when the source answers, but not in this protocol.
 *
 * @param others hears what the answer was instead
 */
async function unlessOther(
  ask: () => Promise<Provider | undefined>,
  others: NuGetError[],
): Promise<Provider | undefined> {
  try {
    return await ask();
  } catch (error) {
    if (!isNuGetError(error) || (error.code !== 'PROTOCOL' && error.code !== 'UNSUPPORTED')) throw error;
    others.push(error);
    return undefined;
  }
}

/** Whether a source answered that it can't answer, and may do so to this one question only. */
function isFailure(error: unknown): boolean {
  return (
    isNuGetError(error) && error instanceof SourceError && error.statusCode !== undefined && error.statusCode >= 500
  );
}

/** Whether a source answers, and gives nothing to this caller. */
function isRefusal(error: unknown): boolean {
  return (
    isNuGetError(error) && (error.code === 'PROTOCOL' || error.code === 'UNAUTHORIZED' || error.code === 'FORBIDDEN')
  );
}
