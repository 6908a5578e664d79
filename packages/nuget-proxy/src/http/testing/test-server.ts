import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders, request } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import type { FeedContent } from '../../feed/feed-content.js';
import type { FeedRequestRecord } from '../hooks.js';
import { createNuGetHandler, type NuGetHandlerOptions } from '../nuget-handler.js';
import { MemoryFeed } from './memory-feed.js';

export interface TestAnswer {
  readonly status: number;
  readonly reason: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface AskInit {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | string | readonly (Buffer | string)[];
}

export interface TestServerInit extends Partial<Omit<NuGetHandlerOptions, 'feeds'>> {
  readonly all?: FeedContent;
  readonly bySource?: Readonly<Record<string, FeedContent>>;
}

/** The handler behind a server of its own on a free port of loopback, with a temporary folder for pushes. */
export class TestServer implements AsyncDisposable {
  readonly feed = new MemoryFeed();
  readonly records: FeedRequestRecord[] = [];
  readonly #server = createServer();
  readonly #directory: string;
  #awaited: { readonly count: number; readonly done: () => void } | undefined;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static async start({ all, bySource = {}, ...options }: TestServerInit = {}): Promise<TestServer> {
    const directory = await mkdtemp(join(tmpdir(), 'granary-nuget-'));
    const server = new TestServer(directory);
    try {
      await server.#listen(all ?? server.feed, bySource, options);
      return server;
    } catch (error) {
      await rm(directory, { recursive: true });
      throw error;
    }
  }

  async #listen(
    all: FeedContent,
    bySource: Readonly<Record<string, FeedContent>>,
    options: Omit<TestServerInit, 'all' | 'bySource'>,
  ): Promise<void> {
    const handle = createNuGetHandler({
      feeds: { all, bySource: new Map(Object.entries(bySource)) },
      incomingDirectory: this.incoming,
      ...options,
      hooks: {
        ...options.hooks,
        onRequest: (record) => {
          options.hooks?.onRequest?.(record);
          this.records.push(record);
          if (this.records.length >= (this.#awaited?.count ?? Number.POSITIVE_INFINITY)) this.#awaited?.done();
        },
      },
    });
    this.#server.on('request', handle).on('checkContinue', handle);
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get url(): string {
    return `http://${this.host}/nuget`;
  }

  get incoming(): string {
    return join(this.#directory, 'incoming');
  }

  /** Files that are left of pushes. */
  async left(): Promise<string[]> {
    return await readdir(this.incoming).catch(() => []);
  }

  /** The records of that many requests. */
  async recorded(count: number): Promise<readonly FeedRequestRecord[]> {
    if (this.records.length < count) {
      await new Promise<void>((done) => {
        this.#awaited = { count, done };
      });
    }
    return this.records;
  }

  /** Sends a request; its target is as it stands, not normalized. */
  async ask(target: string, { method = 'GET', headers = {}, body }: AskInit = {}): Promise<TestAnswer> {
    const sent = request({ ...this.#address, path: target, method, headers, agent: false });
    const answered = once(sent, 'response');
    const pieces = body === undefined ? [] : [body].flat();
    if (pieces.length === 1) sent.end(pieces[0]);
    else {
      for (const piece of pieces) sent.write(piece);
      sent.end();
    }
    const [response] = await answered;
    // Once it is answered, what becomes of the rest of the request doesn't matter.
    sent.on('error', () => {});
    return {
      status: response.statusCode,
      reason: response.statusMessage,
      headers: response.headers,
      body: await buffer(response),
    };
  }

  /** A document of protocol 3. */
  async json(path: string): Promise<never> {
    const { status, body } = await this.ask(`/nuget${path}`);
    if (status !== 200) throw new Error(`${path} answered ${status}: ${body}`);
    return JSON.parse(body.toString()) as never;
  }

  /** A bare connection. */
  connect(): Socket {
    const { host, port } = this.#address;
    return connect(port, host).on('error', () => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
    await rm(this.#directory, { recursive: true, force: true });
  }

  get #address() {
    return { host: '127.0.0.1', port: (this.#server.address() as AddressInfo).port };
  }
}
