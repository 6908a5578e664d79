import { type FeedFault, type FeedServer, startFeedServer } from '@granary/nuget/testing';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { NuGetHome, nuget5, packagesConfig, type Source } from './nuget-clients.js';
import { built, hashes, hashesOf, PACKAGES, WEB } from './packages.js';
import { NuGetProxy } from './proxy.js';

if (nuget5.missing) console.log(`Skipped: an upstream that lies to ${nuget5.title}, because ${nuget5.missing}.`);

/** What the client is told, and shows. */
const NONSENSE = '502 (up gave no answer that makes sense)';

describe.skipIf(nuget5.missing)('an upstream that lies', () => {
  let upstream: FeedServer;
  let proxy: NuGetProxy;
  let source: Source;

  beforeAll(async () => {
    upstream = await startFeedServer({ packages: [...PACKAGES.values()] });
    proxy = await NuGetProxy.start({ upstream, source: { failures: 1000 } });
    source = { name: 'granary', url: proxy.v3 };
  });
  afterEach(() => upstream.clearFaults());
  afterAll(async () => {
    await proxy?.stop();
    await upstream?.close();
  });

  const [, other] = built({ id: 'Acme.Core', version: '6.6.6' });
  const lies: readonly [string, string, string, FeedFault, string][] = [
    ['breaks a package off', 'Newtonsoft.Json', '6.0.8', { kind: 'truncate' }, 'Newtonsoft.Json.6.0.8'],
    ['says that half a package is all of it', 'NUnit', '2.6.4', { kind: 'truncate', silent: true }, NONSENSE],
    ['gives another package', 'Acme.Core', '1.0.0', { kind: 'replace', body: other }, NONSENSE],
    ['gives a page to log in', 'Acme.Core', '1.1.0', { kind: 'html' }, NONSENSE],
  ];
  it.each(lies)(
    'and %s makes the restore fail until it tells the truth, and nothing is kept',
    async (_, id, version, fault, said) => {
      const file = `${id}.${version}.nupkg`;
      using home = new NuGetHome(nuget5, [source]);
      home.write('packages.config', packagesConfig({ [id]: version }));
      const restore = ['restore', 'packages.config', '-PackagesDirectory', 'packages'];

      upstream.fault(/\.nupkg$/, fault);
      const failed = await home.fail(...restore);
      expect(failed.output).toContain(said);
      expect(home.packages('.').size).toBe(0);

      upstream.clearFaults();
      await home.succeed(...restore);
      expect(hashes(home.packages('packages'))).toEqual(hashesOf([file]));
    },
  );

  it('and gives a page to log in for documents makes an install fail, and the next one not', async () => {
    using home = new NuGetHome(nuget5, [source]);
    upstream.fault(/registration/, { kind: 'html' });
    await home.fail('install', 'Acme.Web', '-OutputDirectory', 'installed');
    upstream.clearFaults();
    // A question that failed is asked again after a few seconds.
    const registration = `${proxy.url}/v3/registration-gz-semver2/acme.web/index.json`;
    await vi.waitFor(async () => expect((await fetch(registration)).status).toBe(200), 20_000);
    await home.succeed('install', 'Acme.Web', '-OutputDirectory', 'installed');
    expect(hashes(home.packages('installed'))).toEqual(hashesOf(WEB));
  });
});
