import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, request, type Server } from 'node:http';
import { Agent, get as httpsGet } from 'node:https';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';
import { type Logger, loggerFor, nullLogger } from '@granary/telemetry';
import { Profiler, ProfilerUnavailableError } from '@granary/telemetry/profiling';
import { Profile } from 'pprof-format';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { AccessPolicy } from '../access/policy.js';
import { SecretHash } from '../access/secret-hash.js';
import { parseTokens } from '../access/tokens.js';
import { formatAddress } from '../config/address.js';
import { configFrom } from '../config/load.js';
import { listenHttp } from '../server/listening/http-listener.js';
import { certificate, startTestServer, type TestServer } from '../testing/test-server.js';
import { loadTls } from '../tls/tls-material.js';
import { type AdminSources, createAdminHandler } from './admin-handler.js';
import { profilingRoutes } from './profiling-routes.js';

const admin = (running: TestServer, path: string, init?: RequestInit) =>
  fetch(`http://${running.address('listen.admin')}${path}`, init);

/** The names of a profile's functions. */
function functionsOf(bytes: Buffer): string[] {
  const profile = Profile.decode(gunzipSync(bytes));
  return profile.function.map(({ name }) => profile.stringTable.strings[Number(name)] ?? '');
}

/** What an admin listener with nothing but profiles answers with. */
function handlerFor(profiler: Profiler, authorize: AdminSources['authorize'] = () => {}, logger: Logger = nullLogger) {
  const healthy = { status: 'healthy', checks: [], draining: false } as const;
  return createAdminHandler({
    health: { report: async () => healthy, last: () => healthy },
    metrics: async () => ({ contentType: 'text/plain', body: '' }),
    version: () => ({}),
    authorize,
    isAdmin: () => false,
    logger,
    routes: profilingRoutes(profiler),
  });
}

/** Keeps a server busy until it is told to stop. */
async function keepBusy(running: TestServer, signal: AbortSignal): Promise<void> {
  const blob = Buffer.alloc(300_000, 'x');
  const url = `http://${running.address('listen.http')}/cas/${createHash('sha256').update(blob).digest('hex')}`;
  while (!signal.aborted) {
    await fetch(url, { method: 'PUT', body: blob });
    await (await fetch(url)).arrayBuffer();
  }
}

/** Resolves when the server takes a CPU profile, as another request learns. */
async function untilBusy(running: TestServer): Promise<Response> {
  let answer: Response | undefined;
  await vi.waitFor(async () => {
    const { time } = await import('@datadog/pprof');
    expect(time.isStarted()).toBe(true);
    answer = await admin(running, '/debug/pprof/profile?seconds=1');
  }, 5000);
  return answer as Response;
}

async function untilFree(): Promise<void> {
  const { time } = await import('@datadog/pprof');
  await vi.waitFor(() => expect(time.isStarted()).toBe(false), 5000);
}

