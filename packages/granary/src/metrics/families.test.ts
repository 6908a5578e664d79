import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { MetricRegistry } from '@granary/telemetry';
import { parseExposition } from '@granary/telemetry/testing';
import { describe, expect, it, vi } from 'vitest';
import { call, findMissingRequest, GRPC_CALLS, grpcClient } from '../testing/grpc-calls.js';
import { certificate, startTestServer, type TestServer, temporaryFolder } from '../testing/test-server.js';
import { RequestMetrics } from './request-metrics.js';

const CAS = 'build.bazel.remote.execution.v2.ContentAddressableStorage';
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
const url = (running: TestServer, path: string) => `http://${running.address('listen.http')}${path}`;

type Labels = Readonly<Record<string, string>>;

/** Reads a sample of a real scrape: of all series with these labels, added up. */
async function scrape(running: TestServer): Promise<(name: string, labels?: Labels) => number> {
  const response = await fetch(`http://${running.address('listen.admin')}/metrics`);
  const samples = parseExposition(await response.text(), 'text').flatMap((family) => family.samples);
  return (name, labels = {}) => {
    const found = samples.filter(
      (sample) =>
        sample.name === `granary_${name}` &&
        Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
    );
    expect(found, `${name} is not there`).not.toEqual([]);
    return found.reduce((sum, { value }) => sum + value, 0);
  };
}

/** Uploads a blob of this size that nobody has, and answers with its path. */
async function put(running: TestServer, size: number): Promise<string> {
  const bytes = randomBytes(size);
  const path = `/cas/${sha256(bytes)}`;
  expect((await fetch(url(running, path), { method: 'PUT', body: bytes })).status).toBe(200);
  return path;
}

describe('the metrics of a tier', () => {
  it('count a blob that is not here once, whatever protocol asks', async () => {
    await using running = await startTestServer();
    expect((await fetch(url(running, `/cas/${'0'.repeat(64)}`))).status).toBe(404);
    expect((await fetch(url(running, `/cas/${'1'.repeat(64)}`), { method: 'HEAD' })).status).toBe(404);
    const value = await scrape(running);
    expect(value('cache_requests_total', { method: 'get', tier: 'disk', status: 'miss' })).toBe(1);
    expect(value('cache_requests_total', { method: 'find', tier: 'disk', status: 'miss' })).toBe(1);
    expect(running.server.stats().blobs).toEqual({ hits: 0, misses: 1 });
  });

  it('count every operation by its outcome, with its time and the size of its blob', async () => {
    await using running = await startTestServer();
    const path = await put(running, 1000);
    const large = await put(running, 400_000);
    for (const each of [path, large]) await (await fetch(url(running, each))).arrayBuffer();
    const client = grpcClient(running.address('listen.grpc'));
    await call(client, GRPC_CALLS.read, {}, findMissingRequest(path.slice(5), 1000));
    await call(client, GRPC_CALLS.read, {}, findMissingRequest('0'.repeat(64), 1000));
    client.close();
    const wrong = await fetch(url(running, `/cas/${'0'.repeat(64)}`), { method: 'PUT', body: 'other content' });
    expect(wrong.status).toBe(400);

    const value = await scrape(running);
    const requests = (method: string, status: string) =>
      value('cache_requests_total', { method, tier: 'disk', status });
    expect([requests('write', 'ok'), requests('write', 'error')]).toEqual([2, 1]);
    expect([requests('get', 'hit'), requests('read', 'hit')]).toEqual([1, 1]);
    expect([requests('find', 'hit'), requests('find', 'miss')]).toEqual([1, 1]);
    expect(value('cache_latency_seconds_count', { method: 'write', tier: 'disk' })).toBe(3);
    expect(value('cache_latency_seconds_sum', { method: 'read', tier: 'disk' })).toBeGreaterThan(0);
    expect(value('blob_size_bytes_sum', { method: 'write' })).toBe(401_000);
    expect(value('blob_size_bytes_sum', { method: 'read' })).toBe(400_000);
  });

  it('show how full the store is, and what the janitor evicted', async () => {
    await using running = await startTestServer({ 'storage.max_size': '2MiB', 'storage.min_age': '0' });
    const before = await scrape(running);
    expect(before('disk_limit_bytes')).toBe(2 * 2 ** 20);
    expect(before('longest_item_idle_seconds')).toBe(0);
    for (let i = 0; i < 6; i++) await put(running, 500_000);
    // Between the two the server may evict, which it does behind the answers.
    await vi.waitFor(async () => {
      const after = await scrape(running);
      const { storage } = running.server.stats();
      expect(after('disk_usage_bytes')).toBeGreaterThan(before('disk_usage_bytes'));
      expect(after('disk_usage_bytes')).toBe(storage.bytes);
      expect(after('janitor_evictions_total')).toBe(storage.evictions);
      expect(after('janitor_evictions_total')).toBeGreaterThan(0);
      expect(after('janitor_evicted_bytes_total')).toBe(storage.evictedBytes);
      expect(after('longest_item_idle_seconds')).toBe(storage.longestIdleMs / 1000);
      expect(after('longest_item_idle_seconds')).toBeGreaterThan(0);
    });
  });

  it('show what is free, and what uploads under way will take', async () => {
    await using running = await startTestServer();
    // Between the two the server may look again, and others write to the same disk.
    await vi.waitFor(async () => {
      expect((await scrape(running))('disk_free_bytes')).toBe(running.server.stats().storage.freeBytes);
    });
    expect(running.server.stats().storage.freeBytes).toBeGreaterThan(0);
    const bytes = randomBytes(400_000);
    const upload = request(url(running, `/cas/${sha256(bytes)}`), {
      method: 'PUT',
      headers: { 'content-length': bytes.length },
    });
    const answered = once(upload, 'response');
    upload.write(bytes.subarray(0, 1000));
    await vi.waitFor(async () => {
      expect((await scrape(running))('disk_reserved_bytes')).toBeGreaterThanOrEqual(bytes.length);
    });
    upload.end(bytes.subarray(1000));
    const [response] = await answered;
    expect(response.resume().statusCode).toBe(200);
    await vi.waitFor(async () => expect((await scrape(running))('disk_reserved_bytes')).toBe(0));
  });

  it('count what was damaged', async () => {
    const folder = await temporaryFolder();
    await using running = await startTestServer({ 'storage.dir': folder });
    const path = await put(running, 400_000);
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
    const file = files.find((name) => name.endsWith(path.slice('/cas/'.length)));
    writeFileSync(join(folder, file as string), randomBytes(400_000));
    expect((await fetch(url(running, path))).status).toBe(404);
    expect((await scrape(running))('quarantined')).toBe(1);
    rmSync(folder, { recursive: true, force: true });
  });

  it('say what runs', async () => {
    await using running = await startTestServer();
    const { version, node } = running.server.stats();
    expect((await scrape(running))('build_info', { version, node })).toBe(1);
  });
});

