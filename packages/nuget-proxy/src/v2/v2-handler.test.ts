import { NuGetError } from '@granary/nuget';
import { describe, expect, it } from 'vitest';
import { FeedUnavailableError } from '../errors.js';
import { MemoryFeed, record } from '../http/testing/memory-feed.js';
import { TestServer } from '../http/testing/test-server.js';
import { pageAt } from './testing/v2-feed.js';

const bytes = Buffer.from('a package');

async function serving() {
  const feed = new MemoryFeed();
  feed.add(record('A', '1.0.0'), bytes);
  feed.add(record('A', '2.0.0-beta'), bytes);
  feed.add(record('A', '3.0.0', { listed: false }), bytes);
  return { feed, server: await TestServer.start({ all: feed }) };
}

/** What an error says, as OData has it. */
function sentenceIn(body: Buffer): string | undefined {
  const found = /^<\?xml [^>]*>\n<m:error xmlns:m="[^"]+"><m:code \/><m:message xml:lang="en-US">([^<]*)<\/m:message>/;
  return found.exec(body.toString())?.[1];
}

describe('a package', () => {
  it.each([
    '/nuget/v2/package/A/1.0.0',
    '/nuget/v2/package/a/1.0',
    '/nuget/v2/Package/a/1.0.0.0',
    '/nuget/v2/api/v2/package/A/1.0.0',
    "/nuget/v2/Packages(Id='A',Version='1.0.0')/$value",
    '/nuget/v2/Packages(Id=%27A%27,Version=%271.0.0%27)/Download',
    '/nuget/v3/v2/package/A/1.0.0',
    '/nuget/v2//package//A/1.0.0/',
  ])('is at %s', async (path) => {
    const { server, feed } = await serving();
    await using _ = server;
    const { status, headers, body } = await server.ask(path);
    expect([status, body]).toEqual([200, bytes]);
    expect(headers).toMatchObject({
      'content-type': 'application/octet-stream',
      'accept-ranges': 'bytes',
      etag: '"abc"',
    });
    expect(feed.open).toBe(0);
    expect((await server.recorded(1))[0]).toMatchObject({ service: 'package', code: '200' });
  });

  it('is given in parts, and not at all for HEAD', async () => {
    const { server } = await serving();
    await using _ = server;
    const part = await server.ask('/nuget/v2/package/A/1.0.0', { headers: { Range: 'bytes=2-4' } });
    expect([part.status, part.body.toString()]).toEqual([206, 'pac']);
    const head = await server.ask('/nuget/v2/package/A/1.0.0', { method: 'HEAD' });
    expect([head.status, head.headers['content-length'], head.body.length]).toEqual([200, '9', 0]);
  });

  it('without a version leads to the newest one that is listed', async () => {
    const { server, feed } = await serving();
    await using _ = server;
    const answer = await server.ask('/nuget/v2/package/a');
    expect([answer.status, answer.headers.location]).toEqual([302, `${server.url}/v2/package/A/1.0.0`]);
    feed.add(record('B', '1.0.0-a'));
    feed.add(record('B', '1.0.0-b'));
    expect((await server.ask('/nuget/v3/v2/package/b')).headers.location).toBe(`${server.url}/v3/v2/package/B/1.0.0-b`);
    feed.add(record('C', '1.0.0', { listed: false }));
    expect((await server.ask('/nuget/v2/package/c')).status).toBe(404);
  });
});

