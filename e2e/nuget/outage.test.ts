import { type FeedServer, startFeedServer } from '@granary/nuget/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NuGetHome, nuget2, nuget5, packagesConfig, type Ran } from './nuget-clients.js';
import { hashes, hashesOf, PACKAGES, WEB } from './packages.js';
import { NuGetProxy } from './proxy.js';

if (nuget5.missing) console.log(`Skipped: ${nuget5.title} without upstream, because ${nuget5.missing}.`);
if (nuget2.missing) console.log(`Skipped: ${nuget2.title} without upstream, because ${nuget2.missing}.`);

const VERSIONS = { 'Newtonsoft.Json': '6.0.8', NUnit: '2.6.4', 'Acme.Core': '1.1.0' };
const RESTORED = Object.entries(VERSIONS).map(([id, version]) => `${id}.${version}.nupkg`);

describe.skipIf(nuget5.missing)('an upstream that was there', () => {
  let upstream: FeedServer;
  let proxy: NuGetProxy;

  beforeEach(async () => {
    upstream = await startFeedServer({ packages: [...PACKAGES.values()] });
    // Everything is asked for again at each restore, unless upstream is gone.
    proxy = await NuGetProxy.start({ upstream, nuget: { metadata_ttl: '0s', registrations_ttl: '0s' } });
  });
  afterEach(async () => {
    await proxy?.stop();
    await upstream?.close();
  });

  it('is killed: everything seen before is restored in the same time, and after a restart of the server', async () => {
    // Cold, and what isn't there.
    await everything();
    using early = new NuGetHome(nuget5, [{ name: 'granary', url: proxy.v3 }]);
    expect((await early.fail('install', 'Acme.Nothing')).output).toContain("Unable to find package 'Acme.Nothing'");

    const warm = [await restore(), await restore(), await install(), await install()];
    await upstream.close();
    const dead = [await restore(), await restore(), await install(), await install()];
    for (const at of [0, 2]) {
      const [before, after] = [warm, dead].map((runs) =>
        Math.min(...runs.slice(at, at + 2).map(({ tookMs }) => tookMs)),
      );
      // Far less than waiting for upstream takes; how busy the machine is must not matter.
      expect(after).toBeLessThan(2 * (before ?? 0) + 2000);
    }
    if (!nuget2.missing) await install2();

    await proxy.restart();
    await everything();

    // What was never seen is an error, and what was known not to be there still isn't: neither takes long.
    using home = new NuGetHome(nuget5, [{ name: 'granary', url: proxy.v3 }]);
    const unseen = await home.fail('install', 'Acme.Unseen');
    expect(unseen.output).toContain('503');
    expect(unseen.tookMs).toBeLessThan(20_000);
    expect((await home.fail('install', 'Acme.Nothing')).output).toContain("Unable to find package 'Acme.Nothing'");
  });

  it('falls silent: everything seen before is restored after a moment', async () => {
    const cold = await install();
    upstream.requests.clear();
    upstream.fault(/./, { kind: 'hang' });
    const silent = await install();
    expect(silent.tookMs).toBeLessThan(2 * cold.tookMs + 10_000);
    expect(upstream.requests.length).toBeGreaterThan(0);
  });

  async function everything(): Promise<void> {
    await Promise.all([restore(), install(), ...(nuget2.missing ? [] : [install2()])]);
  }

  async function restore(): Promise<Ran> {
    using home = new NuGetHome(nuget5, [{ name: 'granary', url: proxy.v3 }]);
    home.write('packages.config', packagesConfig(VERSIONS));
    const ran = await home.succeed('restore', 'packages.config', '-PackagesDirectory', 'packages');
    expect(hashes(home.packages('packages'))).toEqual(hashesOf(RESTORED));
    return ran;
  }

  async function install(): Promise<Ran> {
    using home = new NuGetHome(nuget5, [{ name: 'granary', url: proxy.v3 }]);
    const ran = await home.succeed('install', 'Acme.Web', '-OutputDirectory', 'installed');
    expect(hashes(home.packages('installed'))).toEqual(hashesOf(WEB));
    return ran;
  }

  async function install2(): Promise<void> {
    using home = new NuGetHome(nuget2, [{ name: 'granary', url: proxy.v2 }]);
    await home.succeed('install', 'Acme.Web', '-Source', 'granary', '-OutputDirectory', 'installed');
    expect(hashes(home.packages('installed'))).toEqual(hashesOf(WEB));
  }
});