describe('the metrics of the gRPC listener', () => {
  it('count calls with their time and their bytes', async () => {
    await using running = await startTestServer();
    const client = grpcClient(running.address('listen.grpc'));
    const question = findMissingRequest('0'.repeat(64), 1000);
    const { response } = await call(client, GRPC_CALLS.read, {}, question);
    await call(client, GRPC_CALLS.read, {}, Buffer.from([0xff]));
    client.close();
    const value = await scrape(running);
    const method = { service: CAS, method: 'FindMissingBlobs' };
    expect(value('grpc_requests_total', { ...method, code: 'OK' })).toBe(1);
    expect(value('grpc_requests_total', { ...method, code: 'INVALID_ARGUMENT' })).toBe(1);
    expect(value('grpc_request_duration_seconds_count', method)).toBe(2);
    const bytes = { method: 'FindMissingBlobs' };
    expect(value('grpc_bytes_total', { ...bytes, direction: 'received' })).toBe(question.length + 1);
    expect(value('grpc_bytes_total', { ...bytes, direction: 'sent' })).toBe(response?.length);
  });

  it('count calls of methods that nobody knows as others, in one series however many there are', async () => {
    await using running = await startTestServer();
    const client = grpcClient(running.address('listen.grpc'));
    for (let i = 0; i < 300; i++) expect((await call(client, `/made.up${i}/Method${i}`)).code).toBe('UNIMPLEMENTED');
    client.close();
    const value = await scrape(running);
    const unknown = { service: 'other', method: 'other' };
    expect(value('grpc_requests_total', { ...unknown, code: 'UNIMPLEMENTED' })).toBe(300);
    expect(value('grpc_requests_total')).toBe(300);
    expect(value('grpc_request_duration_seconds_count', unknown)).toBe(300);
  });

  it('show the calls that run and the connections that are open', async () => {
    await using running = await startTestServer();
    const idle = await scrape(running);
    expect([idle('grpc_streams'), idle('grpc_connections'), idle('grpc_connections_opened_total')]).toEqual([0, 0, 0]);
    const client = grpcClient(running.address('listen.grpc'));
    const asIs = (bytes: Buffer) => bytes;
    const watch = client.makeServerStreamRequest('/grpc.health.v1.Health/Watch', asIs, asIs, Buffer.alloc(0));
    watch.on('error', () => {});
    await once(watch, 'data');
    const busy = await scrape(running);
    expect([busy('grpc_streams'), busy('grpc_connections'), busy('grpc_connections_opened_total')]).toEqual([1, 1, 1]);
    watch.cancel();
    client.close();
    await vi.waitFor(async () => {
      const over = await scrape(running);
      expect([over('grpc_streams'), over('grpc_connections'), over('grpc_connections_opened_total')]).toEqual([
        0, 0, 1,
      ]);
    });
  });
});