describe('what is not there', () => {
  it.each([
    ['/nuget/v2/package/A/9.0.0', 'there is no such package or version'],
    ['/nuget/v2/package/No/1.0.0', 'there is no such package or version'],
    ['/nuget/v2/package/No', 'there is no such package or version'],
    ['/nuget/v2/package/it%27s', 'there is no such package or version'],
    ['/nuget/v2/package/A/latest', 'there is no such package or version'],
    ["/nuget/v2/Packages(Id='A',Version='9.0.0')", 'there is no such package or version'],
    ["/nuget/v2/Packages(Id='No',Version='1.0.0')", 'there is no such package or version'],
    ["/nuget/v2/Packages(Id='it''s',Version='1.0.0')", 'there is no such package or version'],
    ["/nuget/v2/Packages(Id='A',Version='x')/$value", 'there is no such package or version'],
    ["/nuget/v2/Packages(Id='A')", 'there is no such resource'],
    ["/nuget/v2/Packages('A')", 'there is no such resource'],
    ["/nuget/v2/Packages(Id='A',Version='1.0.0')/$count", 'there is no such resource'],
    ["/nuget/v2/Packages(Id='A',Version='1.0.0')/Description", 'there is no such resource'],
    ["/nuget/v2/Packages(Id='A',Version='1.0.0')/$value/more", 'there is no such resource'],
    ['/nuget/v2/package', 'there is no such resource'],
    ['/nuget/v2/package/A/1.0.0/more', 'there is no such resource'],
    ['/nuget/v2/Packages()/more', 'there is no such resource'],
    ['/nuget/v2/Search()/$count/more', 'there is no such resource'],
    ['/nuget/v2/Unknown()', 'there is no such resource'],
    ['/nuget/v2/Packages(', 'there is no such resource'],
    ['/nuget/v2/$metadata/more', 'there is no such resource'],
    ['/nuget/v2/package-ids/more', 'there is no such resource'],
    ['/nuget/v2/package-versions', 'there is no such resource'],
    ['/nuget/v2/__proto__', 'there is no such resource'],
  ])('%s: 404', async (path, sentence) => {
    const { server } = await serving();
    await using _ = server;
    const { status, headers, body, reason } = await server.ask(path);
    expect([status, headers['content-type']]).toEqual([404, 'application/xml;charset=utf-8']);
    expect(sentenceIn(body)).toContain(sentence);
    expect(reason).toContain(sentence);
  });
});

describe('what makes no sense', () => {
  it.each([
    ['Packages()?$filter=Id eq', 'the filter has nothing where a value should be'],
    ['Packages()?$orderby=Nonsense', 'no order: Nonsense'],
    ['Packages()?$top=-1', '$top is a whole number from 0 to 1000000'],
    ['Packages()?$top=1e3', '$top is a whole number from 0 to 1000000'],
    ['Packages()?$skip=1000001', '$skip is a whole number from 0 to 1000000'],
    ['Packages()?$skiptoken=x', '$skiptoken is none that a page here has named'],
    ["FindPackagesById()?id='A'&$skiptoken=1-1", '$skiptoken is none that a page here has named'],
    ['Packages()?$inlinecount=some', '$inlinecount is allpages or none'],
    ['Packages()?$format=json', 'lists of packages are Atom: no $format'],
    ['Packages()?semVerLevel=two', 'semVerLevel is a version'],
    ['FindPackagesById()', "FindPackagesById() takes an id: id='…'"],
    ["Search()?searchTerm='a'&includePrerelease=maybe", 'includePrerelease is true or false'],
    [`Search()?searchTerm='${'a'.repeat(513)}'`, 'searchTerm has at most 512 characters'],
    [`package-ids?partialId=${'a'.repeat(513)}`, 'partialId has at most 512 characters'],
  ])('%s: 400', async (path, sentence) => {
    const { server } = await serving();
    await using _ = server;
    const { status, body } = await server.ask(`/nuget/v2/${path.replaceAll(' ', '%20')}`);
    expect([status, sentenceIn(body)]).toEqual([400, sentence]);
  });

  it('never has markup of whoever sent it in the answer', async () => {
    const { server } = await serving();
    await using _ = server;
    const { status, body } = await server.ask('/nuget/v2/Packages()?$filter=<script>&$top=1');
    expect([status, sentenceIn(body)]).toEqual([400, 'no filter from here on: &lt;script&gt;']);
  });
});

describe('a feed that can not tell', () => {
  it('is no feed without packages', async () => {
    const { server, feed } = await serving();
    await using _ = server;
    feed.failure = new FeedUnavailableError('up', 'connection refused to 10.0.0.1', { retryAfterMs: 2500 });
    for (const path of [
      "FindPackagesById()?id='A'",
      "Packages(Id='A',Version='1.0.0')",
      "Packages()?$filter=Id%20eq%20'A'",
      'Packages()',
      "Search()?searchTerm='a'",
      "GetUpdates()?packageIds='A'&versions='1.0.0'",
      'package/A',
      'package/A/1.0.0',
      'package-ids?partialId=a',
      'package-versions/A',
    ]) {
      const { status, headers, body } = await server.ask(`/nuget/v2/${path}`);
      expect([path, status, headers['retry-after'], sentenceIn(body)]).toEqual([
        path,
        503,
        '3',
        'up can not be asked now',
      ]);
    }
  });
});

