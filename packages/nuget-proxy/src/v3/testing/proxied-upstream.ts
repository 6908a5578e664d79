import { MemoryLayer } from '@granary/cache';
import { SourceRepository, type SourceRepositoryOptions } from '@granary/nuget';
import { type FeedServer, type FeedServerOptions, startFeedServer } from '@granary/nuget/testing';
import { TestServer, type TestServerInit } from '../../http/testing/test-server.js';
import { MergedFeed } from '../../merged/merged-feed.js';
import { StoreUnderTest } from '../../packages/testing/store-under-test.js';
import type { Kept } from '../../upstream/answers/kept-values.js';
import { UpstreamFeed } from '../../upstream/upstream-feed.js';
import { upstreamSourceOptions } from '../../upstream/upstream-feed-options.js';

export interface ProxiedUpstreamOptions extends FeedServerOptions {
  /** What the upstream is asked in. Default protocol 3. */
  readonly protocol?: 'v2' | 'v3';
  readonly handler?: TestServerInit;
  /** What the upstream is asked with; stays the caller's to close. */
  readonly httpClient?: SourceRepositoryOptions['httpClient'];
}

/** An upstream of the test's own, and a server that reads through to it: as `up`, and as all sources as one. */
export class ProxiedUpstream implements AsyncDisposable {
  readonly upstream: FeedServer;
  readonly server: TestServer;
  readonly #close: () => Promise<void>;

  private constructor(upstream: FeedServer, server: TestServer, close: () => Promise<void>) {
    this.upstream = upstream;
    this.server = server;
    this.#close = close;
  }

  static async start({
    protocol,
    handler,
    httpClient,
    ...options
  }: ProxiedUpstreamOptions = {}): Promise<ProxiedUpstream> {
    const upstream = await startFeedServer(options);
    const packages = await StoreUnderTest.open();
    const sourceUrl = protocol === 'v2' ? upstream.v2Url : upstream.v3Url;
    const source = new SourceRepository({ name: 'up', sourceUrl, httpClient, ...upstreamSourceOptions });
    const layers = [new MemoryLayer<Kept>({ maxEntries: 1000 })];
    const feed = new UpstreamFeed({ name: 'up', upstream: source, packages: packages.store, layers });
    const server = await TestServer.start({
      all: new MergedFeed({ sources: [feed], pushTo: feed }),
      bySource: { up: feed },
      upstreamHosts: new Set([new URL(upstream.url).host]),
      ...handler,
    });
    return new ProxiedUpstream(upstream, server, async () => {
      await server[Symbol.asyncDispose]();
      await feed.close();
      await source.close();
      await packages[Symbol.asyncDispose]();
      await upstream.close();
    });
  }

  /** What the upstream was asked, as method and path, since this was called last. */
  asked(): readonly string[] {
    const { requests } = this.upstream;
    const asked = requests.all().map(({ method, target }) => `${method} ${target}`);
    requests.clear();
    return asked;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#close();
  }
}
