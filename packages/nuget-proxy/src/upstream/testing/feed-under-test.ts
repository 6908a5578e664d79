import { type Layer, MemoryLayer } from '@granary/cache';
import {
  NuGetVersion,
  type PackageIdentity,
  type PackageMetadata,
  type Provider,
  SourceRepository,
  type SourceRepositoryOptions,
} from '@granary/nuget';
import { type FeedServer, type FeedServerOptions, startFeedServer } from '@granary/nuget/testing';
import { ManualTime } from '@granary/resilience/testing';
import { type Logger, loggerFor } from '@granary/telemetry';
import { StoreUnderTest } from '../../packages/testing/store-under-test.js';
import type { Kept } from '../answers/kept-values.js';
import { UpstreamFeed } from '../upstream-feed.js';
import { type Upstream, type UpstreamFeedOptions, upstreamSourceOptions } from '../upstream-feed-options.js';
import { upstreamHttpOptions } from '../upstream-http-options.js';

type HttpClient = NonNullable<SourceRepositoryOptions['httpClient']>;
type ClientOptions = Readonly<Record<string, unknown>>;
/** Makes an HTTP client: `(options) => new HttpClient(options)`. */
export type MakeClient = (options: ClientOptions) => HttpClient;

/** Retries at once, so that tests of what comes after them need not wait. */
const AT_ONCE = {
  setTimeout: (callback: () => void) => setImmediate(callback),
  clearTimeout: (handle: unknown) => clearImmediate(handle as NodeJS.Immediate),
};

export type OpenOptions = Partial<Omit<UpstreamFeedOptions, 'name'>> & { readonly name?: string };

/** Feeds over sources of the test's own, with what they need: time that the test moves, a store for packages, a log. */
export class FeedUnderTest implements AsyncDisposable {
  readonly time = new ManualTime(Date.UTC(2026, 0, 1));
  readonly logs: string[] = [];
  readonly logger: Logger = loggerFor(
    { write: ({ level, message }) => void this.logs.push(`${level}: ${message}`) },
    { level: 'verbose' },
  );
  readonly server: FeedServer;
  readonly packages: StoreUnderTest;
  readonly #makeClient: MakeClient;
  readonly #resources: AsyncDisposable[] = [];

  private constructor(makeClient: MakeClient, server: FeedServer, packages: StoreUnderTest) {
    this.#makeClient = makeClient;
    this.server = server;
    this.packages = packages;
  }

  static async start(makeClient: MakeClient, options: FeedServerOptions = {}): Promise<FeedUnderTest> {
    const server = await startFeedServer(options);
    return new FeedUnderTest(makeClient, server, await StoreUnderTest.open());
  }

  /** A client as a server makes one, but that its retries don't take time, and its breaker tells the test's. */
  client(options: ClientOptions = {}): HttpClient {
    const { retry, circuitBreaker, ...others } = upstreamHttpOptions();
    return this.own(
      this.#makeClient({
        proxy: false,
        ...others,
        clock: this.time.clock,
        circuitBreaker: { ...circuitBreaker, clock: this.time.clock },
        retry: { ...retry, timers: AT_ONCE },
        ...options,
      }),
    );
  }

  repository(options: Partial<SourceRepositoryOptions> = {}): SourceRepository {
    return this.own(
      new SourceRepository({
        ...upstreamSourceOptions,
        name: 'up',
        sourceUrl: this.server.v3Url,
        httpClient: options.httpClient ?? this.client(),
        cache: { clock: this.time.clock },
        clock: this.time.clock,
        timers: AT_ONCE,
        ...options,
      }),
    );
  }

  layer(name = 'memory'): Layer<Kept> {
    return new MemoryLayer<Kept>({ name, maxEntries: 1000, clock: this.time.clock });
  }

  /** A feed over the server, unless another upstream is given. */
  feed(options: OpenOptions = {}): UpstreamFeed {
    const { name = 'up' } = options;
    const feed = new UpstreamFeed({
      upstream: options.upstream ?? this.repository({ name }),
      packages: this.packages.store,
      layers: [this.layer()],
      logger: this.logger,
      clock: this.time.clock,
      timers: this.time,
      ...options,
      name,
    });
    this.own({ [Symbol.asyncDispose]: () => feed.close() });
    return feed;
  }

  own<T extends AsyncDisposable>(resource: T): T {
    this.#resources.push(resource);
    return resource;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const resource of this.#resources.reverse()) await resource[Symbol.asyncDispose]();
    await this.server.close();
    await this.packages[Symbol.asyncDispose]();
  }
}

/** A source that a test plays: what it doesn't play is not supported. */
export class PlayedUpstream implements Upstream {
  /** Names of what was asked. */
  readonly asked: string[] = [];
  play: Partial<Provider> & { readonly relist?: Provider['delete'] } = {};
  /** What asking for the protocol fails with. */
  failure: unknown;

  async provider(): Promise<Provider> {
    if (this.failure !== undefined) throw this.failure;
    const { asked, play } = this;
    return new Proxy(play, {
      get: (_, method) => {
        const answer = play[method as keyof Provider];
        if (typeof answer !== 'function') return undefined;
        return (...args: never[]) => {
          asked.push(String(method));
          return (answer as (...given: never[]) => unknown)(...args);
        };
      },
    }) as Provider;
  }
}

export function identityOf(id: string, version = '1.0.0'): PackageIdentity {
  return { id, version: NuGetVersion.parse(version) };
}

export function metadataOf(id: string, version: string, init: Partial<PackageMetadata> = {}): PackageMetadata {
  return {
    ...identityOf(id, version),
    authors: [],
    owners: [],
    tags: [],
    requireLicenseAcceptance: false,
    dependencyGroups: [],
    listed: true,
    vulnerabilities: [],
    ...init,
  };
}
