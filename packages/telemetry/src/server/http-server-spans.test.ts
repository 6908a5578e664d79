import { once } from 'node:events';
import { createServer, type RequestOptions, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RecordingTracer } from '../testing/index.js';
import { noopSpan, noopTracer } from '../tracing/noop-tracer.js';
import type { Span } from '../tracing/tracer.js';
import { boundedText } from './connection-attributes.js';
import { endHttpServerSpan, HttpServerSpans, type HttpServerSpansOptions } from './http-server-spans.js';

let tracer: RecordingTracer;
let server: Server;
let ended: Promise<Span>;

/** A server that answers with a status, or breaks off. */
async function serve(options: HttpServerSpansOptions, status: number | 'breaks off', failure?: unknown): Promise<void> {
  const spans = new HttpServerSpans(tracer, options);
  let end: (span: Span) => void;
  ended = new Promise((resolve) => {
    end = resolve;
  });
  server = createServer((incoming, response) => {
    const span = spans.start(incoming);
    response.once('close', () => {
      endHttpServerSpan(span, response, failure);
      end(span);
    });
    if (status === 'breaks off') response.destroy();
    else response.writeHead(status).end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
}

async function ask(options: RequestOptions): Promise<void> {
  const sent = request({ host: '127.0.0.1', port: (server.address() as AddressInfo).port, agent: false, ...options });
  await new Promise((resolve) => {
    sent.once('error', resolve).once('response', (response) => response.resume().once('close', resolve));
    sent.end();
  });
  await ended;
}

beforeEach(() => {
  tracer = new RecordingTracer();
});
afterEach(() => {
  server?.close();
  server?.closeAllConnections();
});

describe('the span of an HTTP request', () => {
  it('is named after its route, and says what was asked', async () => {
    await serve({ routeOf: (target) => (target.startsWith('/blobs/') ? '/blobs/{hash}' : undefined) }, 200);
    const headers = { host: 'user:secret@cache.example:8443', 'user-agent': 'tool/1' };
    await ask({ path: '/blobs/abc?token=secret', headers });
    const span = tracer.only('GET /blobs/{hash}');
    expect(span.kind).toBe('server');
    expect(span.attributes).toMatchObject({
      'http.request.method': 'GET',
      'http.route': '/blobs/{hash}',
      'http.response.status_code': 200,
      'url.path': '/blobs/abc',
      'url.scheme': 'http',
      'server.address': 'cache.example',
      'server.port': 8443,
      'client.address': '127.0.0.1',
      'network.protocol.version': '1.1',
      'user_agent.original': 'tool/1',
    });
    expect(JSON.stringify(span.attributes)).not.toContain('secret');
  });

  it('goes by another name where there is no route', async () => {
    await serve({ name: 'packages' }, 200);
    await ask({ method: 'REPORT', path: 'http://user:secret@cache.example/a?b' });
    const span = tracer.only('HTTP packages');
    expect(span.attributes).toMatchObject({
      'http.request.method': '_OTHER',
      'http.request.method_original': 'REPORT',
      'url.path': '/a',
    });
    expect(span.attributes['http.route']).toBeUndefined();
  });

  it('shows no secret that stands in the path, where some feeds have their token, or in the name of the client', async () => {
    await serve({}, 200);
    await ask({
      path: '/feed/token=s3cretS3cret/v3/index.json',
      headers: { 'user-agent': 'tool/1 (password=s3cretS3cret)' },
    });
    expect(tracer.only('GET').attributes).toMatchObject({
      'url.path': expect.stringMatching(/^\/feed\/token=\[redacted\]/),
      'user_agent.original': expect.stringMatching(/^tool\/1 \(password=\[redacted\]/),
    });
  });

  it('is part of the trace of whoever asks', async () => {
    await serve({}, 200);
    const traceId = 'ab'.repeat(16);
    await ask({ headers: { traceparent: `00-${traceId}-${'cd'.repeat(8)}-01` } });
    expect(tracer.only('GET').traceId).toBe(traceId);
  });

  it('has the failure behind an answer, and its status as the type of the error', async () => {
    await serve({}, 503, new Error('the disk is gone'));
    await ask({});
    const span = tracer.only('GET');
    expect(span.attributes).toMatchObject({ 'http.response.status_code': 503, 'error.type': '503' });
    expect(span.errors).toEqual([new Error('the disk is gone')]);
  });

  it('has no status when the answer broke off before one was sent', async () => {
    await serve({}, 'breaks off');
    await ask({});
    const span = tracer.only('GET');
    expect(span.attributes).not.toHaveProperty('http.response.status_code');
    expect(span.ended).toBe(true);
  });
});

it('is none where nobody traces', async () => {
  await serve({}, 200);
  const seen: Span[] = [];
  server.on('request', (incoming) => seen.push(new HttpServerSpans(noopTracer).start(incoming)));
  await ask({});
  expect(seen).toEqual([noopSpan]);
});

describe('a text from a client', () => {
  it('is cut, but not within a character', () => {
    expect(boundedText(`${'a'.repeat(255)}😀`)).toBe('a'.repeat(255));
    expect(boundedText('b'.repeat(300))).toBe('b'.repeat(256));
    expect(boundedText('')).toBeUndefined();
  });
});
