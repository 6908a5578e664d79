import { connect } from 'node:net';
import { Digest, MemoryActionResultStore, MemoryBlobStore, withTracing } from '@granary/blobs';
import { createLogger, type Tracer } from '@granary/telemetry';
import { RecordingTracer } from '@granary/telemetry/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { RequestRecord } from '../edge/hooks.js';
import type { HttpCacheOptions } from './http-cache-handler.js';
import { LoopbackHttp } from './testing/loopback-http.js';

const TRACE = 'ab'.repeat(16);
const SAMPLED = { traceparent: `00-${TRACE}-${'cd'.repeat(8)}-01` };
const UNSAMPLED = { traceparent: `00-${TRACE}-${'cd'.repeat(8)}-00` };
const small = Buffer.from('small');
const large = Buffer.alloc(2 ** 20, 'large');
const digestOf = (bytes: Buffer) => Digest.of('sha256', bytes);

let tracer: RecordingTracer;
let records: RequestRecord[];
let store: MemoryBlobStore;
let cache: LoopbackHttp;

async function start(options: Partial<HttpCacheOptions> = {}): Promise<void> {
  const blobs = withTracing(store, tracer);
  const results = new MemoryActionResultStore();
  cache = await LoopbackHttp.start({ blobs, sizes: store, results, tracer, ...options }, records);
}

/** Asks and waits until the record is there. */
async function ask(method: string, path: string, headers: Record<string, string> = {}, body?: Buffer) {
  const before = records.length;
  const length = body && { 'content-length': body.length };
  const { status } = await cache.ask(
    method,
    path,
    { headers: { ...headers, ...length }, agent: false },
    body && [body],
  );
  await vi.waitFor(() => expect(records.length).toBe(before + 1));
  return status;
}

beforeEach(() => {
  tracer = new RecordingTracer();
  records = [];
  store = new MemoryBlobStore();
});
afterEach(() => cache.close());

