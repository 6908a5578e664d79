import { timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Faults, type FeedFault } from './feed-server/faults.js';
import { FeedPackages } from './feed-server/feed-packages.js';
import { problem, type Reply, sendReply } from './feed-server/reply.js';
import { type FeedRequest, RequestLog, type RequestMatch } from './feed-server/request-log.js';
import { defaultSettings, type FeedServerOptions, type FeedSettings } from './feed-server/settings.js';
import { answerV2 } from './feed-server/v2-protocol.js';
import { answerV3, knownVulnerabilities } from './feed-server/v3-protocol.js';

const MAX_UPLOAD_BYTES = 512 * 1024 * 1024;
const V2 = '/api/v2';
const V3 = '/v3';

/**
 * A NuGet feed for tests, in both protocols at once, over packages in memory: what it serves, how it behaves and what
 * goes wrong can be changed between two requests, and it remembers what was asked. It listens on a free port of
 * loopback and says URLs as each client wrote its own.
 */
export class FeedServer implements AsyncDisposable {
  readonly packages: FeedPackages;
  /** How it behaves from the next request on. */
  readonly settings: FeedSettings;
  readonly requests = new RequestLog();
  readonly #faults = new Faults();
  readonly #wait: (ms: number, signal: AbortSignal) => Promise<unknown>;
  readonly #server: Server;
  readonly #closing = new AbortController();
  #closed: Promise<void> | undefined;

  constructor(options: FeedServerOptions, packages: FeedPackages) {
    this.packages = packages;
    this.settings = defaultSettings(options);
    this.#wait = options.wait ?? ((ms, signal) => sleep(ms, undefined, { signal }));
    this.#server = createServer((request, response) => void this.#handle(request, response));
  }

  async listen(port = 0): Promise<this> {
    this.#server.listen(port, '127.0.0.1');
    await once(this.#server, 'listening');
    return this;
  }

  /** `http://127.0.0.1:12345`, which is a source that takes pushes too. */
  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get v3Url(): string {
    return `${this.url}${V3}/index.json`;
  }

  get v2Url(): string {
    return `${this.url}${V2}`;
  }

  /** Lets something go wrong with the requests that match: with all of them, or with the next few. Ends it when called. */
  fault(match: RequestMatch, fault: FeedFault, options: { readonly times?: number } = {}): () => void {
    return this.#faults.add(match, fault, options.times);
  }

  clearFaults(): void {
    this.#faults.clear();
  }

  /** The request with which as many have matched, in the past or to come. */
  waitForRequest(match: RequestMatch, count = 1): Promise<FeedRequest> {
    return this.requests.waitFor(match, count);
  }

  /** Breaks all connections and waits for them; may be called again. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#closing.abort();
    this.requests.close();
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  async #handle(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => {});
    const url = new URL(incoming.url ?? '/', 'http://feed.test');
    const request: FeedRequest = {
      method: incoming.method ?? 'GET',
      target: incoming.url ?? '/',
      path: decoded(url.pathname),
      query: url.searchParams,
      headers: incoming.headers,
      body: undefined,
      status: undefined,
    };
    const faults = this.#faults.of(request);
    this.requests.add(request);
    try {
      for (const fault of faults) if (fault.kind === 'delay') await this.#wait(fault.ms, this.#closing.signal);
      request.body = await bodyOf(incoming);
      const reply = await this.#answer(request, faults);
      await sendReply(request, response, reply, this.settings, faults);
    } catch (error) {
      if (this.#closing.signal.aborted || response.headersSent) response.destroy();
      else await sendReply(request, response, problem(500, (error as Error).message), this.settings, []);
    }
  }

  async #answer(request: FeedRequest, faults: readonly FeedFault[]): Promise<Reply> {
    const refused = this.#refused(request);
    if (refused !== undefined) return refused;
    const { packages, settings } = this;
    const root = settings.origin ?? `http://${request.headers.host ?? new URL(this.url).host}`;
    const v2 = `${root}${V2}`;
    if (isBelow(request.path, V2)) {
      const endless = faults.find((fault) => fault.kind === 'endless');
      const pages = endless === undefined ? 'never' : endless.repeat ? 'repeat' : 'on';
      return answerV2(request, request.path.slice(V2.length), { packages, settings, base: v2, endless: pages });
    }
    if (isBelow(request.path, V3)) {
      const vulnerabilitiesOf = knownVulnerabilities(settings);
      return answerV3(request, request.path.slice(V3.length), {
        packages,
        settings,
        base: `${root}${V3}`,
        v2,
        vulnerabilitiesOf,
      });
    }
    return problem(404, 'there is nothing here');
  }

  #refused({ method, headers }: FeedRequest): Reply | undefined {
    const { credentials, apiKey } = this.settings;
    if (credentials !== undefined) {
      const basic = 'username' in credentials;
      const expected = basic
        ? `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')}`
        : `Bearer ${credentials.bearer}`;
      if (!same(headers.authorization ?? '', expected)) {
        const challenge = `${basic ? 'Basic' : 'Bearer'} realm="feed"`;
        return { ...problem(401, 'who are you?'), headers: { 'www-authenticate': challenge } };
      }
    }
    if (apiKey === undefined || method === 'GET' || method === 'HEAD') return undefined;
    const key = headers['x-nuget-apikey'];
    if (key === undefined) return problem(401, 'an API key is missing');
    return same(String(key), apiKey) ? undefined : problem(403, 'the API key is wrong');
  }
}

/** A feed that listens, with its packages. Close it, or declare it with `await using`. */
export async function startFeedServer(options: FeedServerOptions = {}): Promise<FeedServer> {
  const packages = new FeedPackages(options.now);
  for (const pkg of options.packages ?? []) await packages.add(pkg);
  return new FeedServer(options, packages).listen(options.port);
}

function isBelow(path: string, root: string): boolean {
  const start = path.slice(0, root.length).toLowerCase();
  return start === root && (path.length === root.length || path[root.length] === '/');
}

function same(a: string, b: string): boolean {
  const [x, y] = [Buffer.from(a), Buffer.from(b)];
  return x.length === y.length && timingSafeEqual(x, y);
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

async function bodyOf(incoming: IncomingMessage): Promise<Buffer | undefined> {
  if (incoming.method === 'GET' || incoming.method === 'HEAD') return undefined;
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_UPLOAD_BYTES) throw new Error('the upload is too long');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
