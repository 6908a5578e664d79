import { access, readFile, rename, rm } from 'node:fs/promises';
import { Agent, get as httpsGet } from 'node:https';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text as textOf } from 'node:stream/consumers';
import { type HealthFinding, MetricRegistry, nullLogger } from '@granary/telemetry';
import type { Client, ClientReadableStream } from '@grpc/grpc-js';
import { Metadata } from '@grpc/grpc-js';
import { describe, expect, it, vi } from 'vitest';
import { Readiness, type ReadinessOptions } from '../server/readiness.js';
import { call, GRPC_CALLS, grpcClient } from '../testing/grpc-calls.js';
import { certificate, startTestServer, type TestServer, temporaryFolder } from '../testing/test-server.js';
import { healthRoutes } from './health-routes.js';
import type { AdminRequest, Answer } from './route.js';

const SERVING = '0801';
const NOT_SERVING = '0802';
const CAPABILITIES = 'build.bazel.remote.execution.v2.Capabilities';

const admin = (running: TestServer, path: string, headers: Readonly<Record<string, string>> = {}) =>
  fetch(`http://${running.address('listen.admin')}${path}`, { headers });

/** A health request in the bytes of protobuf: one text in field 1. */
const asking = (service: string) =>
  service === '' ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0x0a, service.length]), Buffer.from(service)]);
const check = async (client: Client, service: string) =>
  (await call(client, GRPC_CALLS.health, {}, asking(service))).response?.toString('hex');
function watch(client: Client, service: string): { seen: string[]; stream: ClientReadableStream<Buffer> } {
  const asIs = (bytes: Buffer) => bytes;
  const stream = client.makeServerStreamRequest(
    '/grpc.health.v1.Health/Watch',
    asIs,
    asIs,
    asking(service),
    new Metadata(),
  );
  const seen: string[] = [];
  stream.on('data', (bytes: Buffer) => seen.push(bytes.toString('hex')));
  stream.on('error', () => {});
  return { seen, stream };
}