describe('the metrics of the HTTP listeners', () => {
  it('put every verb that is not of the protocol under other', async () => {
    await using running = await startTestServer();
    for (const method of ['DELETE', 'PROPFIND', 'M-SEARCH']) {
      const sent = request(url(running, `/cas/${'0'.repeat(64)}`), { method, agent: false }).end();
      const [response] = await once(sent, 'response');
      expect(response.statusCode).toBe(405);
      response.resume();
      await once(response, 'close');
    }
    const value = await scrape(running);
    const other = { route: 'cas', method: 'other' };
    expect(value('http_server_requests_total', { ...other, code: '405' })).toBe(3);
    expect(value('http_server_request_duration_seconds_count', other)).toBe(3);
    expect(value('http_server_bytes_total', { method: 'other', direction: 'sent' })).toBeGreaterThan(0);
  });

  it('show the connections that are open, by listener', async () => {
    await using running = await startTestServer();
    const [host, port] = running.address('listen.http').split(':');
    const socket = connect(Number(port), host);
    await once(socket, 'connect');
    const ofHttp = { listener: 'http' };
    await vi.waitFor(async () => expect((await scrape(running))('http_server_connections', ofHttp)).toBe(1));
    const open = await scrape(running);
    expect(open('http_server_connections', { listener: 'admin' })).toBeGreaterThan(0);
    socket.destroy();
    await vi.waitFor(async () => expect((await scrape(running))('http_server_connections', ofHttp)).toBe(0));
    expect((await scrape(running))('http_server_connections_opened_total', ofHttp)).toBe(1);
  });

  it('count what nothing is looked up for, and connections beyond the limit', async () => {
    await using running = await startTestServer({ 'limits.max_connections': 1 });
    const page = request(url(running, `/cas/${'0'.repeat(64)}`), {
      method: 'PUT',
      headers: { origin: 'https://elsewhere.example' },
      agent: false,
    }).end();
    const [response] = await once(page, 'response');
    response.resume();
    await once(page, 'close');
    for (const [key, first] of [
      ['listen.http', 'nonsense\r\n\r\n'],
      ['listen.grpc', ''],
    ] as const) {
      const [host, port] = running.address(key).split(':');
      const open = () => connect(Number(port), host).on('error', () => {});
      const socket = open();
      await once(socket, 'connect');
      await once(open().resume(), 'close');
      socket.resume().end(first);
      await once(socket, 'close');
    }
    const value = await scrape(running);
    const refused = (method: string, code: string) =>
      value('http_server_requests_total', { route: 'refused', method, code });
    expect([refused('PUT', '403'), refused('other', '400')]).toEqual([1, 1]);
    // They would make latencies look better than they are.
    const duration = 'http_server_request_duration_seconds_count';
    expect(() => value(duration, { route: 'refused', method: 'PUT' })).toThrow();
    expect(value('http_server_connections_refused_total', { listener: 'http' })).toBe(1);
    expect(value('grpc_connections_refused_total')).toBe(1);
  });

  it('count a connection with TLS when it has shaken hands', async () => {
    const registry = new MetricRegistry();
    const shown = async () => {
      const samples = parseExposition(await registry.expose(), 'text').flatMap((family) => family.samples);
      return [/http_server_connections$/, /grpc_connections$/].map(
        (name) => samples.find((sample) => name.test(sample.name))?.value,
      );
    };
    await using running = await startTestServer(
      {
        'tls.cert_file': certificate('server.pem'),
        'tls.key_file': certificate('server.key'),
        'listen.admin': 'none',
        'telemetry.metrics_addr': 'none',
      },
      { metrics: registry },
    );
    expect(await shown()).toEqual([0, 0]);
    const sockets: Socket[] = [];
    for (const key of ['listen.http', 'listen.grpc'] as const) {
      const [host, port] = running.address(key).split(':');
      sockets.push(connect(Number(port), host));
      const options = { host, port: Number(port), ca: readFileSync(certificate('ca.pem')), servername: 'localhost' };
      const secure = connectTls({ ...options, ALPNProtocols: key === 'listen.grpc' ? ['h2'] : ['http/1.1'] });
      sockets.push(secure);
      await once(secure, 'secureConnect');
    }
    await vi.waitFor(async () => expect(await shown()).toEqual([1, 1]));
    for (const socket of sockets) socket.destroy();
    await vi.waitFor(async () => expect(await shown()).toEqual([0, 0]));
  });
});

describe('requests that are recorded in a trace', () => {
  it('are exemplars of their durations, and others are not', async () => {
    const registry = new MetricRegistry();
    const metrics = new RequestMetrics(registry);
    const record = {
      protocol: 'grpc',
      service: 's',
      method: 'm',
      code: 'OK',
      bytesIn: 1,
      bytesOut: 1,
      peer: '',
    } as const;
    const trace = { traceId: 'ab'.repeat(16), spanId: 'cd'.repeat(8) };
    const exemplars = async () => {
      const text = await registry.expose('openmetrics');
      return parseExposition(text, 'openmetrics').flatMap(({ samples }) =>
        samples.flatMap(({ exemplar }) => exemplar ?? []),
      );
    };
    metrics.record({ ...record, durationMs: 5 });
    metrics.record({ ...record, durationMs: 5, ...trace, sampled: false });
    expect(await exemplars()).toEqual([]);
    metrics.record({ ...record, durationMs: 5, ...trace, sampled: true });
    expect(await exemplars()).toMatchObject([
      { labels: { trace_id: trace.traceId, span_id: trace.spanId }, value: 0.005 },
    ]);
  });
});
