import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { type DocumentRequest, type Feed, type PackageStream, type SendRequest, V2Provider } from '@granary/nuget';
import type { TestAnswer, TestServer } from '../../http/testing/test-server.js';

/** A client of protocol 2, as other servers have it, for what a server answers. */
export class V2Client implements Feed {
  readonly name = 'proxy';
  readonly url: string;
  readonly provider: V2Provider;
  /** Paths with their queries, below the feed, decoded. */
  readonly requests: string[] = [];
  readonly #server: TestServer;

  constructor(server: TestServer, path = '/v2') {
    this.#server = server;
    this.url = `${server.url}${path}`;
    this.provider = new V2Provider(this);
  }

  async document<T>(url: string, { accept = '*/*', parse }: DocumentRequest<T>): Promise<T | undefined> {
    const answer = await this.#ask('GET', url, { accept });
    return answer.status === 404 ? undefined : parse(answer.body, url);
  }

  async stream(url: string): Promise<PackageStream | undefined> {
    const { status, body } = await this.#ask('GET', url, {});
    return status === 404 ? undefined : { body: Readable.from([body]), length: body.length, url };
  }

  async send(url: string, { method, headers = {}, body }: SendRequest): Promise<number> {
    return (await this.#ask(method, url, headers, body && (await buffer(body())))).status;
  }

  async #ask(
    method: string,
    url: string,
    headers: Readonly<Record<string, string>>,
    body?: Buffer,
  ): Promise<TestAnswer> {
    this.requests.push(`${method} ${decodeURIComponent(url.slice(this.url.length))}`);
    const target = url.slice(url.indexOf('/', 'http://'.length));
    const answer = await this.#server.ask(target, { method, headers, ...(body && { body }) });
    if (answer.status >= 400 && answer.status !== 404) throw new Error(`${answer.status} ${answer.reason}`);
    return answer;
  }
}
