import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { SourceRepository } from '@granary/nuget';
import { buildPackage } from '@granary/nuget/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MemoryFeed, record } from '../http/testing/memory-feed.js';
import { TestServer } from '../http/testing/test-server.js';
import { MergedFeed } from '../merged/merged-feed.js';
import { HostedUnderTest } from './testing/hosted-under-test.js';

let hosted: HostedUnderTest;
let server: TestServer;
let client: SourceRepository;
let upstream: MemoryFeed;

beforeEach(async () => {
  hosted = await HostedUnderTest.open();
  upstream = new MemoryFeed('upstream', [record('Contoso.A', '0.9.0'), record('Other', '1.0.0')]);
  const all = new MergedFeed({ sources: [hosted.feed, upstream], pushTo: hosted.feed });
  server = await TestServer.start({ all, bySource: { hosted: hosted.feed, upstream } });
  client = new SourceRepository({ name: 'granary', sourceUrl: `${server.url}/v3/index.json` });
});

afterEach(async () => {
  await client.close();
  await server[Symbol.asyncDispose]();
  await hosted[Symbol.asyncDispose]();
});

async function push(content: Buffer): Promise<void> {
  await client.push({ name: 'a.nupkg', size: content.length, open: () => Readable.from([content]) });
}

describe('a client of a server with a hosted feed', () => {
  it('pushes, finds, downloads, unlists and lists, beside what others have', async () => {
    const content = buildPackage({ id: 'Contoso.A', version: '1.0.0', description: 'ours' });
    expect((await client.listVersions('Contoso.A')).map(String)).toEqual(['0.9.0']);
    await push(content);
    expect(await server.left()).toEqual([]);
    expect((await client.listVersions('Contoso.A')).map(String)).toEqual(['0.9.0', '1.0.0']);
    expect(await client.getMetadata('contoso.a', '1.0')).toMatchObject({ description: 'ours', listed: true });
    const download = await client.downloadPackage('Contoso.A', '1.0.0');
    expect(download && (await buffer(download)).equals(content)).toBe(true);
    expect((await client.getNuspec('Contoso.A', '1.0.0'))?.toString()).toContain('<id>Contoso.A</id>');
    expect(await client.search('ours')).toMatchObject({ total: 1, results: [{ id: 'Contoso.A' }] });

    await expect(push(content)).rejects.toMatchObject({ code: 'CONFLICT' });
    await expect(push(Buffer.from('no package'))).rejects.toMatchObject({ statusCode: 400 });
    expect(await client.delete('Contoso.A', '1.0.0')).toBe(true);
    expect(await server.json('/hosted/v3/search?q=ours')).toMatchObject({ totalHits: 0 });
    expect(await server.json('/hosted/v3/registration/contoso.a/1.0.0.json')).toMatchObject({ listed: false });
    expect((await server.ask('/nuget/v3/package/Contoso.A/1.0.0', { method: 'POST' })).status).toBe(200);
    expect(await server.json('/hosted/v3/search?q=ours')).toMatchObject({ totalHits: 1 });
    expect((await server.ask('/nuget/v3/package/Other/1.0.0', { method: 'DELETE' })).status).toBe(404);
  });

  type Hit = { version: string; versions: { version: string }[] };

  it('sees nothing in searches that is unlisted here, though another source has it, too', async () => {
    upstream.add(record('Contoso.A', '1.0.0'));
    await push(buildPackage({ id: 'Contoso.A', version: '1.0.0', description: 'ours' }));
    const found = async () => {
      const { data } = (await server.json('/v3/search?q=Contoso.A')) as { data: Hit[] };
      return data.map((hit) => [hit.version, ...hit.versions.map(({ version }) => version)]);
    };
    const listed = async () => {
      const { body } = await server.ask("/nuget/v2/Search()?searchTerm='Contoso.A'&$filter=IsLatestVersion");
      return [...`${body}`.matchAll(/<d:Version>(.*?)</g)].map(([, version]) => version);
    };
    expect(await found()).toEqual([['1.0.0', '0.9.0', '1.0.0']]);
    await client.delete('Contoso.A', '1.0.0');
    expect(await found()).toEqual([['0.9.0', '0.9.0']]);
    expect(await listed()).toEqual(['0.9.0']);
    await push(buildPackage({ id: 'Contoso.A', version: '0.9.0' }));
    await client.delete('Contoso.A', '0.9.0');
    expect(await found()).toEqual([]);
    expect(await listed()).toEqual([]);
  });

  it('gets right answers however many push at once', async () => {
    const all = Array.from({ length: 25 }, (_, i) =>
      buildPackage({ id: 'Contoso.A', version: `1.${i % 5}.0`, description: `${i}` }),
    );
    const outcomes = await Promise.all(
      all.map((content) =>
        push(content).then(
          () => 'taken',
          (error) => error.code,
        ),
      ),
    );
    expect(outcomes.filter((outcome) => outcome === 'taken')).toHaveLength(5);
    expect(outcomes.filter((outcome) => outcome === 'CONFLICT')).toHaveLength(20);
    expect(await server.left()).toEqual([]);
    expect(await hosted.versions('Contoso.A')).toHaveLength(5);
  });
});
