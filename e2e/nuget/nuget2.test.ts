import { type FeedServer, startFeedServer } from '@granary/nuget/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { linesOf, NuGetHome, nuget2, packagesConfig, type Source } from './nuget-clients.js';
import { built, hashes, hashesOf, PACKAGES, WEB } from './packages.js';
import { NuGetProxy } from './proxy.js';

if (nuget2.missing) console.log(`Skipped: real ${nuget2.title}, because ${nuget2.missing}.`);

const ann = { username: 'ann', password: 'ann/s+token~0123456789==' };
const VERSIONS = { 'Newtonsoft.Json': '6.0.8', NUnit: '2.6.4', 'Acme.Core': '1.1.0' };
const RESTORED = Object.entries(VERSIONS).map(([id, version]) => `${id}.${version}.nupkg`);

describe.skipIf(nuget2.missing)(`${nuget2.title}, which knows protocol 2 alone`, () => {
  let upstream: FeedServer;
  let proxy: NuGetProxy;
  let source: Source;

  beforeAll(async () => {
    upstream = await startFeedServer({ packages: [...PACKAGES.values()], apiKey: 'upstream key' });
    const tokens = { ann: { token: ann.password, right: 'write' } } as const;
    proxy = await NuGetProxy.start({ upstream, apiKey: 'upstream key', tokens });
    source = { name: 'granary', url: proxy.v2, credentials: ann };
  });

  afterAll(async () => {
    await proxy?.stop();
    await upstream?.close();
  });

  it('installs the latest version with what it depends on, byte for byte as upstream has them', async () => {
    using home = new NuGetHome(nuget2, [source]);
    await home.succeed('install', 'Acme.Web', '-Source', 'granary', '-OutputDirectory', 'installed');
    expect(hashes(home.packages('installed'))).toEqual(hashesOf(WEB));
  });

  it('restores packages.config, and the second time without upstream', async () => {
    for (const time of ['cold', 'warm']) {
      using home = new NuGetHome(nuget2, [source]);
      home.write('packages.config', packagesConfig(VERSIONS));
      if (time === 'warm') upstream.requests.clear();
      await home.succeed('restore', 'packages.config', '-Source', 'granary', '-PackagesDirectory', 'packages');
      expect(hashes(home.packages('packages'))).toEqual(hashesOf(RESTORED));
      if (time === 'warm') expect(upstream.requests.targets()).toEqual([]);
    }
  });

  it('lists', async () => {
    using home = new NuGetHome(nuget2, [source]);
    const latest = linesOf(await home.succeed('list', 'Acme', '-Source', 'granary'));
    expect(latest).toEqual(expect.arrayContaining(['Acme.Core 1.1.0', 'Acme.Web 2.0.0']));
    const all = linesOf(await home.succeed('list', 'Acme.Core', '-AllVersions', '-Prerelease', '-Source', 'granary'));
    expect(all).toEqual(expect.arrayContaining(['Acme.Core 1.0.0', 'Acme.Core 1.1.0', 'Acme.Core 2.0.0-beta']));
  });

  it('pushes, installs what it pushed, and deletes it', async () => {
    const [file, bytes] = built({ id: 'Acme.Pushed2', version: '3.0.0' });
    using home = new NuGetHome(nuget2, [source]);
    home.write(file, bytes);
    const missing = await home.fail('install', 'Acme.Pushed2', '-Source', 'granary');
    expect(missing.output).toContain("Unable to find package 'Acme.Pushed2'");

    await home.succeed('push', file, 'mine', '-Source', 'granary');
    const again = await home.fail('push', file, 'mine', '-Source', 'granary');
    expect(again.output).toContain('409');

    await home.succeed('install', 'Acme.Pushed2', '-Source', 'granary', '-OutputDirectory', 'installed', '-NoCache');
    expect(hashes(home.packages('installed'))).toEqual(hashes(new Map([[file, bytes]])));

    await home.succeed('delete', 'Acme.Pushed2', '3.0.0', 'mine', '-Source', 'granary');
    expect(upstream.packages.find('Acme.Pushed2', '3.0.0')?.listed).toBe(false);
    expect(linesOf(await home.succeed('list', 'Acme.Pushed2', '-Source', 'granary'))).toContain('No packages found.');
  });
});
