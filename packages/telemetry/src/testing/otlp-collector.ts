import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createHttp2Server, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { type CollectedSpan, readExportRequest } from './otlp-spans.js';

/** `accept` takes spans, `refuse` answers that it can't now, `hang` never answers. */
export type CollectorBehaviour = 'accept' | 'refuse' | 'hang';

const GRPC_PATH = '/opentelemetry.proto.collector.trace.v1.TraceService/Export';
const HTTP_PATH = '/v1/traces';
/** A flag for compression and the length, in front of a message. */
const GRPC_PREFIX = 5;
const UNAVAILABLE = '14';

/**
 * A collector of spans on loopback, for tests: OTLP by gRPC or by HTTP, in plain text. It keeps every span that came, so
 * that a test can look at whole traces.
 */
export class OtlpCollector implements AsyncDisposable {
  behaviour: CollectorBehaviour = 'accept';
  readonly spans: CollectedSpan[] = [];
  /** The headers of each export that came. */
  readonly requests: Readonly<Record<string, string | string[] | undefined>>[] = [];
  readonly #server: Server | Http2Server;
  readonly #sockets = new Set<Socket>();
  readonly #waiting = new Set<() => void>();

  private constructor(protocol: 'grpc' | 'http') {
    this.#server =
      protocol === 'grpc'
        ? createHttp2Server().on('stream', (stream, headers) => this.#takeGrpc(stream, headers))
        : createServer((request, response) => void this.#takeHttp(request, response));
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }

  /** Listens on a free port, or on one that was free a moment ago. */
  static async start(protocol: 'grpc' | 'http' = 'grpc', port = 0): Promise<OtlpCollector> {
    const collector = new OtlpCollector(protocol);
    collector.#server.listen(port, '127.0.0.1');
    await once(collector.#server, 'listening');
    return collector;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** `HOST:PORT`, as `telemetry.tracing_endpoint` takes it. */
  get endpoint(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Spans by trace: each before those that are part of it, and those of one parent in the order of their starts. */
  traces(): Map<string, CollectedSpan[]> {
    const sorted = this.spans.toSorted((a, b) => Number(a.startTimeUnixNano - b.startTimeUnixNano));
    const ids = new Set(sorted.map(({ spanId }) => spanId));
    const withParts = (span: CollectedSpan): CollectedSpan[] => [
      span,
      ...sorted.filter(({ parentSpanId }) => parentSpanId === span.spanId).flatMap(withParts),
    ];
    const traces = new Map<string, CollectedSpan[]>();
    for (const span of sorted) {
      if (span.parentSpanId !== undefined && ids.has(span.parentSpanId)) continue;
      traces.set(span.traceId, [...(traces.get(span.traceId) ?? []), ...withParts(span)]);
    }
    return traces;
  }

  /** The only span of this name. */
  only(name: string): CollectedSpan {
    const [span, ...others] = this.spans.filter((each) => each.name === name);
    if (span && others.length === 0) return span;
    const there = this.spans.map((each) => each.name).join(', ') || 'none';
    throw new Error(`${others.length + (span ? 1 : 0)} spans are named ${name}; there are: ${there}`);
  }

  /** Resolves when what has come makes this true; looks again after each export. */
  async until(isEnough: (spans: readonly CollectedSpan[]) => boolean): Promise<void> {
    while (!isEnough(this.spans)) await this.nextRequest();
  }

  /** Resolves when the next export has come, whatever becomes of it. */
  nextRequest(): Promise<void> {
    return new Promise((resolve) => this.#waiting.add(resolve));
  }

  /** Breaks all connections off and stops listening. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #takeGrpc(stream: ServerHttp2Stream, headers: Record<string, string | string[] | undefined>): void {
    stream.on('error', () => {});
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.once('end', () => {
      const body = Buffer.concat(chunks);
      const compressed = body[0] === 1;
      const message = body.subarray(GRPC_PREFIX);
      const found = headers[':path'] === GRPC_PATH;
      const taken = this.#take(headers, compressed ? () => gunzipSync(message) : () => message, found);
      if (taken === 'hang') return;
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      const status = taken === 'accept' ? '0' : UNAVAILABLE;
      stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': status, 'grpc-message': taken }));
      // An answer without content is a message of no bytes.
      stream.end(Buffer.alloc(GRPC_PREFIX));
    });
  }

  async #takeHttp(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request) chunks.push(chunk as Buffer);
    } catch {
      return;
    }
    const body = Buffer.concat(chunks);
    const compressed = request.headers['content-encoding'] === 'gzip';
    const found = request.method === 'POST' && request.url === HTTP_PATH;
    const taken = this.#take(request.headers, compressed ? () => gunzipSync(body) : () => body, found);
    if (taken === 'hang') return;
    const status = taken === 'accept' ? 200 : 503;
    response.writeHead(status, { 'content-type': 'application/x-protobuf' }).end();
  }

  /** What becomes of an export. */
  #take(headers: OtlpCollector['requests'][number], body: () => Buffer, found: boolean): CollectorBehaviour {
    this.requests.push(headers);
    const behaviour = found ? this.behaviour : 'refuse';
    if (behaviour === 'accept') this.spans.push(...readExportRequest(body()));
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
    return behaviour;
  }
}