describe('documents', () => {
  it('are confirmed, compressed, and say where they come from', async () => {
    const { server, feed } = await serving();
    await using _ = server;
    const path = "/nuget/v2/FindPackagesById()?id='A'";
    const first = await server.ask(path);
    expect(first.headers).toMatchObject({
      'content-type': 'application/atom+xml;type=feed;charset=utf-8',
      dataserviceversion: '2.0;',
      'x-cache': 'hit',
      vary: 'Accept-Encoding',
    });
    const again = await server.ask(path, { headers: { 'If-None-Match': String(first.headers.etag) } });
    expect([again.status, again.body.length]).toEqual([304, 0]);
    expect((await server.ask(path, { headers: { 'Accept-Encoding': 'gzip' } })).headers['content-encoding']).toBe(
      'gzip',
    );
    const head = await server.ask(path, { method: 'HEAD' });
    expect([head.headers['content-length'], head.body.length]).toEqual([first.headers['content-length'], 0]);
    feed.state = 'stale';
    expect((await server.ask(path)).headers['x-cache']).toBe('stale');
  });

  it('are where the client has found the feed', async () => {
    const { server } = await serving();
    await using _ = server;
    const { body } = await server.ask("/nuget/v3/v2/FindPackagesById()?id='A'");
    expect(body.toString()).toContain(`src="${server.url}/v3/v2/package/A/1.0.0"`);
    const { body: named } = await server.ask("/nuget/v2/FindPackagesById()?id='A'", {
      headers: { Host: 'x.example:81' },
    });
    expect(named.toString()).toContain('src="http://x.example:81/nuget/v2/package/A/1.0.0"');
  });
});

describe('a push', () => {
  it.each([
    '/nuget/v2',
    '/nuget/v2/',
    '/nuget/v2/package',
    '/nuget/v2/package/',
    '/nuget/v2/api/v2/package/',
    '/nuget/v3/v2/',
  ])('goes to %s', async (path) => {
    const { server, feed } = await serving();
    await using _ = server;
    const answer = await server.ask(path, { method: 'PUT', headers: { 'X-NuGet-ApiKey': 'key' }, body: 'PK' });
    expect([answer.status, answer.body.length]).toEqual([201, 0]);
    expect(feed.pushed).toEqual([expect.objectContaining({ bytes: Buffer.from('PK'), apiKey: 'key' })]);
    expect((await server.recorded(1))[0]).toMatchObject({ service: 'push', feed: 'all' });
  });

  it('says why it failed', async () => {
    const { server, feed } = await serving();
    await using _ = server;
    feed.failure = new NuGetError('CONFLICT', 'A 1.0.0 is there already');
    const { status, reason, body } = await server.ask('/nuget/v2/', { method: 'PUT', body: 'PK' });
    expect([status, reason, sentenceIn(body)]).toEqual([409, 'A 1.0.0 is there already', 'A 1.0.0 is there already']);
  });

  it.each(['$metadata', 'package-ids', 'Search()', 'Search', 'FindPackagesById()', "Packages(Id='A',Version='1')/Id"])(
    'does not go to %s, which is only read',
    async (path) => {
      const { server, feed } = await serving();
      await using _ = server;
      for (const method of ['PUT', 'POST', 'DELETE', 'PATCH']) {
        const { status, headers } = await server.ask(`/nuget/v2/${path}`, { method });
        expect([method, status, headers.allow]).toEqual([method, 405, 'GET, HEAD']);
      }
      expect((await server.ask('/nuget/v2/package-ids/1.0.0', { method: 'DELETE' })).status).toBe(404);
      expect(feed.pushed).toEqual([]);
    },
  );

  it('goes to the feed itself, not to something in it', async () => {
    const { server } = await serving();
    await using _ = server;
    const { status, headers } = await server.ask('/nuget/v2/A/1.0.0', { method: 'PUT', body: 'PK' });
    expect([status, headers.allow]).toEqual([405, 'GET, HEAD, DELETE, POST']);
    expect((await server.ask('/nuget/v2/', { method: 'DELETE' })).headers.allow).toBe('GET, HEAD, PUT');
    expect((await server.ask('/nuget/v2/A', { method: 'DELETE' })).status).toBe(404);
    expect((await server.ask('/nuget/v2/package/A/1.0.0/x', { method: 'DELETE' })).status).toBe(404);
  });
});

