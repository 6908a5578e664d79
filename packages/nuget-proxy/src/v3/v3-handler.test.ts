import { RecordingTracer } from '@granary/telemetry/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { record } from '../http/testing/memory-feed.js';
import { TestServer } from '../http/testing/test-server.js';
import { ProxiedUpstream } from './testing/proxied-upstream.js';

let server: TestServer;

beforeEach(async () => {
  server = await TestServer.start({ upstreamHosts: new Set(['up.test']) });
  server.feed.add(record('My.Package', '1.0.0', { listed: false }), Buffer.from('1'));
  server.feed.add(record('My.Package', '2.0.0-Beta+x'), Buffer.from('2'));
});

afterEach(() => server[Symbol.asyncDispose]());

const status = async (path: string) => (await server.ask(`/nuget/v3/${path}`)).status;

describe('the list of versions', () => {
  it('has all of them, unlisted ones too, as files are named after them', async () => {
    expect(await server.json('/v3/flatcontainer/MY.PACKAGE/index.json')).toEqual({ versions: ['1.0.0', '2.0.0-beta'] });
  });

  it('is answered at once where the feed has it at hand', async () => {
    const versions = vi.spyOn(server.feed, 'versions');
    const atHand = { value: [{ version: '9.0.0' }], state: 'hit' as const, asOf: 0 };
    Object.assign(server.feed, {
      versionsAtHand: (id: string) => (id === 'a' ? atHand : id === 'b' ? null : undefined),
    });
    expect(await server.json('/v3/flatcontainer/a/index.json')).toEqual({ versions: ['9.0.0'] });
    expect(await status('flatcontainer/b/index.json')).toBe(404);
    expect(versions).not.toHaveBeenCalled();
    expect(await status('flatcontainer/my.package/index.json')).toBe(200);
    expect(versions).toHaveBeenCalledTimes(1);
  });

  it('is asked for where the request is traced, so that the trace shows it', async () => {
    await using traced = await TestServer.start({ tracer: new RecordingTracer() });
    traced.feed.add(record('A', '1.0.0'));
    Object.assign(traced.feed, { versionsAtHand: () => null });
    expect(await traced.json('/v3/flatcontainer/a/index.json')).toEqual({ versions: ['1.0.0'] });
  });

  it('is not there without one', async () => {
    server.feed.versions = async () => ({ value: [], state: 'hit', asOf: 0 });
    expect(await status('flatcontainer/none/index.json')).toBe(404);
  });
});

describe('icons and readmes', () => {
  const png = Buffer.from('\x89PNG\r\n\x1a\n, and more', 'latin1');
  const folder = '/nuget/v3/flatcontainer/my.package/1.0.0';

  beforeEach(() => {
    server.feed.embeddedFiles.set('my.package/1.0.0/icon', png);
    server.feed.embeddedFiles.set('my.package/1.0.0/readme', Buffer.from('# Mine'));
  });

  it('are what they are, and nothing that a browser would make of them', async () => {
    const icon = await server.ask(`${folder}/icon`, { headers: { 'accept-encoding': 'br, gzip' } });
    expect(icon).toMatchObject({ status: 200, body: png });
    expect(icon.headers).toMatchObject({ 'content-type': 'image/png', 'x-content-type-options': 'nosniff' });
    expect(icon.headers['content-encoding']).toBeUndefined();
    const readme = await server.ask('/nuget/v3/flatcontainer/MY.Package/1.0/README');
    expect([readme.status, String(readme.body)]).toEqual([200, '# Mine']);
    expect(readme.headers).toMatchObject({
      'content-type': 'text/markdown; charset=utf-8',
      'x-content-type-options': 'nosniff',
      'cache-control': expect.stringContaining('immutable'),
    });
    const { etag = '' } = readme.headers;
    expect(await server.ask(`${folder}/readme`, { headers: { 'if-none-match': etag } })).toMatchObject({ status: 304 });
  });

  it('are not there where a package has none', async () => {
    expect(await status('flatcontainer/my.package/2.0.0-beta/icon')).toBe(404);
    expect(await status('flatcontainer/none/1.0.0/readme')).toBe(404);
    expect(await status('flatcontainer/my.package/1.0.0/license')).toBe(404);
  });

  it('are where documents say, if the feed has the icon', async () => {
    server.feed.add(record('Pictured', '1.0.0+build', { iconUrl: '' }));
    const leaf = await server.json('/v3/registration-gz-semver2/pictured/catalog/1.0.0.json');
    expect(leaf).toMatchObject({ iconUrl: `${server.url}/v3/flatcontainer/pictured/1.0.0/icon` });
  });
});

