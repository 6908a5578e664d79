import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { NuGetVersion } from '@granary/nuget';
import { describe, expect, it } from 'vitest';
import { record } from '../http/testing/memory-feed.js';
import { TestServer } from '../http/testing/test-server.js';
import { SearchFeed } from './testing/search-feed.js';
import { V2Client } from './testing/v2-client.js';

const version = NuGetVersion.parse('1.0.0');
const bytes = Buffer.from('a package');

async function serving(path?: string) {
  const feed = new SearchFeed();
  for (let index = 0; index < 150; index++) feed.add(record('Large', `1.0.${index}`));
  feed.add(
    record('A.B', '1.0.0', {
      description: 'It’s <small>',
      authors: ['X', 'Y'],
      tags: ['t', 'u'],
      published: '2020-01-02T03:04:05.000Z',
      packageHash: { algorithm: 'SHA512', value: 'aGFzaA==' },
      packageSize: 9,
      dependencyGroups: [{ targetFramework: 'net45', dependencies: [{ id: 'C', range: '[1.0.0, )' }] }],
    }),
    bytes,
  );
  feed.add(record('A.B', '2.0.0-rc.1', { listed: false }));
  const server = await TestServer.start({ all: feed });
  const client = new V2Client(server, path);
  return { feed, server, client, provider: client.provider };
}

/** What a client of protocol 2 that knows nothing of this server makes of it. */
describe.each(['/v2', '/v2/', '/v3/v2'])('a client at %s', (path) => {
  it('lists all versions', async () => {
    const { server, provider, client } = await serving(path);
    await using _ = server;
    expect((await provider.listVersions('large')).map(String)).toEqual(
      Array.from({ length: 150 }, (_, i) => `1.0.${i}`),
    );
    expect(client.requests).toHaveLength(2);
    expect((await provider.listVersions('a.b')).map(String)).toEqual(['1.0.0', '2.0.0-rc.1']);
    expect(await provider.listVersions('no')).toEqual([]);
  });

  it('reads what is said of a package', async () => {
    const { server, provider } = await serving(path);
    await using _ = server;
    const read = await provider.getMetadata({ id: 'a.b', version });
    expect(read).toMatchObject({
      id: 'A.B',
      description: 'It’s <small>',
      authors: ['X', 'Y'],
      tags: ['t', 'u'],
      published: new Date('2020-01-02T03:04:05Z'),
      listed: true,
      packageSize: 9,
      packageHash: { algorithm: 'SHA512', value: 'aGFzaA==' },
    });
    const [group] = read?.dependencyGroups ?? [];
    expect([
      group?.targetFramework.shortFolderName,
      group?.dependencies.map(({ id, range }) => `${id} ${range}`),
    ]).toEqual(['net45', ['C [1.0.0, )']]);
    const unlisted = await provider.getMetadata({ id: 'A.B', version: NuGetVersion.parse('2.0.0-RC.1') });
    expect(unlisted?.listed).toBe(false);
    expect(await provider.getMetadata({ id: 'A.B', version: NuGetVersion.parse('3.0.0') })).toBeUndefined();
  });

  it('downloads', async () => {
    const { server, provider } = await serving(path);
    await using _ = server;
    const stream = await provider.downloadPackage({ id: 'A.B', version });
    expect(stream && (await buffer(stream.body))).toEqual(bytes);
    expect(stream?.url).toBe(`${server.url}${path.replace(/\/$/, '')}/package/A.B/1.0.0`);
  });

  it('searches', async () => {
    const { server, provider } = await serving(path);
    await using _ = server;
    const { results } = await provider.search('a', { includePrerelease: true, take: 5 });
    expect(results.map(({ id, version, totalDownloads }) => [id, String(version), totalDownloads])).toEqual([
      ['Large', '1.0.149', 1500],
      ['A.B', '1.0.0', 10],
    ]);
    expect((await provider.search("it's & more")).results).toEqual([]);
  });

  it('completes', async () => {
    const { server, provider } = await serving(path);
    await using _ = server;
    expect(await provider.autocomplete('l')).toEqual(['large']);
    expect((await provider.autocompleteVersions('A.B', { includePrerelease: true })).map(String)).toEqual(['1.0.0']);
  });

  it('pushes, unlists and lists again', async () => {
    const { server, feed, provider } = await serving(path);
    await using _ = server;
    await provider.push(
      { name: 'a.nupkg', size: 2, open: () => Readable.from([Buffer.from('PK')]) },
      { apiKey: 'key' },
    );
    expect(feed.pushed).toEqual([expect.objectContaining({ bytes: Buffer.from('PK'), apiKey: 'key' })]);
    expect(await provider.delete({ id: 'A.B', version }, { apiKey: 'key' })).toBe(true);
    expect(await provider.relist({ id: 'A.B', version }, { apiKey: 'key' })).toBe(true);
    expect(await provider.delete({ id: 'No', version })).toBe(false);
    expect(feed.changes).toEqual(['delete a.b/1.0.0 key', 'relist a.b/1.0.0 key', 'delete no/1.0.0 undefined']);
  });
});
