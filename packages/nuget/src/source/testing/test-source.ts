import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HttpClient, type HttpClientOptions } from '@granary/http';
import { ManualTime } from '@granary/resilience/testing';
import { type Logger, loggerFor } from '@granary/telemetry';
import type { NuGetMetrics } from '../../metrics.js';
import { HttpFeed, type HttpFeedOptions } from '../http-feed.js';
import { SourceCache, type SourceCacheOptions } from '../source-cache.js';

export type Answer = (req: IncomingMessage, res: ServerResponse) => void;

/** Everything that a test of sources needs, and closes with `await using` or `close()`. */
export class TestSource implements AsyncDisposable {
  readonly time = new ManualTime(Date.UTC(2026, 0, 1));
  /** A folder of the test's own. */
  readonly folder = mkdtempSync(join(tmpdir(), 'nuget-source-'));
  /** What was logged, level first. */
  readonly logs: string[] = [];
  readonly logger: Logger;
  /** What was counted, in order. */
  readonly counted: string[] = [];
  readonly requests: IncomingMessage[] = [];
  /** What the server says. */
  answer: Answer = (_, res) => res.writeHead(404).end();
  readonly #server: Server;
  readonly #resources: AsyncDisposable[] = [];

  private constructor() {
    this.logger = loggerFor(
      { write: ({ level, message }) => void this.logs.push(`${level}: ${message}`) },
      { level: 'verbose' },
    );
    this.#server = createServer((req, res) => {
      this.requests.push(req);
      req.resume();
      this.answer(req, res);
    });
  }

  static async start(): Promise<TestSource> {
    const source = new TestSource();
    source.#server.listen(0, '127.0.0.1');
    await once(source.#server, 'listening');
    return source;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  readonly metrics: NuGetMetrics = {
    cacheHit: (type) => void this.counted.push(`hit ${type}`),
    cacheMiss: (type) => void this.counted.push(`miss ${type}`),
    packageDownloaded: (status) => void this.counted.push(`download ${status}`),
  };

  own<T extends AsyncDisposable>(resource: T): T {
    this.#resources.push(resource);
    return resource;
  }

  client(options: HttpClientOptions = {}): HttpClient {
    return this.own(new HttpClient({ proxy: false, retry: false, circuitBreaker: false, ...options }));
  }

  cache(options: SourceCacheOptions = {}): SourceCache {
    return this.own(new SourceCache({ clock: this.time.clock, logger: this.logger, ...options }));
  }

  feed(options: Partial<HttpFeedOptions> = {}): HttpFeed {
    return this.own(
      new HttpFeed({
        name: 'test',
        url: `${this.url}/index.json`,
        client: options.client ?? this.client(),
        cache: options.cache ?? this.cache(),
        metrics: this.metrics,
        logger: this.logger,
        clock: this.time.clock,
        ...options,
      }),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const resource of this.#resources.reverse()) await resource[Symbol.asyncDispose]();
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
    rmSync(this.folder, { recursive: true, force: true });
  }
}
