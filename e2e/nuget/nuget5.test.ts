import { type FeedServer, startFeedServer } from '@granary/nuget/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { linesOf, NuGetHome, nuget5, packagesConfig, type Source } from './nuget-clients.js';
import { built, hashes, hashesOf, PACKAGES, WEB } from './packages.js';
import { NuGetProxy } from './proxy.js';

if (nuget5.missing) console.log(`Skipped: real ${nuget5.title}, because ${nuget5.missing}.`);

const ann = { username: 'ann', password: 'ann/s+token~0123456789==' };
const VERSIONS = { 'Newtonsoft.Json': '6.0.8', NUnit: '2.6.4', 'Acme.Core': '1.1.0' };
const RESTORED = Object.entries(VERSIONS).map(([id, version]) => `${id}.${version}.nupkg`);

describe.skipIf(nuget5.missing)(nuget5.title, () => {
  let upstream: FeedServer;
  let proxy: NuGetProxy;
  let source: Source;

  beforeAll(async () => {
    upstream = await startFeedServer({ packages: [...PACKAGES.values()], apiKey: 'upstream key' });
    const tokens = { ann: { token: ann.password, right: 'write' } } as const;
    proxy = await NuGetProxy.start({ upstream, apiKey: 'upstream key', tokens });
    source = { name: 'granary', url: proxy.v3, credentials: ann };
  });

  afterAll(async () => {
    await proxy?.stop();
    await upstream?.close();
  });

  it('installs a package with what it depends on, byte for byte as upstream has them', async () => {
    using home = new NuGetHome(nuget5, [source]);
    await home.succeed('install', 'Acme.Web', '-OutputDirectory', 'installed');
    expect(hashes(home.packages('installed'))).toEqual(hashesOf(WEB));
  });

  it('restores packages.config, and the second time without upstream', async () => {
    for (const time of ['cold', 'warm']) {
      using home = new NuGetHome(nuget5, [source]);
      home.write('packages.config', packagesConfig(VERSIONS));
      if (time === 'warm') upstream.requests.clear();
      await home.succeed('restore', 'packages.config', '-PackagesDirectory', 'packages');
      expect(hashes(home.packages('packages'))).toEqual(hashesOf(RESTORED));
      if (time === 'warm') expect(upstream.requests.targets()).toEqual([]);
    }
  });

  it('is told that its password is wrong', async () => {
    const credentials = { ...ann, password: 'wrong' };
    using home = new NuGetHome(nuget5, [{ ...source, credentials }]);
    const { output } = await home.fail('install', 'Acme.Web');
    expect(output).toContain('401');
    expect(home.packages('.').size).toBe(0);
  });

  it('searches and lists', async () => {
    using home = new NuGetHome(nuget5, [source]);
    const found = linesOf(await home.succeed('search', 'acme', '-Verbosity', 'quiet'));
    expect(found).toEqual(expect.arrayContaining(['> Acme.Core | 1.1.0', '> Acme.Web | 2.0.0']));
    expect(found.join()).not.toContain('Newtonsoft');
    const latest = linesOf(await home.succeed('list', 'acme'));
    expect(latest).toEqual(expect.arrayContaining(['Acme.Core 1.1.0', 'Acme.Web 2.0.0']));
    const all = linesOf(await home.succeed('list', 'Acme.Core', '-AllVersions', '-Prerelease'));
    expect(all).toEqual(expect.arrayContaining(['Acme.Core 1.0.0', 'Acme.Core 1.1.0', 'Acme.Core 2.0.0-beta']));
  });

  it('pushes, installs what it pushed, and deletes it', async () => {
    const [file, bytes] = built({ id: 'Acme.Pushed5', version: '3.0.0' });
    using home = new NuGetHome(nuget5, [source]);
    home.write(file, bytes);
    const missing = await home.fail('install', 'Acme.Pushed5', '-OutputDirectory', 'early');
    expect(missing.output).toContain("Unable to find package 'Acme.Pushed5'");

    await home.succeed('push', file, '-Source', 'granary', '-ApiKey', 'mine');
    const again = await home.fail('push', file, '-Source', 'granary', '-ApiKey', 'mine');
    expect(again.output).toContain('409');
    await home.succeed('push', file, '-Source', 'granary', '-ApiKey', 'mine', '-SkipDuplicate');
    // The keys of clients are not upstream's.
    expect(upstream.requests.all(/^\/v3\/package/).map(({ headers }) => headers['x-nuget-apikey'])).not.toContain(
      'mine',
    );

    await home.succeed('install', 'Acme.Pushed5', '-OutputDirectory', 'installed', '-NoCache');
    expect(hashes(home.packages('installed'))).toEqual(hashes(new Map([[file, bytes]])));

    await home.succeed('delete', 'Acme.Pushed5', '3.0.0', 'mine', '-Source', 'granary');
    expect(linesOf(await home.succeed('list', 'Acme.Pushed5'))).toEqual(['No packages found.']);
    using other = new NuGetHome(nuget5, [source]);
    other.write('packages.config', packagesConfig({ 'Acme.Pushed5': '3.0.0' }));
    await other.succeed('restore', 'packages.config', '-PackagesDirectory', 'packages');
    expect(hashes(other.packages('packages'))).toEqual(hashes(new Map([[file, bytes]])));
  });
});