describe('a server that is asked for profiles', () => {
  it('gives a CPU profile that names the functions of the server', async () => {
    await using running = await startTestServer();
    const ended = new AbortController();
    const busy = keepBusy(running, ended.signal);
    const response = await admin(running, '/debug/pprof/profile?seconds=2');
    ended.abort();
    await busy;
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/octet-stream']);
    expect(response.headers.get('content-disposition')).toBe('attachment; filename="cpu.pb.gz"');
    const names = functionsOf(Buffer.from(await response.arrayBuffer()));
    expect(names.some((name) => /^[\w#.]+ (http|disk|files|server|grpc)\/[\w-]+\.ts:\d+$/.test(name))).toBe(true);
  });

  it('takes one CPU profile at a time, says how long it takes, and ends it when its client goes away', async () => {
    await using running = await startTestServer();
    const controller = new AbortController();
    const first = admin(running, '/debug/pprof/profile?seconds=300', { signal: controller.signal }).catch(() => 'gone');
    const second = await untilBusy(running);
    expect([second.status, await second.text()]).toEqual([
      409,
      'a CPU profile is being taken already; one at a time\n',
    ]);
    expect(Number(second.headers.get('retry-after'))).toBeGreaterThan(200);
    controller.abort();
    expect(await first).toBe('gone');
    await untilFree();
    expect((await admin(running, '/debug/pprof/profile?seconds=1')).status).toBe(200);
  });

  it('ends a CPU profile when it stops', async () => {
    await using running = await startTestServer();
    const taken = admin(running, '/debug/pprof/profile?seconds=300').catch(() => 'gone');
    await untilBusy(running);
    await running.server.stop();
    expect(await taken).toBe('gone');
    await untilFree();
  });

  it('gives heap profiles, the later ones at once', async () => {
    await using running = await startTestServer();
    const first = await admin(running, '/debug/pprof/heap?seconds=1');
    expect(first.status).toBe(200);
    const bytes = Buffer.from(await first.arrayBuffer());
    const profile = Profile.decode(gunzipSync(bytes));
    const text = (index: number | bigint) => profile.stringTable.strings[Number(index)];
    expect(profile.sampleType.map(({ type }) => text(type))).toEqual(['inuse_objects', 'inuse_space']);
    const later = performance.now();
    expect((await admin(running, '/debug/pprof/heap')).status).toBe(200);
    expect(performance.now() - later).toBeLessThan(2500);
  });

  it('streams a heap snapshot, one at a time', async () => {
    await using running = await startTestServer();
    const response = await admin(running, '/debug/pprof/heapsnapshot');
    expect(response.status).toBe(200);
    const reader = response.body?.getReader();
    const { value } = (await reader?.read()) ?? {};
    expect(Buffer.from(value as Uint8Array).toString('latin1')).toMatch(/^{"snapshot":{"meta"/);
    const second = await admin(running, '/debug/pprof/heapsnapshot');
    expect([second.status, await second.text()]).toEqual([
      409,
      'a heap snapshot is being taken already; one at a time\n',
    ]);
    await reader?.cancel();
    await vi.waitFor(async () => {
      const third = await admin(running, '/debug/pprof/heapsnapshot');
      await third.body?.cancel();
      expect(third.status).toBe(200);
    }, 20_000);
  });

  it('has the pages and names that tools of Go look for', async () => {
    await using running = await startTestServer();
    const page = await (await admin(running, '/debug/pprof/')).text();
    for (const link of ['profile', 'heap', 'heapsnapshot', 'cmdline']) expect(page).toContain(`<a href="${link}">`);
    expect((await admin(running, '/debug/pprof', { redirect: 'manual' })).status).toBe(301);
    expect((await (await admin(running, '/debug/pprof/cmdline')).text()).split('\0')[0]).toBe(process.execPath);
    expect(await (await admin(running, '/debug/pprof/symbol')).text()).toBe('num_symbols: 0\n');
    expect((await admin(running, '/debug/pprof/symbol', { method: 'POST', body: '0x1' })).status).toBe(200);
    expect((await admin(running, '/debug/pprof/goroutine')).status).toBe(404);
    expect(await (await admin(running, '/')).text()).toContain('<a href="/debug/pprof/">');
  });

  it.each(['0', '301', '-1', '1.5', '1e2', '', 'abc', '99999999999999999999', '30s'])(
    'refuses seconds=%j with what is allowed',
    async (seconds) => {
      await using running = await startTestServer();
      for (const name of ['profile', 'heap']) {
        const answer = await admin(running, `/debug/pprof/${name}?seconds=${seconds}`);
        expect([answer.status, await answer.text()]).toEqual([400, expect.stringContaining('from 1 to 300')]);
      }
    },
  );

  it('begins nothing for HEAD, POST or a page of another site', async () => {
    await using running = await startTestServer();
    for (const name of ['profile', 'heap', 'heapsnapshot']) {
      const head = await admin(running, `/debug/pprof/${name}?seconds=300`, { method: 'HEAD' });
      expect([head.status, head.headers.get('content-type')]).toEqual([200, 'application/octet-stream']);
      const post = await admin(running, `/debug/pprof/${name}`, { method: 'POST' });
      expect([post.status, post.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
      const foreign = request(`http://${running.address('listen.admin')}/debug/pprof/${name}`, {
        headers: { host: 'evil.example' },
      }).end();
      const [answer] = await once(foreign, 'response');
      expect(answer.statusCode).toBe(403);
      answer.resume();
    }
    await untilFree();
  });
});

describe('telemetry.profiling', () => {
  it.each([
    ['auto', '127.0.0.1:0', 200],
    ['auto', '0.0.0.0:0', 404],
    ['on', '0.0.0.0:0', 200],
    ['off', '127.0.0.1:0', 404],
  ])('%s on %s answers %i', async (mode, address, status) => {
    await using running = await startTestServer({
      'telemetry.profiling': mode,
      'listen.admin': address,
      'telemetry.metrics_addr': address,
    });
    for (const key of ['listen.admin', 'telemetry.metrics_addr'] as const) {
      const base = `http://${running.address(key).replace('0.0.0.0', '127.0.0.1')}`;
      expect((await fetch(`${base}/debug/pprof/`)).status).toBe(status);
      expect((await fetch(base)).status).toBe(200);
    }
  });

  it('that is on samples the heap from the start, so that the first profile is there at once', async () => {
    await using running = await startTestServer({ 'telemetry.profiling': 'on' });
    const begin = performance.now();
    expect((await admin(running, '/debug/pprof/heap')).status).toBe(200);
    expect(performance.now() - begin).toBeLessThan(2500);
  });

  it('is auto by default', () => {
    expect(configFrom({}).telemetry.profiling).toBe('auto');
  });
});

describe('profiles over TLS, for a client on another machine', () => {
  const ROOT = 'root-token-0123456789';
  const CI = 'ci-token-0123456789';

  it('need credentials that may administer', async () => {
    const hash = new SecretHash();
    const policy = new AccessPolicy({
      identities: { users: new Map(), tokens: parseTokens('tokens', `root:${ROOT}:admin\nci:${CI}:write`, hash, []) },
      hash,
      verifyPassword: async () => false,
      hasCredentials: true,
      anonymous: 'none',
      rights: {},
      defaultRight: 'none',
      maxFailures: 1000,
    });
    await using profiler = new Profiler();
    const tls = await loadTls(
      configFrom({ 'tls.cert_file': certificate('server.pem'), 'tls.key_file': certificate('server.key') }).tls,
    );
    const listener = await listenHttp({
      key: 'listen.admin',
      address: { host: '127.0.0.1', port: 0 },
      tls,
      clientAuth: 'none',
      maxConnections: 100,
      handshakeTimeoutMs: 10_000,
      maxHeaderBytes: 16_384,
      headersTimeoutMs: 10_000,
      requestTimeoutMs: 10_000,
      idleTimeoutMs: 10_000,
      stallTimeoutMs: 0,
      // All clients of a test are local, and those need no credentials: this asks as if they were not.
      handle: handlerFor(profiler, (credentials) => policy.authorize(credentials, 'admin')),
    });
    const agent = new Agent({ ca: await readFile(certificate('ca.pem')), servername: 'localhost' });
    const ask = (name: string, token?: string) =>
      new Promise<{ status: number | undefined; body: Buffer }>((resolve, reject) => {
        const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
        const url = `https://${formatAddress(listener.address)}/debug/pprof/${name}`;
        httpsGet(url, { agent, headers }, async (response) =>
          resolve({ status: response.statusCode, body: await buffer(response) }),
        ).on('error', reject);
      });
    try {
      for (const name of ['', 'profile', 'heap', 'heapsnapshot', 'cmdline', 'nothing']) {
        expect((await ask(name)).status).toBe(401);
        expect((await ask(name, CI)).status).toBe(403);
        expect((await ask(name, 'wrong-token-0123456789')).status).toBe(401);
      }
      const { status, body } = await ask('profile?seconds=1', ROOT);
      expect(status).toBe(200);
      expect(functionsOf(body).length).toBeGreaterThan(0);
    } finally {
      agent.destroy();
      listener.destroy();
    }
  });
});

describe('the routes of profiles', () => {
  let server: Server | undefined;
  afterEach(() => {
    server?.closeAllConnections();
    server?.close();
  });

  it('say what is missing where profiles can not be taken', async () => {
    const profiler = new Profiler();
    const unavailable = async () => {
      throw new ProfilerUnavailableError(new Error('no prebuilt binary'));
    };
    Object.assign(profiler, { cpu: unavailable, heap: unavailable });
    const handle = handlerFor(profiler);
    server = createServer(handle).listen(0, '127.0.0.1');
    await once(server, 'listening');
    for (const name of ['profile', 'heap']) {
      const answer = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/debug/pprof/${name}`);
      expect([answer.status, await answer.text()]).toEqual([501, expect.stringContaining('@datadog/pprof')]);
    }
  });

  it('send away who waits for a profile when the server ends, and log no error', async () => {
    const profiler = new Profiler();
    const logged: string[] = [];
    const logger = loggerFor({ write: ({ message }) => logged.push(message) });
    server = createServer(handlerFor(profiler, undefined, logger)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const asked = fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/debug/pprof/profile`);
    const { time } = await import('@datadog/pprof');
    await vi.waitFor(() => expect(time.isStarted()).toBe(true));
    await profiler.close();
    const answer = await asked;
    expect([answer.status, await answer.text(), logged]).toEqual([503, 'the profiler is closed\n', []]);
  });
});