describe('what lies in hives of registrations', () => {
  it.each([
    ['my.package/index.json', 200],
    ['MY.PACKAGE/index.json', 200],
    ['my.package/1.0.0.json', 200],
    ['my.package/1.0.json', 200],
    ['my.package/2.0.0-BETA.JSON', 200],
    ['my.package/page/1.0.0/2.0.0-beta.json', 200],
    ['my.package/page/1.0/2.0.0-beta+y.json', 200],
    ['my.package/catalog/2.0-BETA.json', 200],
    ['my.package/3.0.0.json', 404],
    ['my.package/catalog/3.0.0.json', 404],
    ['my.package/catalog/1.0.0', 404],
    ['my.package/catalog', 404],
    ['my.package/page/3.0.0/4.0.0.json', 404],
    ['my.package/1.0.0', 404],
    ['my.package/page/1.0.0/2.0.0-beta', 404],
    ['my.package/page/1.0.0.json', 404],
    ['my.package/book/1.0.0/2.0.0.json', 404],
    ['my.package', 404],
    ['my.package/x.json', 400],
    ['my.package/page/x/1.0.0.json', 400],
    ['none/index.json', 404],
    ['no%20id/index.json', 400],
    ['', 400],
  ])('%s is answered with %i', async (path, expected) => {
    expect(await status(`registration-gz-semver2/${path}`)).toBe(expected);
  });

  it.each([
    ['inlined', 2],
    ['inlined', 100],
    ['paged', 2],
    ['paged', 100],
  ] as const)('is %s as upstream has it, by %i', async (registration, registrationPageSize) => {
    const packages = ['1.0.0', '1.1.0', '2.0.0-beta.1', '2.0.0', '3.0.0'].map((each) => ({ id: 'A', version: each }));
    await using proxied = await ProxiedUpstream.start({ registration, registrationPageSize, packages });
    const shapeOf = (index: { readonly items: readonly Record<string, unknown>[] }) =>
      index.items.map(({ lower, upper, count, items }) => ({ lower, upper, count, isInlined: Array.isArray(items) }));
    const fetched = async (url: string) => JSON.parse(await (await fetch(url)).text());
    const { resources } = await fetched(proxied.upstream.v3Url);
    const hive = resources.find((each: Record<string, unknown>) => each['@type'] === 'RegistrationsBaseUrl/3.6.0');
    const theirs = shapeOf(await fetched(`${hive['@id']}a/index.json`));
    expect(theirs.map(({ count }) => count)).toEqual(registrationPageSize === 2 ? [2, 2, 1] : [5]);
    for (const path of ['v3', 'up/v3']) {
      expect(shapeOf(await proxied.server.json(`/${path}/registration-gz-semver2/a/index.json`))).toEqual(theirs);
    }
  });

  it('is written once, and again when the feed says something else', async () => {
    const path = '/v3/registration-gz-semver2/my.package/index.json';
    expect(await server.json(path)).toMatchObject({ items: [{ count: 2 }] });
    server.feed.add(record('My.Package', '3.0.0'));
    expect(await server.json(path)).toMatchObject({ items: [{ count: 3 }] });
  });
});

