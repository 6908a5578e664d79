import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { buildPackage, type FeedServer, startFeedServer } from '@granary/nuget/testing';
import { createLogger, MetricRegistry } from '@granary/telemetry';
import { parseExposition, RecordingTracer } from '@granary/telemetry/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { describeStats } from '../cli/stats.js';
import { askFeed, outcomeOf, packagePath } from '../testing/feed-clients.js';
import { startTestServer, type TestServer, temporaryFolder } from '../testing/test-server.js';

const PACKAGE = buildPackage({
  id: 'Contoso.A',
  version: '1.0.0',
  files: { 'lib/a.dll': randomBytes(400_000) },
});
const PATH = packagePath('Contoso.A', '1.0.0');
const VERSIONS = '/v3/flatcontainer/contoso.a/index.json';

let folder: string;
let upstream: FeedServer;

beforeEach(async () => {
  folder = await temporaryFolder();
  upstream = await startFeedServer({ packages: [PACKAGE] });
});
afterEach(async () => {
  await upstream.close();
  await rm(folder, { recursive: true, force: true });
});

const values = (more: object = {}) => ({ 'nuget.sources': [{ name: 'up', url: upstream.v3Url }], ...more });
const admin = (running: TestServer, path: string) => fetch(`http://${running.address('listen.admin')}${path}`);

async function scrape(running: TestServer) {
  const families = parseExposition(await (await admin(running, '/metrics')).text(), 'text');
  const samples = families.flatMap((family) => family.samples);
  return (name: string, labels: Record<string, string> = {}) =>
    samples
      .filter((sample) => sample.name === `granary_${name}`)
      .filter((sample) => Object.entries(labels).every(([key, value]) => sample.labels[key] === value))
      .reduce((sum, { value }) => sum + value, 0);
}

describe('the statistics of a source', () => {
  it('say what was asked, what was saved, and how it does', async () => {
    await using running = await startTestServer(values({ 'nuget.metadata_ttl': '0' }));
    expect(running.server.stats().nuget).toBeUndefined();
    await outcomeOf(askFeed(running, PATH));
    for (let i = 0; i < 2; i++) await outcomeOf(askFeed(running, PATH));
    await outcomeOf(askFeed(running, PATH, { headers: { range: 'bytes=0-99' } }));
    await outcomeOf(askFeed(running, VERSIONS));
    await outcomeOf(askFeed(running, packagePath('Contoso.A', '7.0.0')));
    const source = () => running.server.stats().nuget?.sources[0];
    expect(source()).toMatchObject({
      name: 'up',
      state: 'up',
      lastError: undefined,
      packages: { hits: 3, misses: 1, stale: 0 },
      metadata: { hits: 0, misses: 1, stale: 0 },
      savedBytes: 2 * PACKAGE.length + 100,
    });
    await upstream.close();
    expect(await outcomeOf(askFeed(running, VERSIONS))).toEqual([200, 'stale']);
    expect(await outcomeOf(askFeed(running, '/v3/flatcontainer/never/index.json'))).toEqual([503, 'miss']);
    expect(source()).toMatchObject({ state: 'down', metadata: { hits: 1, stale: 1 } });

    const value = await scrape(running);
    const lookups = (kind: string, result: string) =>
      value('nuget_proxy_lookups_total', { source: 'up', kind, result });
    expect([lookups('package', 'hit'), lookups('package', 'miss'), lookups('package', 'not_found')]).toEqual([3, 1, 1]);
    expect([lookups('metadata', 'stale'), lookups('metadata', 'error')]).toEqual([1, 1]);
    expect(value('nuget_proxy_saved_bytes_total', { source: 'up' })).toBe(2 * PACKAGE.length + 100);
    expect(value('nuget_proxy_source_health', { source: 'up' })).toBe(2);
    expect(value('http_server_requests_total', { route: 'nuget_package', code: '200' })).toBe(3);
    expect(value('http_server_requests_total', { route: 'nuget_package', code: '206' })).toBe(1);
    expect(value('http_requests_total', { source: 'up' })).toBeGreaterThan(0);
    expect(value('package_downloads_total', { status: 'success' })).toBe(1);
    expect(value('cache_hits_total', { cache_type: 'package' })).toBe(3);
    expect(value('cache_hits_total', { cache_type: 'metadata' })).toBe(1);
    expect(value('cache_misses_total', { cache_type: 'metadata' })).toBe(2);
    expect(value('cache_size_bytes', { tier: 'memory' })).toBeGreaterThan(0);
    expect(value('cache_size_bytes', { tier: 'disk' })).toBeGreaterThan(0);

    const shown = describeStats(running.server.stats());
    expect(shown).toMatch(/nuget up +down: .*; last answered 2/);
    expect(shown).toMatch(/packages 75\.0 % hits \(3 of 4\), 78\d(\.\d)? KiB saved/);
    expect(await (await admin(running, '/stats')).json()).toMatchObject({ nuget: { sources: [{ name: 'up' }] } });
  });

  it('do not make the server unready when the source is dead', async () => {
    await using running = await startTestServer(values({ 'readiness.require_upstream': true }));
    await upstream.close();
    expect((await askFeed(running, PATH)).status).toBe(503);
    expect((await admin(running, '/readyz')).status).toBe(200);
  });
});

