import { describe, expect, it } from 'vitest';
import { FeedUnavailableError } from '../errors.js';
import { FeedAccessError, type FeedRight } from '../http/hooks.js';
import { record } from '../http/testing/memory-feed.js';
import { TestServer, type TestServerInit } from '../http/testing/test-server.js';
import { SearchFeed } from './testing/search-feed.js';

async function serving(init: TestServerInit = {}) {
  const feed = new SearchFeed('all', [record('A', '1.0.0'), record('A', '2.0.0'), record('B', '1.0.0')]);
  return { feed, server: await TestServer.start({ all: feed, ...init }) };
}

/** As NuGet.Core writes it: with the line ends of its system. */
function batchOf(targets: readonly string[], lineEnd = '\r\n', boundary = 'batch_1'): string {
  const parts = targets.map((target) => {
    const head = [`--${boundary}`, 'Content-Type: application/http', 'Content-Transfer-Encoding: binary', ''];
    return [...head, `GET ${target} HTTP/1.1`, '', ''].join(lineEnd);
  });
  return `${parts.join('')}--${boundary}--${lineEnd}`;
}

const TYPE = 'multipart/mixed; boundary=batch_1';

async function ask(server: TestServer, body: string, path = '/nuget/v2/$batch', type = TYPE) {
  const {
    status,
    headers,
    body: answered,
  } = await server.ask(path, {
    method: 'POST',
    headers: { 'Content-Type': type },
    body,
  });
  const boundary = /boundary=(\S+)/.exec(headers['content-type'] ?? '')?.[1] ?? '';
  const text = answered.toString();
  const parts = text.split(`--${boundary}`).slice(1, -1);
  const packages = parts.map((part) => {
    const found = part.matchAll(/<d:Id>([^<]*)<\/d:Id><d:Version>([^<]*)</g);
    return Array.from(found, ([, id, version]) => `${id} ${version}`);
  });
  const statuses = parts.map((part) => Number(/\r\n\r\nHTTP\/1\.1 (\d+) /.exec(part)?.[1]));
  return { status, headers, text, packages, statuses };
}

