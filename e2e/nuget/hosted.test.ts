import { type FeedServer, startFeedServer } from '@granary/nuget/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ClientKind, linesOf, NuGetHome, nuget2, nuget5 } from './nuget-clients.js';
import { built, hashes, PACKAGES } from './packages.js';
import { NuGetProxy } from './proxy.js';

for (const { missing, title } of [nuget5, nuget2])
  if (missing) console.log(`Skipped: ${title} and packages of the server's own, because ${missing}.`);

const writer = 'writer-0123456789abcdef';
const reader = 'reader-0123456789abcdef';

describe('a feed of the server itself', () => {
  let upstream: FeedServer;
  let proxy: NuGetProxy;

  beforeAll(async () => {
    upstream = await startFeedServer({ packages: [...PACKAGES.values()] });
    const tokens = { ci: { token: writer, right: 'write' }, dev: { token: reader, right: 'read' } } as const;
    proxy = await NuGetProxy.start({ upstream, tokens, anonymous: 'read', nuget: { hosted: true } });
  });
  afterAll(async () => {
    await proxy?.stop();
    await upstream?.close();
  });

  const clients: readonly [string, ClientKind, () => string][] = [
    [nuget5.title, nuget5, () => proxy.v3],
    [nuget2.title, nuget2, () => proxy.v2],
  ];
  it.for(clients)('takes packages of %s from who may push, for good', async ([, client, url], { skip }) => {
    if (client.missing) skip(client.missing);
    const id = client === nuget5 ? 'Acme.Own5' : 'Acme.Own2';
    const home = () => new NuGetHome(client, [{ name: 'granary', url: url() }]);
    const [file, bytes] = built({ id, version: '1.0.0', dependencies: [{ id: 'Acme.Core', version: '1.0.0' }] });
    using first = home();
    first.write(file, bytes);
    const push = ['push', file, '-Source', 'granary'];
    const key = (token: string) => (client === nuget5 ? ['-ApiKey', token] : [token]);

    expect((await first.fail(...push, ...key(reader))).output).toMatch(/403|Forbidden/);
    expect((await first.fail(...push, ...key('nobody-0123456789abcdef'))).output).toMatch(/401|credentials/);
    await first.succeed(...push, ...key(writer));
    expect((await first.fail(...push, ...key(writer))).output).toMatch(/409|Conflict/);
    // As after a crash: what was acknowledged is there.
    await proxy.kill();

    using second = home();
    await second.succeed('install', id, '-Source', 'granary', '-OutputDirectory', 'installed');
    const installed = second.packages('installed');
    expect(hashes(new Map([[file, installed.get(file) ?? Buffer.alloc(0)]]))).toEqual(hashes(new Map([[file, bytes]])));
    expect([...installed.keys()].sort()).toEqual(['Acme.Core.1.0.0.nupkg', file]);
    expect(linesOf(await second.succeed('list', id, '-Source', 'granary'))).toContain(`${id} 1.0.0`);

    await second.succeed('delete', id, '1.0.0', writer, '-Source', 'granary');
    expect(linesOf(await second.succeed('list', id, '-Source', 'granary'))).toContain('No packages found.');
    using third = home();
    await third.succeed('install', id, '-Version', '1.0.0', '-Source', 'granary', '-OutputDirectory', 'installed');
    expect(upstream.requests.all(({ method }) => method !== 'GET')).toEqual([]);
  });

  it.for(clients)(
    'takes packages and deletes of %s whatever form of its URL they go to',
    async ([, client], { skip }) => {
      if (client.missing) skip(client.missing);
      const host = new URL(proxy.v3).origin;
      const forms = client === nuget5 ? [host, `${host}/nuget/hosted/`] : [`${host}/nuget`, proxy.v3];
      const changed = forms.map(async (url, i) => {
        const id = `Acme.Form${client === nuget5 ? 5 : 2}${i}`;
        using home = new NuGetHome(client, [{ name: 'granary', url: proxy.v3 }]);
        const [file, bytes] = built({ id, version: '1.0.0' });
        home.write(file, bytes);
        await home.succeed('push', file, '-Source', url, ...(client === nuget5 ? ['-ApiKey', writer] : [writer]));
        await home.succeed('delete', id, '1.0.0', writer, '-Source', url);
        const index = await fetch(`${host}/nuget/hosted/v3/registration/${id.toLowerCase()}/1.0.0.json`);
        return ((await index.json()) as { readonly listed: boolean }).listed;
      });
      expect(await Promise.all(changed)).toEqual([false, false]);
    },
  );
});
