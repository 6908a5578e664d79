import { buffer } from 'node:stream/consumers';
import { HttpClient } from '@granary/http';
import { SourceRepository } from '@granary/nuget';
import { type FeedServer, startFeedServer } from '@granary/nuget/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NuGetHome, nuget5 } from './nuget-clients.js';
import { hashes, hashesOf, PACKAGES, WEB } from './packages.js';
import { NuGetProxy } from './proxy.js';

const CLIENTS = 50;
const REFUSED = 4;

if (nuget5.missing) console.log(`Skipped: ${nuget5.title} among others, because ${nuget5.missing}.`);

describe('an upstream that says how often it wants to be asked', () => {
  let upstream: FeedServer;
  let proxy: NuGetProxy;

  beforeAll(async () => {
    upstream = await startFeedServer({ packages: [...PACKAGES.values()] });
    proxy = await NuGetProxy.start({ upstream });
  });
  afterAll(async () => {
    await proxy?.stop();
    await upstream?.close();
  });

  it(`is asked so, while ${CLIENTS} clients restore and see nothing of it`, async () => {
    const tooMany = { kind: 'status', status: 429, headers: { 'retry-after': '1' } } as const;
    upstream.fault(/\/flat\/|registration/, tooMany, { times: REFUSED });
    const begun = performance.now();
    const restored = await Promise.all([
      ...Array.from({ length: CLIENTS }, restore),
      ...(nuget5.missing ? [] : [install()]),
    ]);
    for (const packages of restored) expect(hashes(packages)).toEqual(hashesOf(WEB));
    expect(performance.now() - begun).toBeGreaterThan(1000);

    // Each thing once, however many want it, and again only after it was refused.
    const answered = upstream.requests.all(({ status }) => status !== 429).map(({ target }) => target);
    expect(answered).toEqual([...new Set(answered)]);
    expect(upstream.requests.length - answered.length).toBe(REFUSED);
  });

  /** As clients of today do it, except that nothing is repeated when it fails. */
  async function restore(): Promise<Map<string, Buffer>> {
    await using client = new HttpClient({ retry: false, circuitBreaker: false });
    await using source = new SourceRepository({ name: 'granary', sourceUrl: proxy.v3, httpClient: client });
    const packages = new Map<string, Buffer>();
    for (const [id, version] of [
      ['Acme.Web', '2.0.0'],
      ['Acme.Core', '1.0.0'],
      ['Newtonsoft.Json', '6.0.8'],
    ] as const) {
      expect((await source.listVersions(id)).map(String)).toContain(version);
      const download = await source.downloadPackage(id, version);
      if (download !== undefined) packages.set(`${id}.${version}.nupkg`, await buffer(download));
    }
    return packages;
  }

  async function install(): Promise<Map<string, Buffer>> {
    using home = new NuGetHome(nuget5, [{ name: 'granary', url: proxy.v3 }]);
    await home.succeed('install', 'Acme.Web', '-OutputDirectory', 'installed');
    return home.packages('installed');
  }
});