describe('a batch', () => {
  it.each(['\r\n', '\n'])('answers what it asks, with lines that end in %j', async (lineEnd) => {
    const { server } = await serving();
    await using _ = server;
    const target = `${server.url}/v2/GetUpdates()?packageIds='A%7CB'&versions='1.0.0%7C1.0.0'`;
    const { status, headers, packages, text } = await ask(server, batchOf([target], lineEnd));
    expect([status, packages]).toEqual([202, [['A 2.0.0']]]);
    expect(headers['content-type']).toMatch(/^multipart\/mixed; boundary=batchresponse_[\w-]+$/);
    expect(text).toMatch(
      /^--batchresponse_[\w-]+\r\nContent-Type: application\/http\r\nContent-Transfer-Encoding: binary\r\n\r\nHTTP\/1\.1 200 OK\r\nContent-Type: application\/atom\+xml;type=feed;charset=utf-8\r\nDataServiceVersion: 2\.0;\r\n\r\n<\?xml /,
    );
    expect(text).toMatch(/<\/feed>\r\n--batchresponse_[\w-]+--\r\n$/);
    expect((await server.recorded(1))[0]).toMatchObject({ service: 'v2', state: 'hit', code: '202' });
  });

  it('takes what is too long for a URL', async () => {
    const { server } = await serving();
    await using _ = server;
    const ids = [...Array.from({ length: 499 }, (_, index) => `A.Package.With.A.Long.Name.${index}`), 'A'];
    const target = `GetUpdates()?packageIds='${ids.join('%7C')}'&versions='${ids.map(() => '1.0.0').join('%7C')}'`;
    expect((await ask(server, batchOf([target]))).packages).toEqual([['A 2.0.0']]);
  });

  it('may have several questions, each of which has its own answer', async () => {
    const { server } = await serving();
    await using _ = server;
    const { statuses, packages } = await ask(
      server,
      batchOf([
        "Packages(Id='A',Version='1.0.0')",
        "Packages(Id='No',Version='1.0.0')",
        'Packages()?$filter=nonsense',
        "/nuget/v2/FindPackagesById()?id='B'",
        'package-ids?partialId=a',
        '$metadata',
      ]),
    );
    expect(statuses).toEqual([200, 404, 400, 200, 200, 200]);
    expect(packages).toEqual([['A 1.0.0'], [], [], ['B 1.0.0'], [], []]);
  });

  it.each([
    '/nuget/v3/index.json',
    '/nuget/other/v2/Packages()',
    '/etc/passwd',
    '../v3/index.json',
    'package/A/1.0.0',
    '$batch',
  ])('does not lead elsewhere: %s', async (target) => {
    const { server } = await serving();
    await using _ = server;
    expect((await ask(server, batchOf([target]))).statuses).toEqual([404]);
  });

  it.each(['http://[', '%ff'])('does not lead nowhere: %s', async (target) => {
    const { server } = await serving();
    await using _ = server;
    expect((await ask(server, batchOf([target]))).statuses).toEqual([400]);
  });

  it('is of the feed that it is sent to, wherever clients see that', async () => {
    const { feed, server } = await serving({ publicUrl: 'https://public.example/base' });
    await using _ = server;
    for (const target of [
      'https://public.example/base/nuget/v2/Packages()',
      `${server.url}/v2/Packages()`,
      'Packages()',
    ]) {
      const { packages, text } = await ask(server, batchOf([target]));
      expect(packages[0]).toHaveLength(3);
      expect(text).toContain('src="https://public.example/base/nuget/v2/package/A/1.0.0"');
    }
    expect((await ask(server, batchOf(['Packages()']), '/nuget/v3/v2/$batch')).text).toContain('/nuget/v3/v2/package/');
    for (const path of ['/nuget/v2/$batch/', '/nuget/v2/$batch//'])
      expect((await ask(server, batchOf([`${server.url}/v2/Packages()`]), path)).packages[0]).toHaveLength(3);
    feed.failure = new FeedUnavailableError('up', 'gone');
    expect((await ask(server, batchOf(['Packages()']))).statuses).toEqual([503]);
  });

  it('is as a whole a failure of the server when something in it is', async () => {
    const { feed, server } = await serving();
    await using _ = server;
    feed.failure = new Error('a mistake');
    expect((await ask(server, batchOf(['Packages()']))).status).toBe(500);
  });

  it.each([
    ['without an end', 400, 'ended before its end', batchOf(['Packages()']).slice(0, -5)],
    ['of nothing', 400, 'ended before its end', ''],
    ['of something else', 400, 'has questions (GET) in it', batchOf(['a']).replace('GET', 'DELETE')],
    ['of changes', 400, 'has questions (GET) in it', batchOf(['a']).replace(/GET.*\r\n\r\n/, '--changeset_1\r\n\r\n')],
    ['of too much', 400, 'at most 16 questions', batchOf(Array(17).fill('Packages()'))],
    ['that is too long', 413, 'at most 262144 bytes', batchOf([`Packages()?x=${'a'.repeat(262_144)}`])],
  ])('%s is refused', async (_, expected, sentence, body) => {
    const { server } = await serving();
    await using _server = server;
    const { status, text } = await ask(server, body);
    expect([status, text]).toEqual([expected, expect.stringContaining(sentence)]);
  });

  it('is multipart/mixed with a boundary, and posted', async () => {
    const { server } = await serving();
    await using _ = server;
    expect((await ask(server, '', '/nuget/v2/$batch', 'application/json')).status).toBe(415);
    expect((await ask(server, '', '/nuget/v2/$batch', 'multipart/mixed')).status).toBe(400);
    expect((await server.ask('/nuget/v2/$batch')).headers.allow).toBe('POST');
  });

  it('only reads, so whoever may read may send it', async () => {
    const rights: FeedRight[] = [];
    const authorize = (_: unknown, right: FeedRight) => {
      rights.push(right);
      if (right === 'push') throw new FeedAccessError('PERMISSION_DENIED', 'no');
      return 'reader';
    };
    const { server } = await serving({ hooks: { authorize } });
    await using _ = server;
    expect((await ask(server, batchOf(['Packages()']), '/nuget/v2/%24batch')).status).toBe(202);
    expect((await ask(server, batchOf(['Packages()']), '/nuget/v3/package/A/$batch')).status).toBe(403);
    expect((await ask(server, batchOf(['Packages()']), '/nuget/v2/A/$batch')).status).toBe(403);
    expect(rights).toEqual(['read', 'push', 'push']);
  });
});
