import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type RequestOptions, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ActionResultStore } from '@granary/blobs';
import type { RequestRecord } from '../../edge/hooks.js';
import { ActionCache } from '../../services/action-cache.js';
import { createHttpCacheHandler, type HttpCacheOptions } from '../http-cache-handler.js';

export interface Answer {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface LoopbackHttpOptions extends Omit<HttpCacheOptions, 'actionCache'> {
  readonly results: ActionResultStore;
}

/** The HTTP cache on a free port of this machine, and a client without habits of its own. */
export class LoopbackHttp {
  readonly port: number;
  readonly server: Server;

  private constructor(server: Server) {
    this.server = server;
    this.port = (server.address() as AddressInfo).port;
  }

  /** @param records is told of each request, besides the hooks that are given */
  static async start({ results, ...options }: LoopbackHttpOptions, records: RequestRecord[]): Promise<LoopbackHttp> {
    const { blobs, hooks, tracer } = options;
    const limits = { maxTreeBytes: 1e6, maxTreeDirectories: 100 };
    const handler = createHttpCacheHandler({
      ...options,
      actionCache: new ActionCache({ results, blobs, ...limits, ...(tracer && { tracer }) }),
      hooks: { onRequest: (record) => records.push(record), ...hooks },
    });
    const server = createServer(handler).on('checkContinue', handler).listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new LoopbackHttp(server);
  }

  url(path: string): string {
    return `http://127.0.0.1:${this.port}${path}`;
  }

  /** With the bytes as they travel: `fetch` would decompress what newer versions of Node know. */
  async ask(
    method: string,
    path: string,
    options: RequestOptions = {},
    body: readonly Uint8Array[] = [],
  ): Promise<Answer> {
    const sent = request({ host: '127.0.0.1', port: this.port, method, path, ...options });
    for (const chunk of body) sent.write(chunk);
    sent.end();
    const [response] = await once(sent, 'response');
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk as Buffer);
    return { status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) };
  }

  close(): void {
    this.server.closeAllConnections();
    this.server.close();
  }
}