describe('known vulnerabilities', () => {
  const known = new Map([
    ['My.Package', [{ advisoryUrl: 'https://advisories.test/1', severity: 2, versions: '(, 1.0.0]' }]],
    ['__proto__', [{ advisoryUrl: 'https://up.test/2', severity: 0, versions: '(, )' }]],
  ]);

  it('are one page, which the index names', async () => {
    server.feed.known = known;
    const index = await server.json('/v3/vulnerabilities/index.json');
    expect(index).toEqual([
      {
        '@name': 'all',
        '@id': `${server.url}/v3/vulnerabilities/all.json`,
        '@updated': '2026-01-01T00:00:00.000Z',
        comment: 'The known vulnerabilities of all packages',
      },
    ]);
    const { body } = await server.ask('/nuget/v3/vulnerabilities/all.json');
    expect(JSON.parse(body.toString())).toEqual(
      JSON.parse(
        JSON.stringify({
          'my.package': [{ url: 'https://advisories.test/1', severity: 2, versions: '(, 1.0.0]' }],
        }).replace(
          /\}$/,
          `,"__proto__":[{"url":"${server.url}/v3/details/__proto__","severity":0,"versions":"(, )"}]}`,
        ),
      ),
    );
  });

  it('are none when no source tells any, which clients need not be warned of', async () => {
    expect(await server.json('/v3/vulnerabilities/index.json')).toMatchObject([{ '@name': 'all' }]);
    expect(await server.json('/v3/vulnerabilities/all.json')).toEqual({});
    expect(await status('vulnerabilities/other.json')).toBe(404);
    expect(await status('vulnerabilities')).toBe(404);
  });
});

describe('the page about a package', () => {
  it('says what the feed says, and runs and fetches nothing', async () => {
    server.feed.add(
      record('Evil', '1.0.0', {
        description: '<script>alert("1")</script>',
        authors: ['<b>', '&amp;'],
        owners: ['me'],
        published: '2026-01-02',
        licenseUrl: 'https://license.test/?a&b="',
        projectUrl: 'javascript:alert(1)',
        tags: ["'"],
        deprecation: { reasons: ['Legacy'] },
        vulnerabilities: [{ advisoryUrl: 'https://advisories.test/1', severity: 1 }],
      }),
    );
    const { headers, body } = await server.ask('/nuget/v3/details/Evil/1.0');
    const html = body.toString();
    expect(headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': expect.stringMatching(/^default-src 'none';/),
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
    });
    expect(html).not.toMatch(/<script|<b>|javascript:|&amp;/);
    expect(html).toContain('&#60;script&#62;');
    expect(html).toContain('href="https://license.test/?a&#38;b=%22"'.replace('%22', '&#34;'));
    expect(html).toContain('<dd>Legacy</dd>');
    expect(html).toContain('href="https://advisories.test/1"');
    expect(html).toContain(`href="${server.url}/v3/flatcontainer/evil/1.0.0/evil.1.0.0.nupkg"`);
    expect(html).toContain('<h2 id="contact">');
  });

  it.each([
    ['my.package/2.0.0-beta', 200, 'My.Package 2.0.0-Beta&#43;x'],
    ['my.package/1.0.0', 200, 'not listed'],
    ['my.package', 200, 'My.Package 2.0.0-Beta'],
    ['my.package/3.0.0', 404, ''],
    ['none', 404, ''],
    ['my.package/x', 400, ''],
    ['my.package/1.0.0/more', 404, ''],
    ['', 404, ''],
  ])('%s is answered with %i', async (path, expected, text) => {
    const answer = await server.ask(`/nuget/v3/details/${path}`);
    expect(answer.status).toBe(expected);
    expect(answer.body.toString().replace('+', '&#43;')).toContain(text);
  });

  it('is about an unlisted version where there is no other', async () => {
    server.feed.add(record('Hidden', '1.0.0', { listed: false }));
    expect(await status('details/hidden')).toBe(200);
  });
});

describe('what lies nowhere', () => {
  it.each([
    ['index.json/x'],
    ['search/x'],
    ['autocomplete/x'],
    ['flatcontainer'],
    ['flatcontainer/a/1.0.0'],
    ['package/a'],
    ['package/a/1.0.0/x'],
    ['constructor'],
    ['INDEX.JSON'],
  ])('%s is not found', async (path) => {
    expect(await status(path)).toBe(404);
  });
});
