import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { Agent, type IncomingMessage, request } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { connect, createServer } from 'node:net';
import { createLogger, LevelControl, MetricRegistry } from '@granary/telemetry';
import { describe, expect, it, vi } from 'vitest';
import { configFrom } from '../config/load.js';
import { call, GRPC_CALLS, grpcClient } from '../testing/grpc-calls.js';
import { startTestServer, type TestServer, temporaryFolder } from '../testing/test-server.js';
import { ListenError } from './listening/listener.js';
import { startServer } from './start-server.js';
import type { ServerStats } from './stats.js';

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
const url = (running: TestServer, path: string, key: 'listen.http' | 'listen.admin' = 'listen.http') =>
  `http://${running.address(key)}${path}`;

describe('a server', () => {
  it('says where it listens and stores, and what to tell Bazel and NuGet', async () => {
    await using running = await startTestServer();
    const { message } = running.server;
    expect(message).toContain('Granary 0.1.0 is ready.');
    expect(message).toContain(`--remote_cache=grpc://${running.address('listen.grpc')}\n`);
    expect(message).toContain(`--remote_cache=http://${running.address('listen.http')}\n`);
    expect(message).toContain(`For NuGet:\n  http://${running.address('listen.http')}/nuget/v3/index.json\n`);
    expect(message).toContain(`admin   ${running.address('listen.admin')}\n`);
    expect(message).toMatch(/store {3}\/.*granary-.* \(0 B of 64 MiB\)/);
    expect(message).not.toContain('WARNING');
    for (const { address } of running.server.listeners) expect(address.port).toBeGreaterThan(0);
  });

  it('serves what was stored by HTTP and counts it', async () => {
    await using running = await startTestServer();
    const bytes = randomBytes(100_000);
    const path = `/cas/${sha256(bytes)}`;
    expect((await fetch(url(running, path))).status).toBe(404);
    expect((await fetch(url(running, path), { method: 'PUT', body: bytes })).status).toBeLessThan(300);
    const response = await fetch(url(running, path));
    expect(Buffer.from(await response.arrayBuffer()).equals(bytes)).toBe(true);
    expect((await fetch(url(running, `/ac/${'0'.repeat(64)}`))).status).toBe(404);
    const client = grpcClient(running.address('listen.grpc'));
    expect((await call(client, GRPC_CALLS.read)).code).toBe('OK');
    client.close();

    const stats = (await (await fetch(url(running, '/stats', 'listen.admin'))).json()) as ServerStats;
    expect(stats.listeners).toEqual({
      'listen.grpc': running.address('listen.grpc'),
      'listen.http': running.address('listen.http'),
      'listen.admin': running.address('listen.admin'),
    });
    expect(stats).toMatchObject({ version: '0.1.0', pid: process.pid, state: 'serving' });
    expect(stats.storage).toMatchObject({ blobs: 1, maxBytes: 64 * 2 ** 20, durability: 'data' });
    expect(stats.requests.requests).toBe(5);
    expect(stats.requests.bytesIn).toBeGreaterThanOrEqual(bytes.length);
    expect(stats.actionResults).toEqual({ hits: 0, misses: 1 });
    expect(stats.blobs.hits).toBe(1);

    const metrics = await (await fetch(url(running, '/metrics', 'listen.admin'))).text();
    for (const line of [
      /^granary_http_server_requests_total\{route="cas",method="GET",code="404"\} 1$/m,
      /^granary_http_server_requests_total\{route="cas",method="GET",code="200"\} 1$/m,
      /^granary_http_server_bytes_total\{method="PUT",direction="received"\} 100000$/m,
      /^granary_http_server_request_duration_seconds_count\{route="cas",method="PUT"\} 1$/m,
      /^granary_grpc_requests_total\{service="build.bazel.remote.execution.v2.ContentAddressableStorage",method="FindMissingBlobs",code="OK"\} 1$/m,
      /^granary_grpc_request_duration_seconds_count\{.*method="FindMissingBlobs"\} 1$/m,
      /^granary_cache_requests_total\{method="write",tier="disk",status="ok"\} 1$/m,
      /^granary_blob_size_bytes_sum\{method="write"\} 100000$/m,
      /^granary_disk_limit_bytes 67108864$/m,
      /^granary_disk_usage_bytes [1-9]/m,
      /^granary_janitor_evictions_total 0$/m,
      /^granary_build_info\{version="0.1.0",node="[\d.]+"\} 1$/m,
    ])
      expect(metrics).toMatch(line);
  });

  it('lets no page in a browser change anything, of whatever site', async () => {
    await using running = await startTestServer({ 'nuget.hosted': true });
    const content = randomBytes(100);
    const path = `/cas/${sha256(content)}`;
    const write = (to: string, method: string, headers: Record<string, string>) =>
      fetch(url(running, to), { method, headers, ...(method === 'DELETE' ? {} : { body: content }) });
    for (const origin of ['https://elsewhere.example', url(running, ''), 'null']) {
      for (const [to, method] of [
        [path, 'PUT'],
        ['/nuget/v3/package', 'PUT'],
        ['/nuget/v3/package/x/1.0.0', 'POST'],
        ['/nuget/v3/package/x/1.0.0', 'DELETE'],
      ] as const)
        expect((await write(to, method, { origin, authorization: 'Bearer guessed' })).status).toBe(403);
    }
    expect((await fetch(url(running, path))).status).toBe(404);
    expect((await write(path, 'PUT', {})).status).toBe(200);
    expect((await fetch(url(running, path), { headers: { origin: 'https://elsewhere.example' } })).status).toBe(200);
  });

  it('evicts to stay under its limit, and counts that', async () => {
    await using running = await startTestServer({ 'storage.max_size': '2MiB', 'storage.min_age': '0' });
    for (let i = 0; i < 6; i++) {
      const bytes = randomBytes(500_000);
      expect((await fetch(url(running, `/cas/${sha256(bytes)}`), { method: 'PUT', body: bytes })).status).toBe(200);
    }
    const { storage } = running.server.stats();
    expect(storage.bytes).toBeLessThanOrEqual(2 * 2 ** 20);
    expect(storage.evictions).toBeGreaterThan(0);
    const metrics = await (await fetch(url(running, '/metrics', 'listen.admin'))).text();
    expect(metrics).toMatch(/^granary_janitor_evictions_total [1-9]/m);
    expect(metrics).toMatch(/^granary_janitor_evicted_bytes_total [1-9]/m);
  });

  it('serves on the listeners that are configured, and no others', async () => {
    await using running = await startTestServer({ 'listen.http': 'none', 'listen.admin': 'none' });
    expect(running.server.listeners.map(({ key }) => key)).toEqual(['listen.grpc']);
    expect(running.server.message).toContain('For Bazel:\n  --remote_cache=grpc://');
    expect(running.server.message).not.toContain('NuGet');
  });

  it('serves metrics and health, but no statistics, on telemetry.metrics_addr', async () => {
    const metrics = new MetricRegistry({ namespace: 'other' });
    await using running = await startTestServer({ 'telemetry.metrics_addr': '127.0.0.1:0' }, { metrics });
    const base = `http://${running.address('telemetry.metrics_addr')}`;
    expect(await (await fetch(`${base}/metrics`)).text()).toContain('other_disk_usage_bytes');
    expect((await fetch(`${base}/healthz`)).status).toBe(200);
    expect((await fetch(`${base}/stats`)).status).toBe(404);
  });

  it('answers on the admin port only what it should', async () => {
    await using running = await startTestServer();
    const ask = (path: string, init?: RequestInit) => fetch(url(running, path, 'listen.admin'), init);
    expect(await (await ask('/healthz')).text()).toBe('ok\n');
    expect(await (await ask('/readyz')).text()).toBe('ready\n');
    expect(await (await ask('/version')).json()).toEqual({ version: '0.1.0', node: process.versions.node });
    expect((await ask('/nothing')).status).toBe(404);
    expect((await ask('/__proto__')).status).toBe(404);
    const posted = await ask('/stats', { method: 'POST', body: 'x' });
    expect([posted.status, posted.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
    const head = await ask('/metrics', { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
  });

  it('says in the log that its level was changed by the admin port', async () => {
    const lines: string[] = [];
    const logger = createLogger({ destination: { write: (line) => lines.push(line) }, format: 'json' });
    await using running = await startTestServer({}, { logger, logLevel: new LevelControl(logger) });
    for (const wish of ['?for=10m', ''])
      await fetch(url(running, `/log-level${wish}`, 'listen.admin'), { method: 'PUT', body: 'debug' });
    const told = lines.map((line) => JSON.parse(line).msg).filter((message) => message.includes('level of the log'));
    expect(told).toEqual([
      'The level of the log is debug for 600000 ms, as the admin port was told',
      'The level of the log is debug, as the admin port was told',
    ]);
  });

  it('keeps uploads of unknown size with the store, as many as there is room for', async () => {
    await using running = await startTestServer({ 'limits.max_unsized_uploads': '3MiB' });
    vi.stubEnv('TMPDIR', '/nowhere');
    try {
      const put = (bytes: Buffer) =>
        fetch(url(running, `/cas/${sha256(bytes)}`), {
          method: 'PUT',
          body: new Blob([new Uint8Array(bytes)]).stream(),
          duplex: 'half',
        } as RequestInit);
      const bytes = randomBytes(2 * 1024 * 1024);
      expect((await put(bytes)).status).toBe(200);
      const back = await fetch(url(running, `/cas/${sha256(bytes)}`));
      expect(Buffer.from(await back.arrayBuffer()).equals(bytes)).toBe(true);
      expect((await put(randomBytes(4 * 1024 * 1024))).status).toBe(507);
      // What was refused has given its room back.
      expect((await put(randomBytes(2 * 1024 * 1024))).status).toBe(200);
    } finally {
      vi.unstubAllEnvs();
    }
  });

  it('refuses a port that is in use, names the key, and leaves the store free', async () => {
    const folder = await temporaryFolder();
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as { port: number };
    const values = {
      'listen.grpc': '127.0.0.1:0',
      'listen.admin': 'none',
      'storage.dir': folder,
      'storage.max_size': '64MiB',
    };
    const failure = await startServer(configFrom({ ...values, 'listen.http': `127.0.0.1:${port}` })).catch((e) => e);
    expect(failure).toBeInstanceOf(ListenError);
    expect(failure.message).toBe(
      `listen.http: can't listen on 127.0.0.1:${port}: the port is in use; choose another one, or 0 for any that is free`,
    );
    other.close();
    await (await startServer(configFrom({ ...values, 'listen.http': 'none' }))).stop();
    await rm(folder, { recursive: true });
  });

  it('says which of its own listeners has a port', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as { port: number };
    await new Promise((resolve) => other.close(resolve));
    const address = `127.0.0.1:${port}`;
    await expect(startTestServer({ 'listen.http': address, 'listen.admin': address })).rejects.toThrow(
      `listen.admin: can't listen on ${address}: the port is that of listen.http; choose another one, or 0`,
    );
  });

  it('says what is wrong with a host that is not there', async () => {
    await expect(startTestServer({ 'listen.grpc': 'no-such-host.invalid:0' })).rejects.toThrow(
      /^listen.grpc: can't listen on no-such-host.invalid:0: /,
    );
  });

  it('refuses a folder that another server has', async () => {
    const folder = await temporaryFolder();
    {
      await using first = await startTestServer({ 'storage.dir': folder });
      expect(first.server.stats().storage.directory).toBe(folder);
      await expect(startTestServer({ 'storage.dir': folder })).rejects.toMatchObject({
        code: 'STORE_LOCKED',
        message: expect.stringContaining('give each server a folder of its own (storage.dir)'),
      });
    }
    await rm(folder, { recursive: true });
  });

  it('lets a client send more than 64 KiB before it waits, and no more calls at once than configured', async () => {
    await using running = await startTestServer({ 'limits.max_concurrent_streams': 7 });
    const session = connectHttp2(`http://${running.address('listen.grpc')}`);
    const [settings] = await once(session, 'remoteSettings');
    expect(settings).toMatchObject({ initialWindowSize: 2 ** 20, maxConcurrentStreams: 7 });
    await new Promise((resolve) => session.ping(resolve));
    expect(session.state.remoteWindowSize).toBe(4 * 2 ** 20);
    session.destroy();
  });

  it('takes no more connections than configured', async () => {
    await using running = await startTestServer({ 'limits.max_connections': 1 });
    const agent = new Agent({ keepAlive: true });
    await drained(await respond(running, agent));
    await expect(fetch(url(running, '/status'))).rejects.toThrow();
    agent.destroy();
  });

  it('refuses headers that are too large', async () => {
    await using running = await startTestServer({ 'limits.max_header_size': '1KiB' });
    const response = await fetch(url(running, '/status'), { headers: { 'X-Large': 'x'.repeat(2000) } });
    expect(response.status).toBe(431);
  });
});

function respond(running: TestServer, agent: Agent): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request(url(running, '/status'), { agent }, resolve).on('error', reject).end();
  });
}