describe('an HTTP request of a sampled trace', () => {
  it('continues it from the edge to the store, in records too', async () => {
    await start();
    const path = `/cas/${digestOf(small).hash}`;
    await ask('PUT', path, SAMPLED, small);
    const headers = { ...SAMPLED, host: 'user:secret@cache.example:8443', 'user-agent': 'bazel/8.4.2' };
    expect(await ask('GET', `${path}?q`, headers)).toBe(200);
    expect(tracer.paths()).toEqual([
      'PUT /cas/{hash}',
      'PUT /cas/{hash} > proxy.Put',
      'GET /cas/{hash}',
      'GET /cas/{hash} > proxy.Get',
    ]);
    const span = tracer.only('GET /cas/{hash}');
    expect(span).toMatchObject({ kind: 'server', traceId: TRACE, parentId: 'cd'.repeat(8), status: 'unset' });
    expect(span.attributes).toEqual({
      'http.request.method': 'GET',
      'http.route': '/cas/{hash}',
      'http.response.status_code': 200,
      'url.scheme': 'http',
      'url.path': path,
      'network.protocol.version': '1.1',
      'user_agent.original': 'bazel/8.4.2',
      'server.address': 'cache.example',
      'server.port': 8443,
      'client.address': '127.0.0.1',
      'network.peer.address': '127.0.0.1',
      'network.peer.port': expect.any(Number),
    });
    expect(records[1]).toMatchObject({ traceId: TRACE, spanId: span.spanId, sampled: true });
    expect(tracer.spans.every(({ ended }) => ended)).toBe(true);
  });

  it('shows reads of large blobs and parts, heads and action results', async () => {
    await start();
    await store.write(digestOf(large), large);
    const path = `/cas/${digestOf(large).hash}`;
    await ask('GET', path, SAMPLED);
    await ask('GET', path, { ...SAMPLED, range: 'bytes=10-19' });
    await ask('HEAD', path, SAMPLED);
    await ask('GET', `/main/ac/${digestOf(small).hash}`, SAMPLED);
    await ask('PUT', `/main/ac/${digestOf(small).hash}`, SAMPLED, Buffer.alloc(0));
    expect(tracer.paths()).toEqual([
      'GET /cas/{hash}',
      'GET /cas/{hash} > proxy.Get',
      'GET /cas/{hash}',
      'GET /cas/{hash} > proxy.Get',
      'HEAD /cas/{hash}',
      'HEAD /cas/{hash} > proxy.FindMissing',
      'GET /ac/{hash}',
      'GET /ac/{hash} > proxy.GetActionResult',
      'PUT /ac/{hash}',
      'PUT /ac/{hash} > proxy.PutActionResult',
    ]);
    expect(tracer.named('proxy.Get').map((span) => span.attributes['cache.bytes_read'])).toEqual([large.length, 10]);
    expect(tracer.only('GET /ac/{hash}').attributes['http.response.status_code']).toBe(404);
  });

  it('shows that a blob was looked for whose size nobody knows', async () => {
    await start();
    const { hash } = digestOf(small);
    expect(await ask('GET', `/cas/${hash}`, SAMPLED)).toBe(404);
    expect(await ask('HEAD', `/cas/${hash}`, SAMPLED)).toBe(404);
    expect(tracer.paths()).toEqual([
      'GET /cas/{hash}',
      'GET /cas/{hash} > proxy.Get',
      'HEAD /cas/{hash}',
      'HEAD /cas/{hash} > proxy.FindMissing',
    ]);
    for (const name of ['proxy.Get', 'proxy.FindMissing']) {
      expect(tracer.only(name)).toMatchObject({ ended: true, status: 'unset' });
      expect(tracer.only(name).attributes).toEqual({
        'cache.tier': 'memory',
        'cache.digest': hash,
        'cache.hit': false,
      });
    }
  });

  it('has few names, whatever is asked for', async () => {
    await start();
    await ask('GET', '/status', SAMPLED);
    await ask('GET', '/some/where/else', SAMPLED);
    await ask('PROPFIND', `/cas/${digestOf(small).hash}`, SAMPLED);
    await ask('GET', '/x/ac/not-a-hash', SAMPLED);
    expect(tracer.spans.map(({ name }) => name)).toEqual(['GET /status', 'GET', 'HTTP /cas/{hash}', 'GET /ac/{hash}']);
    expect(tracer.spans[2]?.attributes).toMatchObject({
      'http.request.method': '_OTHER',
      'http.request.method_original': 'PROPFIND',
    });
  });

  it.each([
    ['[::1]:80', '::1', 80],
    ['[::1]', '::1', undefined],
    ['name', 'name', undefined],
    ['a@b@name:99999x', undefined, undefined],
    ['x'.repeat(300), 'x'.repeat(256), undefined],
  ])('names the host of %s', async (host, address, serverPort) => {
    await start();
    await ask('GET', '/status', { ...SAMPLED, host });
    expect(tracer.spans[0]?.attributes['server.address']).toBe(address);
    expect(tracer.spans[0]?.attributes['server.port']).toBe(serverPort);
  });

  it('is an error when the server failed, and the line about it names the trace', async () => {
    const broken = new Error('broken');
    const lines: string[] = [];
    store.sizeOf = () => {
      throw broken;
    };
    const logger = createLogger({ destination: { write: (line: string) => lines.push(line) }, format: 'json' });
    await start({ logger });
    expect(await ask('GET', `/cas/${digestOf(small).hash}`, SAMPLED)).toBe(500);
    const [span] = tracer.spans;
    expect(span).toMatchObject({ status: 'error', errors: [broken], ended: true });
    expect(span?.attributes).toMatchObject({ 'http.response.status_code': 500, 'error.type': '500' });
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ trace_id: TRACE, span_id: span?.spanId });
  });

  it('ends when the client goes away, without an error of ours', async () => {
    await start();
    const socket = connect(cache.port, '127.0.0.1');
    const path = `/cas/${digestOf(small).hash}`;
    socket.write(
      `PUT ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\ntraceparent: ${SAMPLED.traceparent}\r\n\r\nsm`,
    );
    await vi.waitFor(() => expect(tracer.named('proxy.Put')).toHaveLength(1));
    socket.destroy();
    await vi.waitFor(() => expect(records).toMatchObject([{ code: '499', traceId: TRACE }]));
    const span = tracer.only('PUT /cas/{hash}');
    expect(span).toMatchObject({ status: 'unset', ended: true });
    expect(span.events.map(({ name }) => name)).toEqual(['the connection closed before the answer was complete']);
    await vi.waitFor(() => expect(tracer.only('proxy.Put').ended).toBe(true));
  });

  it('is traced where nobody wants records', async () => {
    await start({ hooks: {} });
    const response = await fetch(`http://127.0.0.1:${cache.port}/status`, { headers: SAMPLED });
    await response.text();
    await vi.waitFor(() => expect(tracer.only('GET /status').ended).toBe(true));
  });
});

describe('an HTTP request that is not sampled', () => {
  it('makes no spans', async () => {
    await start();
    await ask('GET', `/cas/${digestOf(small).hash}`, UNSAMPLED);
    tracer.sampled = false;
    await ask('GET', '/status');
    expect(tracer.spans).toEqual([]);
    expect(records.every(({ traceId }) => traceId === undefined)).toBe(true);
  });

  it('names its trace in its record where that is logged', async () => {
    await start({ hooks: { onRequest: (record) => records.push(record), wantsDetails: () => true } });
    await ask('GET', '/status', UNSAMPLED);
    expect(records[0]).toMatchObject({ traceId: TRACE, sampled: false });
  });

  it('costs no question when tracing is off', async () => {
    const never = () => expect.fail('asked');
    const off: Tracer = {
      enabled: false,
      startSpan: never,
      startServerSpan: never,
      extract: never,
      activeSpan: never,
      runWith: never,
    };
    await start({ tracer: off });
    expect(await ask('GET', '/status', SAMPLED)).toBe(200);
  });
});