describe('a request for a feed', () => {
  it('is one trace from the edge to upstream and the store, named in its line of the access log', async () => {
    const tracer = new RecordingTracer();
    const lines: string[] = [];
    const logger = createLogger({
      destination: { write: (line: string) => lines.push(line) },
      format: 'json',
      level: 'debug',
    });
    await using running = await startTestServer(values(), { logger, tracer, metrics: new MetricRegistry() });
    const trace = 'ab'.repeat(16);
    const headers = { traceparent: `00-${trace}-${'cd'.repeat(8)}-01` };
    await outcomeOf(askFeed(running, PATH, { headers }));
    const access = () => lines.map((line) => JSON.parse(line)).filter(({ component }) => component === 'access');
    await vi.waitFor(() => expect(access()).toHaveLength(1));
    expect(access()[0]).toMatchObject({
      Protocol: 'nuget',
      Service: 'package',
      Subject: `/nuget${PATH}`,
      Code: '200',
      Cache: 'miss',
      BytesOut: PACKAGE.length,
      trace_id: trace,
    });
    const names = () => tracer.spans.map(({ name }) => name);
    // The client has all of the package before it is stored.
    await vi.waitFor(() => expect(names()).toContain('store.Commit'));
    expect(names()[0]).toMatch(/^GET nuget/);
    expect(tracer.spans.every(({ traceId }) => traceId === trace)).toBe(true);
    expect(tracer.spans.filter(({ kind }) => kind === 'client').length).toBeGreaterThan(0);
  });
});

describe('a stop', () => {
  const slow = async (running: TestServer) => {
    const end = upstream.fault(/\.nupkg/, { kind: 'hang', afterBytes: 200_000 });
    const answer = await askFeed(running, PATH);
    expect(answer.status).toBe(200);
    return { answer, end };
  };

  it('ends what still arrives when the time is over, so that nobody takes it for the whole', async () => {
    await using running = await startTestServer(values());
    const { answer } = await slow(running);
    const body = answer.arrayBuffer();
    body.catch(() => {});
    expect(await running.server.stop(50)).toBe(false);
    await expect(body).rejects.toThrow();
  });

  it('lets what arrives come to its end', async () => {
    upstream = await replaced(upstream);
    await using running = await startTestServer(values());
    upstream.fault(/\.nupkg/, { kind: 'delay', ms: 1 });
    const answer = askFeed(running, PATH);
    await upstream.waitForRequest(/\.nupkg/);
    const stopped = running.server.stop(20_000);
    release();
    const got = await answer;
    expect(Buffer.from(await got.arrayBuffer()).equals(PACKAGE)).toBe(true);
    expect(await stopped).toBe(true);
  });

  let release = () => {};
  async function replaced(old: FeedServer): Promise<FeedServer> {
    await old.close();
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    return startFeedServer({ packages: [PACKAGE], wait: () => released });
  }
});

describe('packages that are kept', () => {
  it('stay when the store is full, and over a start', async () => {
    const content = randomBytes(300_000);
    const others = Array.from({ length: 30 }, (_, i) => `Other${i}`);
    for (const id of others)
      await upstream.packages.add(buildPackage({ id, version: '1.0.0', files: { 'lib/a.dll': content } }));
    const small = values({
      'storage.dir': folder,
      'storage.max_size': '4MiB',
      'storage.min_age': '0',
      'nuget.keep': ['Contoso.*'],
    });
    const fill = async (running: TestServer) => {
      for (const id of others) expect((await outcomeOf(askFeed(running, packagePath(id, '1.0.0'))))[0]).toBe(200);
      // It goes on behind.
      await vi.waitFor(() => expect(running.server.stats().storage.evictions).toBeGreaterThan(0), 10_000);
    };
    await using running = await startTestServer(small);
    await outcomeOf(askFeed(running, PATH));
    const kept = { packages: 1, bytes: PACKAGE.length };
    await vi.waitFor(() => expect(running.server.stats().nuget?.kept).toEqual(kept), 10_000);
    await fill(running);
    expect(await outcomeOf(askFeed(running, PATH))).toEqual([200, 'hit']);
    await running.server.stop();
    await using again = await startTestServer(small);
    await fill(again);
    expect(await outcomeOf(askFeed(again, PATH))).toEqual([200, 'hit']);
  });
});