/** A server whose store can't be written while `broken`. */
async function breakableServer() {
  const folder = await temporaryFolder();
  const running = await startTestServer({ 'storage.dir': folder });
  const incoming = join(folder, 'incoming');
  await access(incoming);
  const aside = join(folder, 'aside');
  return {
    running,
    async [Symbol.asyncDispose]() {
      await running[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
    breakStore: () => rename(incoming, aside),
    mendStore: () => rename(aside, incoming),
  };
}

describe('a server whose store can be written', () => {
  it('is ready, in one word, in lines or in JSON', async () => {
    await using running = await startTestServer();
    const short = await admin(running, '/readyz');
    expect([short.status, await short.text()]).toEqual([200, 'ready\n']);
    expect(await (await admin(running, '/readyz?verbose')).text()).toMatch(/^store: healthy, \d+\.\d ms\nready\n$/);
    const asJson = await admin(running, '/readyz', { accept: 'application/json' });
    expect(asJson.headers.get('content-type')).toBe('application/json');
    expect(await asJson.json()).toEqual({
      status: 'healthy',
      checks: [{ name: 'store', required: true, status: 'healthy', durationMs: expect.any(Number) }],
    });
    expect(await (await admin(running, '/healthz?verbose')).text()).toMatch(/^store: healthy/);
    const head = await fetch(`http://${running.address('listen.admin')}/readyz`, { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
  });

  it('shows each check as a metric', async () => {
    await using running = await startTestServer();
    await admin(running, '/readyz');
    expect(await (await admin(running, '/metrics')).text()).toContain('granary_health_status{check="store"} 0');
  });
});

describe('a server whose store can not be written', () => {
  it('is not ready but alive, tells gRPC clients per service, and recovers', async () => {
    await using breakable = await breakableServer();
    const { running, breakStore, mendStore } = breakable;
    const client = grpcClient(running.address('listen.grpc'));
    const server = watch(client, '');
    const capabilities = watch(client, CAPABILITIES);
    await vi.waitFor(() => expect([...server.seen, ...capabilities.seen]).toEqual([SERVING, SERVING]));
    await breakStore();
    // The result is kept for a second: until then the server is still taken for ready.
    await vi.waitFor(async () => expect((await admin(running, '/readyz')).status).toBe(503), 5000);
    expect(await (await admin(running, '/readyz')).text()).toBe(
      'store: the store is not writable: ENOENT: no such file or directory\n',
    );
    expect(await (await admin(running, '/readyz?verbose')).text()).toMatch(/^store: unhealthy, \d+\.\d ms: the store/);
    expect((await admin(running, '/healthz')).status).toBe(200);
    expect((await admin(running, '/healthz?verbose')).status).toBe(200);
    expect(await check(client, '')).toBe(NOT_SERVING);
    expect(await check(client, 'google.bytestream.ByteStream')).toBe(NOT_SERVING);
    expect(await check(client, CAPABILITIES)).toBe(SERVING);
    expect(await (await admin(running, '/metrics')).text()).toContain('granary_health_status{check="store"} 2');
    // What the probe found is pushed to those who watch.
    await vi.waitFor(() => expect(server.seen).toEqual([SERVING, NOT_SERVING]));

    await mendStore();
    await vi.waitFor(async () => expect((await admin(running, '/readyz')).status).toBe(200), 5000);
    await vi.waitFor(() => expect(server.seen).toEqual([SERVING, NOT_SERVING, SERVING]));
    expect(capabilities.seen).toEqual([SERVING]);
    client.close();
  });
});

describe('a server that ends', () => {
  it('says NOT_SERVING to who watches before it takes no more work, and is not ready at once', async () => {
    await using running = await startTestServer();
    const client = grpcClient(running.address('listen.grpc'));
    const { seen, stream } = watch(client, '');
    await vi.waitFor(() => expect(seen).toEqual([SERVING]));
    const upload = await beginUpload(running);
    const status = new Promise((resolve) => stream.on('status', ({ code }) => resolve(code)));
    const stopped = running.server.stop(20_000);
    expect(await status).toBe(0);
    expect(seen).toEqual([SERVING, NOT_SERVING]);
    const ready = await admin(running, '/readyz', { accept: 'application/json' });
    expect([ready.status, ((await ready.json()) as { draining: boolean }).draining]).toEqual([503, true]);
    expect(await (await admin(running, '/readyz?verbose')).text()).toMatch(/the server is shutting down\n$/);
    expect((await admin(running, '/healthz')).status).toBe(200);
    upload.destroy();
    await stopped;
    client.close();
  });
});

/** An upload that keeps a server from ending. */
async function beginUpload(running: TestServer) {
  const [host, port] = running.address('listen.http').split(':') as [string, string];
  const socket = connect({ host, port: Number(port) });
  const hash = 'a'.repeat(64);
  socket.on('error', () => {});
  socket.write(`PUT /cas/${hash} HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n`);
  await new Promise((resolve) => socket.once('data', resolve));
  return socket;
}

describe('health on a server with TLS', () => {
  it('is open to everyone, as probes bring neither credentials nor certificates', async () => {
    await using running = await startTestServer({
      'tls.cert_file': certificate('server.pem'),
      'tls.key_file': certificate('server.key'),
      'tls.ca_file': certificate('ca.pem'),
      'tls.client_auth': 'verify_if_given',
    });
    const agent = new Agent({ ca: await readFile(certificate('ca.pem')), servername: 'localhost' });
    const ask = (path: string) =>
      new Promise<string>((resolve, reject) => {
        httpsGet(`https://${running.address('listen.admin')}${path}`, { agent }, async (response) =>
          resolve(`${response.statusCode} ${await textOf(response)}`),
        ).on('error', reject);
      });
    expect(await ask('/healthz')).toBe('200 ok\n');
    expect(await ask('/readyz')).toBe('200 ready\n');
    agent.destroy();
  });
});

describe('readiness', () => {
  const readinessWith = (options: Partial<ReadinessOptions> = {}) =>
    new Readiness({
      checkStore: async () => {},
      requireUpstream: false,
      metrics: new MetricRegistry(),
      logger: nullLogger,
      draining: () => false,
      ...options,
    });
  const broken = async (): Promise<HealthFinding> => {
    throw new Error('https://ann:hunter2@cache.example refused');
  };
  const answer = async (readiness: Readiness, path: '/readyz' | '/healthz', query = '', accept = '') => {
    const route = healthRoutes(readiness)[path];
    const request = { query: new URLSearchParams(query), headers: { accept } } as unknown as AdminRequest;
    if (!route?.get) throw new Error(`there is no ${path}`);
    const { status, body }: Answer = await route.get(request);
    return { status, body: String(body) };
  };

  it('goes on without an upstream that is not required: degraded, and says why without secrets', async () => {
    const readiness = readinessWith();
    readiness.addUpstream('redis', broken);
    expect(await answer(readiness, '/readyz')).toEqual({
      status: 200,
      body: 'ready, but degraded: upstream:redis: https://[redacted]@cache.example refused\n',
    });
    expect((await answer(readiness, '/readyz', 'verbose')).body).toMatch(
      /^store: healthy, .* ms\nupstream:redis: unhealthy \(not required\), .* ms: https.*\nready, but degraded/,
    );
    expect((await readiness.registry.report(CAPABILITIES)).status).toBe('healthy');
    await readiness.close();
  });

  it('is missing with readiness.require_upstream while an upstream does not answer', async () => {
    const readiness = readinessWith({ requireUpstream: true });
    readiness.addUpstream('redis', broken);
    readiness.addUpstream('slow', () => ({ status: 'degraded' as const, details: { latencyMs: 900 } }));
    const { status, body } = await answer(readiness, '/readyz');
    expect([status, body]).toEqual([503, 'upstream:redis: https://[redacted]@cache.example refused\n']);
    expect((await answer(readiness, '/readyz', 'verbose')).body).toContain('\n  latencyMs: 900\n');
    expect((await readiness.registry.report('google.bytestream.ByteStream')).status).toBe('unhealthy');
    await readiness.close();
  });

  it.each([
    [false, 1],
    [true, 2],
  ])(
    'counts an upstream that does not answer by what that means: required %j is %d',
    async (requireUpstream, value) => {
      const metrics = new MetricRegistry();
      const readiness = readinessWith({ metrics, requireUpstream });
      readiness.addUpstream('redis', broken);
      await readiness.report();
      const page = String((await metrics.scrape('text/plain')).body);
      expect(page).toContain('granary_health_status{check="store"} 0\n');
      expect(page).toContain(`granary_health_status{check="upstream:redis"} ${value}\n`);
      await readiness.close();
    },
  );

  it('of a disk that hangs keeps no liveness probe waiting', async () => {
    const readiness = readinessWith({ checkStore: () => new Promise(() => {}) });
    const ready = answer(readiness, '/readyz');
    expect((await answer(readiness, '/healthz', 'verbose')).status).toBe(200);
    expect((await answer(readiness, '/healthz', '', 'application/json')).status).toBe(200);
    await readiness.close();
    expect((await ready).status).toBe(503);
  });

  it('while the server ends looks at nothing any longer', async () => {
    let looks = 0;
    const checkStore = async () => {
      looks++;
    };
    const readiness = readinessWith({ checkStore, draining: () => true });
    expect(await answer(readiness, '/readyz')).toEqual({ status: 503, body: 'the server is shutting down\n' });
    expect(looks).toBe(0);
    await readiness.close();
  });

  it('logs what changes, once', async () => {
    const lines: unknown[][] = [];
    const log = (...values: readonly unknown[]) => void lines.push(values.slice(1));
    let fails = false;
    const checkStore = async () => {
      if (fails) throw 'broken';
    };
    const readiness = readinessWith({ checkStore, logger: { ...nullLogger, warning: log, information: log } });
    readiness.addUpstream('slow', () => ({ status: fails ? 'degraded' : 'healthy' }));
    const now = vi.spyOn(performance, 'now');
    try {
      for (const [second, broken] of [false, true, true, false, false].entries()) {
        now.mockReturnValue(1_000_000 + 2000 * second);
        fails = broken;
        await readiness.report();
      }
    } finally {
      now.mockRestore();
    }
    // Each is told when it is known, whichever is first.
    expect(lines.map((values) => values.join(' ')).sort()).toEqual([
      'store',
      'store unhealthy broken',
      'upstream:slow',
      'upstream:slow degraded no reason given',
    ]);
    await readiness.close();
  });
});