describe('a delete', () => {
  it.each(['/nuget/v2/A/1.0.0', '/nuget/v2/package/A/1.0.0', '/nuget/v2/api/v2/package/A/1.0.0'])(
    'goes to %s',
    async (path) => {
      const { server, feed } = await serving();
      await using _ = server;
      const headers = { 'X-NuGet-ApiKey': 'key' };
      expect((await server.ask(path, { method: 'DELETE', headers })).status).toBe(204);
      expect((await server.ask(path, { method: 'POST', headers })).status).toBe(200);
      expect(feed.changes).toEqual(['delete a/1.0.0 key', 'relist a/1.0.0 key']);
      expect((await server.recorded(2)).map(({ service }) => service)).toEqual(['delete', 'relist']);
    },
  );

  it('may be of a package that has the name of a resource', async () => {
    const { server, feed } = await serving();
    await using _ = server;
    feed.add(record('Package', '1.0.0'));
    expect((await server.ask('/nuget/v2/package/1.0.0', { method: 'DELETE' })).status).toBe(204);
    expect(feed.changes).toEqual(['delete package/1.0.0 undefined']);
  });

  it('of nothing is not found', async () => {
    const { server } = await serving();
    await using _ = server;
    const { status, body } = await server.ask('/nuget/v2/No/1.0.0', { method: 'DELETE' });
    expect([status, sentenceIn(body)]).toEqual([404, 'there is no such package or version']);
  });
});

describe('completion', () => {
  it('gives ids', async () => {
    const { server, feed } = await serving();
    await using _ = server;
    feed.add(record('Ab', '1.0.0'));
    const { body, headers } = await server.ask(
      '/nuget/v2/package-ids?partialId=A&includePrerelease=True&semVerLevel=2.0.0',
    );
    expect([JSON.parse(body.toString()), headers['content-type']]).toEqual([
      ['a', 'ab'],
      'application/json; charset=utf-8',
    ]);
    expect(feed.searches).toEqual([{ query: 'A', options: { includePrerelease: true, semVer2: true, take: 30 } }]);
    await server.ask('/nuget/v2/package-ids');
    expect(feed.searches.at(-1)).toEqual({
      query: '',
      options: { includePrerelease: false, semVer2: false, take: 30 },
    });
  });

  it('gives the listed versions of a package', async () => {
    const { server, feed } = await serving();
    await using _ = server;
    feed.add(record('A', '3.0.0-rc.1+build'));
    const versions = async (path: string) =>
      JSON.parse(String((await server.ask(`/nuget/v2/package-versions/${path}`)).body));
    expect(await versions('a')).toEqual(['1.0.0']);
    expect(await versions('A?includePrerelease=True')).toEqual(['1.0.0', '2.0.0-beta']);
    expect(await versions('A?includePrerelease=true&semVerLevel=2.0.0')).toEqual(['1.0.0', '2.0.0-beta', '3.0.0-rc.1']);
    expect(await versions('no')).toEqual([]);
    expect(await versions("it's")).toEqual([]);
  });
});

it('shows a version that only newer clients understand to whoever names it', async () => {
  const { server, feed } = await serving();
  await using _ = server;
  feed.add(record('S', '1.0.0-rc.1'));
  expect((await pageAt(server, "FindPackagesById()?id='S'")).packages).toEqual([]);
  expect((await pageAt(server, "Packages(Id='S',Version='1.0.0-rc.1')")).packages).toEqual(['S 1.0.0-rc.1']);
});