async function drained(response: IncomingMessage): Promise<void> {
  response.resume();
  await once(response, 'end');
}

/** An upload that has begun and waits for its second half. */
async function beginUpload(running: TestServer, bytes: Buffer) {
  const upload = request(url(running, `/cas/${sha256(bytes)}`), {
    method: 'PUT',
    headers: { 'Content-Length': bytes.length },
  });
  const answer = once(upload, 'response') as Promise<[IncomingMessage]>;
  answer.catch(() => {});
  upload.write(bytes.subarray(0, bytes.length / 2));
  await untilUploading(running);
  return { answer, finish: () => upload.end(bytes.subarray(bytes.length / 2)) };
}

/** The server has a request when its store has set space aside for it. */
async function untilUploading(running: TestServer): Promise<void> {
  while (running.server.stats().storage.reservedBytes === 0) await new Promise((resolve) => setImmediate(resolve));
}

describe('a server that is stopped', () => {
  it('turns unready, lets running requests finish, takes no new ones, and then is gone', async () => {
    const running = await startTestServer();
    const bytes = randomBytes(200_000);
    const client = grpcClient(running.address('listen.grpc'));
    const health = async () => (await call(client, GRPC_CALLS.health)).response?.toString('hex');
    expect(await health()).toBe('0801');
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    await drained(await respond(running, agent));
    const upload = await beginUpload(running, bytes);

    const stopped = running.server.stop(20_000);
    const ready = await fetch(url(running, '/readyz', 'listen.admin'));
    expect([ready.status, await ready.text()]).toEqual([503, 'the server is shutting down\n']);
    expect((await fetch(url(running, '/healthz', 'listen.admin'))).status).toBe(200);
    expect(running.server.stats().state).toBe('draining');
    await expect(fetch(url(running, '/status'))).rejects.toThrow();

    upload.finish();
    const [response] = await upload.answer;
    expect(response.statusCode).toBe(200);
    response.resume();
    expect(await stopped).toBe(true);
    expect(await running.server.stop()).toBe(true);
    await expect(fetch(url(running, '/healthz', 'listen.admin'))).rejects.toThrow();
    agent.destroy();
    client.close();
    await running[Symbol.asyncDispose]();
  });

  it('ends what still runs when the time is over, and leaves nothing of it in the store', async () => {
    const folder = await temporaryFolder();
    const running = await startTestServer({ 'storage.dir': folder });
    const bytes = randomBytes(200_000);
    const upload = await beginUpload(running, bytes);
    expect(await running.server.stop(10)).toBe(false);
    await expect(upload.answer).rejects.toThrow();
    {
      await using again = await startTestServer({ 'storage.dir': folder });
      expect((await fetch(url(again, `/cas/${sha256(bytes)}`))).status).toBe(404);
      expect(again.server.stats().storage).toMatchObject({ blobs: 0, reservedBytes: 0 });
    }
    await rm(folder, { recursive: true });
  });

  it('answers new requests on an open connection with 503', async () => {
    const running = await startTestServer();
    const bytes = randomBytes(200_000);
    const [host, port] = running.address('listen.http').split(':') as [string, string];
    const socket = connect(Number(port), host);
    let answers = '';
    socket.setEncoding('latin1').on('data', (text: string) => {
      answers += text;
    });
    socket.write(`PUT /cas/${sha256(bytes)} HTTP/1.1\r\nHost: x\r\nContent-Length: ${bytes.length}\r\n\r\n`);
    socket.write(bytes.subarray(0, 100_000));
    await untilUploading(running);
    const stopped = running.server.stop(20_000);
    socket.write(bytes.subarray(100_000));
    socket.write('GET /status HTTP/1.1\r\nHost: x\r\n\r\n');
    await once(socket, 'close');
    expect(answers).toMatch(/^HTTP\/1.1 200 [\s\S]*HTTP\/1.1 503 [\s\S]*Connection: close/);
    expect(await stopped).toBe(true);
    await running[Symbol.asyncDispose]();
  });

  it('keeps what was stored', async () => {
    const folder = await temporaryFolder();
    const bytes = randomBytes(50_000);
    {
      await using first = await startTestServer({ 'storage.dir': folder });
      await fetch(url(first, `/cas/${sha256(bytes)}`), { method: 'PUT', body: bytes });
    }
    {
      await using second = await startTestServer({ 'storage.dir': folder });
      const response = await fetch(url(second, `/cas/${sha256(bytes)}`));
      expect(Buffer.from(await response.arrayBuffer()).equals(bytes)).toBe(true);
    }
    await rm(folder, { recursive: true });
  });
});
