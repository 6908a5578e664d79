import { type FeedServer, startFeedServer } from '@granary/nuget/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ClientKind, linesOf, NuGetHome, nuget2, nuget5 } from './nuget-clients.js';
import { hashes, hashesOf, PACKAGES, WEB } from './packages.js';
import { NuGetProxy } from './proxy.js';

for (const { missing, title } of [nuget5, nuget2])
  if (missing) console.log(`Skipped: ${title} with an upstream of protocol 2, because ${missing}.`);

describe('an upstream of protocol 2 alone', () => {
  let upstream: FeedServer;
  let proxy: NuGetProxy;

  beforeAll(async () => {
    upstream = await startFeedServer({ packages: [...PACKAGES.values()] });
    proxy = await NuGetProxy.start({ upstream, source: { url: upstream.v2Url, protocol: 'v2' } });
  });
  afterAll(async () => {
    await proxy?.stop();
    await upstream?.close();
  });

  const clients: readonly [string, ClientKind, () => string][] = [
    [nuget5.title, nuget5, () => proxy.v3],
    [nuget2.title, nuget2, () => proxy.v2],
  ];
  it.for(clients)('serves %s in the protocol that it speaks', async ([, client, url], { skip }) => {
    if (client.missing) skip(client.missing);
    using home = new NuGetHome(client, [{ name: 'granary', url: url() }]);
    await home.succeed('install', 'Acme.Web', '-Source', 'granary', '-OutputDirectory', 'installed');
    expect(hashes(home.packages('installed'))).toEqual(hashesOf(WEB));
    const listed = linesOf(await home.succeed('list', 'Acme', '-Source', 'granary'));
    expect(listed).toEqual(expect.arrayContaining(['Acme.Core 1.1.0', 'Acme.Web 2.0.0']));
    expect(upstream.requests.targets(/^\/v3/)).toEqual([]);
  });
});
