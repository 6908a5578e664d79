import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { registryHttpMetrics } from '@granary/http';
import { MetricRegistry } from '@granary/telemetry';
import { type ParsedFamily, parseExposition, RecordingTracer } from '@granary/telemetry/testing';
import { expect, it, vi } from 'vitest';
import { registryNuGetMetrics } from './metrics-registry.js';
import { NuGetClient } from './source/nuget-client.js';
import { buildPackage, startFeedServer } from './testing/index.js';

/** Every family that a NuGet client moves, and the labels that its series have. */
const FAMILIES: Readonly<Record<string, readonly string[]>> = {
  cache_hits_total: ['cache_type=metadata', 'cache_type=package'],
  cache_misses_total: ['cache_type=metadata', 'cache_type=package'],
  cache_size_bytes: ['tier=disk', 'tier=memory'],
  package_downloads_total: ['status=failure', 'status=success'],
  package_download_duration_seconds: [''],
  http_requests_total: [
    'source=feed,method=GET,status_code=200',
    'source=feed,method=GET,status_code=404',
    'source=feed,method=PUT,status_code=201',
    'source=feed,method=PUT,status_code=409',
  ],
  http_request_duration_seconds: ['source=feed,method=GET', 'source=feed,method=PUT'],
  http_retries_total: ['source=feed,reason=503'],
  circuit_breaker_state: ['host=HOST'],
  circuit_breaker_failures_total: ['host=HOST'],
  rate_limiter_tokens: ['source=feed'],
  rate_limit_requests_total: ['source=feed,allowed=true'],
};

/** The labels of each series of a family, in order. */
const seriesOf = (samples: ParsedFamily['samples'] = [], url = '') =>
  [
    ...new Set(
      samples.map(({ labels }) =>
        Object.entries(labels)
          .filter(([name]) => name !== 'le')
          .map((pair) => pair.join('=').replace(new URL(url).host, 'HOST'))
          .join(),
      ),
    ),
  ].sort();

async function seenBy(registry: MetricRegistry, url: string) {
  const families = new Map(parseExposition(await registry.expose(), 'text').map((f) => [f.name, f]));
  return Object.fromEntries(
    Object.keys(FAMILIES).map((name) => [name, seriesOf(families.get(`granary_${name}`)?.samples, url)]),
  );
}

it('one restore and one push move every metric, and have every span', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'nuget-observed-'));
  const registry = new MetricRegistry();
  const tracer = new RecordingTracer();
  const content = buildPackage({ id: 'Observed', version: '1.0.0' });
  await using server = await startFeedServer({ packages: [content, buildPackage({ id: 'Bad', version: '1.0.0' })] });
  await using client = new NuGetClient({
    sources: [{ name: 'feed', sourceUrl: server.v3Url }],
    cacheDir: folder,
    metrics: registryNuGetMetrics(registry),
    tracer,
    http: { proxy: false, metrics: registryHttpMetrics(registry), rateLimiter: {}, retry: { initialDelayMs: 1 } },
  });
  try {
    server.fault(/index\.json$/, { kind: 'status', status: 503 }, { times: 1 });
    server.fault(/bad\..*nupkg/, { kind: 'html' });
    for (let i = 0; i < 2; i++) {
      await client.getMetadata('Observed', '1.0.0');
      await buffer(await client.downloadPackage('Observed', '1.0.0'));
    }
    expect(await client.listVersions('Nothing')).toEqual([]);
    const bad = await client.downloadPackage('Bad', '1.0.0').catch((error) => error);
    expect(bad).toMatchObject({ code: 'INVALID_PACKAGE' });
    const size = content.length;
    const duplicate = { name: 'o.nupkg', size, open: () => Readable.from([content]) };
    await expect(client.push('feed', duplicate)).rejects.toMatchObject({ code: 'CONFLICT' });
    const other = buildPackage({ id: 'Other', version: '1.0.0' });
    await client.push('feed', { name: 'p.nupkg', size: other.length, open: () => Readable.from([other]) });
    // The size on disk is known when the folder was looked through, in the background.
    await vi.waitFor(async () => expect(await seenBy(registry, server.url)).toEqual(FAMILIES), { timeout: 20_000 });

    const common = { 'package.id': 'Observed', 'package.version': '1.0.0', 'source.url': server.v3Url };
    expect(tracer.named('FetchMetadata').find(({ attributes }) => attributes['package.version'])).toMatchObject({
      attributes: common,
      status: 'unset',
      ended: true,
    });
    const downloads = tracer.named('DownloadPackage');
    expect(
      downloads.map(({ attributes, status, ended }) => [
        attributes['package.id'],
        attributes['cache.hit'],
        status,
        ended,
      ]),
    ).toEqual([
      ['Observed', false, 'unset', true],
      ['Observed', true, 'unset', true],
      ['Bad', undefined, 'error', true],
    ]);
    expect(downloads[0]?.attributes).toMatchObject(common);
    expect(downloads[2]?.errors).toEqual([bad]);
    // What goes over the wire is a part of what it is for.
    expect(tracer.paths()).toContain('DownloadPackage > GET');
    expect(tracer.paths()).toContain('FetchMetadata > GET');
  } finally {
    await client.close();
    rmSync(folder, { recursive: true, force: true });
  }
});
