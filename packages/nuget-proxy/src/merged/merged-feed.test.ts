import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HttpClient } from '@granary/http';
import { PackageSourceMapping, type SearchOptions, SourceError } from '@granary/nuget';
import { buildPackage } from '@granary/nuget/testing';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { FeedUnavailableError } from '../errors.js';
import type { PackageContent, Vulnerability } from '../feed/feed-content.js';
import { MemoryFeed, record } from '../http/testing/memory-feed.js';
import { bytesOf } from '../packages/testing/store-under-test.js';
import { FeedUnderTest, identityOf } from '../upstream/testing/feed-under-test.js';
import { MergedFeed } from './merged-feed.js';

const DOWN = new FeedUnavailableError('a', 'it is down', { retryAfterMs: 7000 });

const feedWith = (name: string, ...versions: readonly string[]): MemoryFeed => {
  const feed = new MemoryFeed(name);
  for (const version of versions) feed.add(record('X', version, { title: name }), Buffer.from(`${name} ${version}`));
  return feed;
};
const text = async (content: PackageContent | undefined) => content && String(await bytesOf(content.open()));
const mapped = (...patterns: readonly (readonly [string, readonly string[]])[]) => new PackageSourceMapping(patterns);

describe('several feeds as one', () => {
  it('have the versions of all, each from the first that has it', async () => {
    const a = feedWith('a', '1.0.0', '3.0.0');
    const b = feedWith('b', '1.0.0', '2.0.0');
    const all = new MergedFeed({ sources: [a, b] });
    expect((await all.versions('X'))?.value.map(({ version }) => version)).toEqual(['1.0.0', '2.0.0', '3.0.0']);
    expect((await all.records('x'))?.value.map(({ version, title }) => [version, title])).toEqual([
      ['1.0.0', 'a'],
      ['2.0.0', 'b'],
      ['3.0.0', 'a'],
    ]);
    expect(await text(await all.package(identityOf('X', '1.0.0')))).toBe('a 1.0.0');
    expect(await text(await all.package(identityOf('X', '2.0.0')))).toBe('b 2.0.0');
    expect(await all.package(identityOf('X', '9.0.0'))).toBeUndefined();
    expect(await all.nuspec(identityOf('X', '2.0.0'))).toMatchObject({ value: b.nuspecBytes });
    expect(await all.versions('Y')).toBeUndefined();
    expect(await all.records('Y')).toBeUndefined();
    expect(all.name).toBe('all');
  });

  it('have icons and readmes from where the package comes from, and from nowhere else', async () => {
    const [a, b] = [feedWith('a', '1.0.0'), feedWith('b', '1.0.0', '2.0.0')];
    for (const version of ['1.0.0', '2.0.0']) b.embeddedFiles.set(`x/${version}/readme`, Buffer.from(version));
    const all = new MergedFeed({ sources: [a, b] });
    expect((await all.embedded(identityOf('X', '2.0.0'), 'readme'))?.value).toEqual(Buffer.from('2.0.0'));
    expect(await all.embedded(identityOf('X', '1.0.0'), 'readme')).toBeUndefined();
    a.embeddedFiles.set('x/1.0.0/readme', Buffer.from('a'));
    expect((await all.embedded(identityOf('X', '1.0.0'), 'readme'))?.value).toEqual(Buffer.from('a'));
  });

  it('have pages of a registration where one alone tells of a package', async () => {
    const [a, b] = [feedWith('a', '1.0.0'), feedWith('b')];
    a.add(record('X', '2.0.0', { page: { number: 7, isInlined: false } }));
    const all = new MergedFeed({ sources: [a, b] });
    const pages = async () => (await all.records('X'))?.value.map(({ version, page }) => [version, page?.number]);
    expect(await pages()).toEqual([
      ['1.0.0', undefined],
      ['2.0.0', 7],
    ]);
    b.add(record('X', '3.0.0', { page: { number: 7, isInlined: true } }));
    expect(await pages()).toEqual([
      ['1.0.0', undefined],
      ['2.0.0', undefined],
      ['3.0.0', undefined],
    ]);
  });

  it('are as fresh as the worst of them', async () => {
    const [a, b] = [feedWith('a', '1.0.0'), feedWith('b', '1.0.0')];
    const all = new MergedFeed({ sources: [a, b] });
    b.asOf = a.asOf - 1000;
    for (const [first, second, worst] of [
      ['hit', 'hit', 'hit'],
      ['revalidated', 'hit', 'revalidated'],
      ['miss', 'revalidated', 'miss'],
      ['hit', 'stale', 'stale'],
    ] as const) {
      a.state = first;
      b.state = second;
      expect(await all.versions('X')).toMatchObject({ state: worst, asOf: b.asOf });
    }
  });

  it('are stale where one says so of that it has nothing', async () => {
    const [a, b] = [feedWith('a', '1.0.0'), feedWith('b')];
    const all = new MergedFeed({ sources: [a, b] });
    const heard: string[] = [];
    for (const state of ['hit', 'miss', 'stale'] as const) {
      b.versions = async (_, call) => {
        call?.onNothing?.(state);
        return undefined;
      };
      const asOf = state === 'stale' ? 0 : a.asOf;
      expect(await all.versions('X', { onNothing: (each) => heard.push(each) })).toMatchObject({ state, asOf });
    }
    expect(heard).toEqual(['hit', 'miss', 'stale']);
  });

  it('are merged once as long as what they say is the same', async () => {
    const [a, b] = [feedWith('a', '1.0.0'), feedWith('b', '2.0.0')];
    const all = new MergedFeed({ sources: [a, b] });
    const first = await all.records('X');
    expect((await all.records('X'))?.value).toBe(first?.value);
    b.add(record('X', '3.0.0'));
    expect((await all.records('X'))?.value).toHaveLength(3);
  });

  it('must have different names', () => {
    expect(() => new MergedFeed({ sources: [feedWith('a'), feedWith('A')] })).toThrow(/same name/);
  });

  it('take from no other one what the first that has it refuses, as what it holds back', async () => {
    const [a, b] = [feedWith('a', '1.0.0'), feedWith('b', '1.0.0', '2.0.0')];
    const all = new MergedFeed({ sources: [a, b] });
    const cause = new SourceError('FORBIDDEN', 'a', 'it answered 403', { statusCode: 403 });
    const refuse = () => Promise.reject(new FeedUnavailableError('a', 'it answered 403', { cause }));
    a.package = a.nuspec = a.embedded = refuse;
    const identity = identityOf('X', '1.0.0');
    for (const asked of [all.package(identity), all.nuspec(identity), all.embedded(identity, 'icon')])
      await expect(asked).rejects.toMatchObject({ source: 'a', cause });
    // That is nothing about what it hasn't got: some storage says 403 to that, too.
    expect(await text(await all.package(identityOf('X', '2.0.0')))).toBe('b 2.0.0');
    a.versions = refuse;
    expect(await text(await all.package(identity))).toBe('b 1.0.0');
  });

  it('release what several give of a version that is on no list', async () => {
    const [a, b] = [feedWith('a', '1.0.0'), feedWith('b', '1.0.0')];
    const all = new MergedFeed({ sources: [a, b] });
    a.versions = b.versions = async () => undefined;
    const second = (await b.package(identityOf('X', '1.0.0'))) as PackageContent;
    const release = vi.spyOn(second, 'release');
    b.package = async () => second;
    expect(await text(await all.package(identityOf('X', '1.0.0')))).toBe('a 1.0.0');
    await vi.waitFor(() => expect(release).toHaveBeenCalledOnce());
  });

  it('give a version that is too new for their lists', async () => {
    const a = feedWith('a', '1.0.0');
    const b = feedWith('b');
    b.contents.set('x/5.0.0', Buffer.from('new'));
    const all = new MergedFeed({ sources: [a, b] });
    expect(await text(await all.package(identityOf('X', '5.0.0')))).toBe('new');
  });
});

describe('a mapping', () => {
  it('lets packages come from where they may come from only: others are never asked', async () => {
    const a = feedWith('a', '1.0.0');
    const b = feedWith('b', '2.0.0');
    const all = new MergedFeed({ sources: [a, b], mapping: mapped(['a', ['*']], ['B', ['X', 'Contoso.*']]) });
    expect((await all.versions('X'))?.value).toEqual([{ version: '2.0.0' }]);
    expect((await all.records('x'))?.value).toHaveLength(1);
    expect(await all.package(identityOf('X', '1.0.0'))).toBeUndefined();
    expect(await all.nuspec(identityOf('X', '2.0.0'))).toBeDefined();
    expect(await all.versions('contoso.utility')).toBeUndefined();
    const call = {};
    await all.versions('contoso.other', call);
    expect(a.calls).not.toContain(call);
    a.failure = DOWN;
    expect((await all.versions('X'))?.value).toEqual([{ version: '2.0.0' }]);
    b.failure = DOWN;
    await expect(all.versions('X')).rejects.toBe(DOWN);
  });

  it('that none of its patterns fits has packages come from nowhere', async () => {
    const a = feedWith('a', '1.0.0');
    const all = new MergedFeed({ sources: [a], mapping: mapped(['a', ['Y']]) });
    expect(await all.versions('X')).toBeUndefined();
    expect(await all.package(identityOf('X'))).toBeUndefined();
    expect((await all.search('x', {})).value.hits).toEqual([]);
    expect((await all.autocomplete('x', {})).value).toEqual([]);
  });

  it('hides from searches what may not come from where it was found', async () => {
    const a = feedWith('a', '1.0.0');
    const b = feedWith('b', '2.0.0');
    b.add(record('XY', '1.0.0'));
    const all = new MergedFeed({ sources: [a, b], mapping: mapped(['a', ['X']], ['b', ['XY']]) });
    const { value } = await all.search('x', {});
    expect(value.hits.map(({ record: { id, version } }) => [id, version])).toEqual([
      ['X', '1.0.0'],
      ['XY', '1.0.0'],
    ]);
    expect(value.total).toBe(2);
    expect((await all.autocomplete('x', {})).value).toEqual(['x', 'xy']);
  });
});

describe('when one of several can not tell', () => {
  it.each(['versions', 'records'] as const)(
    'the %s of the others are not given for all there are: clients would take another one, or a stranger of that name',
    async (what) => {
      const a = feedWith('a');
      a.failure = DOWN;
      for (const sources of [
        [a, feedWith('b', '1.0.0')],
        [feedWith('b', '1.0.0'), a],
        [a, feedWith('b')],
      ]) {
        await expect(new MergedFeed({ sources })[what]('X')).rejects.toBe(DOWN);
      }
    },
  );

  it('a version comes from one that has it, and is not there only when all say so', async () => {
    const a = feedWith('a');
    const b = feedWith('b', '1.0.0');
    const all = new MergedFeed({ sources: [a, b] });
    a.failure = new Error('no connection');
    expect(await text(await all.package(identityOf('X', '1.0.0')))).toBe('b 1.0.0');
    expect(await all.nuspec(identityOf('X', '1.0.0'))).toBeDefined();
    const missing = all.package(identityOf('X', '2.0.0'));
    await expect(missing).rejects.toBeInstanceOf(FeedUnavailableError);
    await expect(missing).rejects.toMatchObject({ source: 'a', message: 'a: no connection' });
  });

  it('nobody waits for it who wants what an earlier one has', async () => {
    const a = feedWith('a', '1.0.0');
    const b = feedWith('b', '1.0.0');
    b.waitsFor = new Promise(() => {});
    const all = new MergedFeed({ sources: [a, b] });
    expect(await text(await all.package(identityOf('X', '1.0.0')))).toBe('a 1.0.0');
  });

  it('and says nothing at all, who wants a package waits for it once, however many are silent', async () => {
    const content = buildPackage({ id: 'X', version: '1.0.0' });
    const local = await FeedUnderTest.start((options) => new HttpClient(options), { packages: [content] });
    onTestFinished(() => local[Symbol.asyncDispose]());
    const seen = local.feed({ name: 'b' });
    const all = new MergedFeed({ sources: [local.feed({ name: 'a' }), seen, local.feed({ name: 'c' })] });
    await bytesOf(((await seen.package(identityOf('X'))) as PackageContent).open());
    local.server.requests.clear();
    local.server.fault('/', { kind: 'hang' });
    const here = all.package(identityOf('X'));
    const nowhere = all.package(identityOf('Y')).catch((error: unknown) => error);
    // The second one knows the index of its source, and asks for two lists.
    await local.server.waitForRequest('/', 4);
    await local.time.advance(30_000);
    expect((await bytesOf(((await here) as PackageContent).open())).equals(content)).toBe(true);
    expect(await nowhere).toMatchObject({ source: 'a', message: expect.stringContaining('in time') });
  });

  it('and says nothing of a version that is on no list, who wants it waits once, however many are silent', async () => {
    const local = await FeedUnderTest.start((options) => new HttpClient(options), {
      packages: [buildPackage({ id: 'X', version: '1.0.0' })],
    });
    onTestFinished(() => local[Symbol.asyncDispose]());
    const sources = ['a', 'b', 'c'].map((name) => local.feed({ name }));
    const all = new MergedFeed({ sources });
    await all.versions('X');
    local.server.requests.clear();
    local.server.fault('/', { kind: 'hang' });
    const missing = all.package(identityOf('X', '2.0.0')).catch((error: unknown) => error);
    await local.server.waitForRequest('/', 3);
    await local.time.advance(30_000);
    expect(await missing).toMatchObject({ source: 'a', message: expect.stringContaining('no answer within') });
  });

  it('has nothing to say about packages of the server itself: their versions are served, as stale', async () => {
    const [gone, ours, other] = [feedWith('a'), feedWith('own', '1.0.0'), feedWith('b', '2.0.0')];
    ours.isOwn = true;
    gone.failure = DOWN;
    for (const sources of [
      [ours, gone, other],
      [gone, other, ours],
    ]) {
      const all = new MergedFeed({ sources });
      const versions = [{ version: '1.0.0' }, { version: '2.0.0' }];
      expect(await all.versions('X')).toEqual({ value: versions, state: 'stale', asOf: ours.asOf });
      expect((await all.records('X'))?.value.map(({ version }) => version)).toEqual(['1.0.0', '2.0.0']);
      expect(await text(await all.package(identityOf('X', '1.0.0')))).toBe('own 1.0.0');
      // That the server has none of them says nothing about the source.
      await expect(all.versions('Y')).rejects.toBe(DOWN);
    }
    gone.failure = undefined;
    expect(await new MergedFeed({ sources: [ours, gone] }).versions('X')).toMatchObject({ state: 'hit' });
  });

  it('searches and vulnerabilities are what the others know', async () => {
    const a = feedWith('a', '1.0.0');
    const b = feedWith('b', '2.0.0');
    b.known = new Map([['x', [{ advisoryUrl: 'u', severity: 1, versions: '[1.0.0]' }]]]);
    a.failure = DOWN;
    const all = new MergedFeed({ sources: [a, b] });
    expect(await all.search('x', {})).toMatchObject({ state: 'stale', value: { total: 1 } });
    expect(await all.autocomplete('x', {})).toMatchObject({ state: 'stale', value: ['x'] });
    expect(await all.vulnerabilities()).toMatchObject({ state: 'stale', value: b.known });
    b.failure = DOWN;
    await expect(all.search('x', {})).rejects.toBe(DOWN);
    await expect(all.vulnerabilities()).rejects.toBe(DOWN);
  });

  it('who goes away is not told of it', async () => {
    const a = feedWith('a', '1.0.0');
    const all = new MergedFeed({ sources: [a, feedWith('b', '1.0.0')] });
    a.failure = undefined;
    const gone = new AbortController();
    const call = { signal: gone.signal };
    gone.abort(new Error('gone'));
    a.failure = gone.signal.reason;
    await expect(all.versions('X', call)).rejects.toThrow('gone');
    await expect(all.package(identityOf('X'), call)).rejects.toThrow('gone');
    await expect(all.package(identityOf('Z', '1.0.0'), call)).rejects.toThrow('gone');
  });

  it('which throws nothing at all, that is a failure, too', async () => {
    const a = feedWith('a');
    vi.spyOn(a, 'versions').mockRejectedValue(undefined);
    await expect(new MergedFeed({ sources: [a] }).versions('X')).rejects.toThrow('a: it failed');
  });
});

describe('a source without a service', () => {
  const WITHOUT = new SourceError('UNSUPPORTED', 'a', "it doesn't offer metadata of packages");
  const unoffered = (name = 'a') => {
    const feed = feedWith(name);
    feed.failure = new FeedUnavailableError('a', "it doesn't offer this", { cause: WITHOUT });
    return feed;
  };

  it('is left out of what the others say, as clients leave it out', async () => {
    for (const sources of [
      [unoffered(), feedWith('b', '1.0.0')],
      [feedWith('b', '1.0.0'), unoffered()],
    ]) {
      const all = new MergedFeed({ sources });
      expect(await all.versions('X')).toMatchObject({ value: [{ version: '1.0.0' }], state: 'hit' });
      expect(await all.records('X')).toMatchObject({ value: [{ version: '1.0.0' }], state: 'hit' });
      expect(await all.search('x', {})).toMatchObject({ state: 'hit', value: { total: 1 } });
      expect(await text(await all.package(identityOf('X', '1.0.0')))).toBe('b 1.0.0');
      expect(await all.records('Y')).toBeUndefined();
      expect(await all.package(identityOf('Y'))).toBeUndefined();
      expect(await all.nuspec(identityOf('Y'))).toBeUndefined();
    }
  });

  it('is what they say when none of them has it', async () => {
    const all = new MergedFeed({ sources: [unoffered('a'), unoffered('b')] });
    for (const asked of [all.versions('X'), all.records('X'), all.search('x', {}), all.package(identityOf('X'))]) {
      await expect(asked).rejects.toMatchObject({ cause: WITHOUT });
    }
  });

  it('does not hide that another one can not tell', async () => {
    const down = feedWith('b');
    down.failure = DOWN;
    for (const sources of [
      [unoffered(), down, feedWith('c', '1.0.0')],
      [down, unoffered(), feedWith('c', '1.0.0')],
    ]) {
      const all = new MergedFeed({ sources });
      await expect(all.records('X')).rejects.toBe(DOWN);
      await expect(all.package(identityOf('Y'))).rejects.toBe(DOWN);
    }
  });

  it('is another thing than one that refused to answer', async () => {
    const refusing = feedWith('a');
    refusing.failure = new SourceError('UNSUPPORTED', 'a', 'it answered 405', { statusCode: 405 });
    const all = new MergedFeed({ sources: [refusing, feedWith('b', '1.0.0')] });
    await expect(all.versions('X')).rejects.toBeInstanceOf(FeedUnavailableError);
  });

  it('says so of itself by status 501, as another Granary does', async () => {
    const asked = unoffered();
    const answered = new SourceError('UNSUPPORTED', 'a', 'it answered 501', { statusCode: 501 });
    asked.failure = new FeedUnavailableError('a', 'it answered 501', { cause: answered });
    const all = new MergedFeed({ sources: [asked, feedWith('b', '1.0.0')] });
    expect(await all.records('X')).toMatchObject({ value: [{ version: '1.0.0' }], state: 'hit' });
  });

  it('has its packages served, though no registration', async () => {
    const start = async (id: string, withoutResources?: RegExp) =>
      FeedUnderTest.start((options) => new HttpClient(options), {
        packages: [{ id, version: '1.0.0' }],
        withoutResources,
      });
    await using bare = await start('X', /^RegistrationsBaseUrl/);
    await using full = await start('Y');
    const all = new MergedFeed({ sources: [bare.feed({ name: 'bare' }), full.feed({ name: 'full' })] });
    expect((await all.records('Y'))?.value).toMatchObject([{ id: 'Y', version: '1.0.0' }]);
    expect(await all.records('X')).toBeUndefined();
    expect((await all.versions('X'))?.value).toEqual([{ version: '1.0.0' }]);
    const content = await all.package(identityOf('X'));
    expect((await bytesOf((content as PackageContent).open())).length).toBeGreaterThan(0);
  });
});

describe('searches of several', () => {
  const hit = (id: string, version: string, downloads = 0) => ({
    record: record(id, version),
    versions: [{ version, downloads }],
    totalDownloads: downloads,
    verified: id === 'A1',
  });
  const finding = (name: string, total: number, ...hits: readonly ReturnType<typeof hit>[]) => {
    const feed = new MemoryFeed(name);
    feed.search = async (query: string, options: SearchOptions) => {
      feed.searches.push({ query, options });
      return { value: { total, hits: hits.slice(0, options.take) }, state: 'hit', asOf: 1 };
    };
    return feed;
  };

  it('show the best of each first, and each package once, with the versions of all', async () => {
    const a = finding('a', 3, hit('A1', '1.0.0', 5), hit('Both', '1.0.0', 7), hit('A3', '1.0.0'));
    const b = finding('b', 12, hit('B1', '1.0.0'), hit('both', '2.0.0', 3));
    const all = new MergedFeed({ sources: [a, b] });
    const { value } = await all.search('q', { take: 4 });
    expect(value.hits.map(({ record: { id } }) => id)).toEqual(['A1', 'B1', 'both', 'A3']);
    expect(value.hits[2]).toMatchObject({
      versions: [
        { version: '1.0.0', downloads: 7 },
        { version: '2.0.0', downloads: 3 },
      ],
      totalDownloads: 7,
    });
    // One of those that were counted twice was seen.
    expect(value.total).toBe(14);
    const page = await all.search('q', { skip: 1, take: 2 });
    expect(page.value.hits.map(({ record: { id } }) => id)).toEqual(['B1', 'both']);
    expect(a.searches.at(-1)).toEqual({ query: 'q', options: { skip: 0, take: 3 } });
    await all.search('q', { skip: 5000, take: 100, semVer2: false });
    expect(a.searches.at(-1)?.options).toEqual({ skip: 0, take: 1000, semVer2: false });
  });

  it("show the first source's record where its version is the newest", async () => {
    const all = new MergedFeed({
      sources: [finding('a', 1, hit('Both', '2.0.0')), finding('b', 1, hit('Both', '1.0.0'))],
    });
    expect((await all.search('q', {})).value.hits).toMatchObject([{ record: { version: '2.0.0' } }]);
  });

  it('hide what is unlisted where it comes from, and show what comes from a source before that', async () => {
    const ours = new MemoryFeed('ours');
    const unlisted = new Set(['1.1.0', '2.0.0']);
    ours.isUnlisted = (id, version) => id.toLowerCase() === 'both' && unlisted.has(`${version}`);
    const several = hit('Both', '2.0.0');
    several.versions = ['1.0.0', '1.1.0', '2.0.0+meta'].map((version) => ({ version, downloads: 0 }));
    const a = finding('a', 2, several, hit('Other', '2.0.0'));
    const shown = async (sources: MemoryFeed[], mapping?: PackageSourceMapping) => {
      const { value } = await new MergedFeed({ sources, mapping }).search('q', {});
      return value.hits.map(({ record: { version, listed }, versions }) => [version, listed, versions.length]);
    };
    expect(await shown([ours, a])).toEqual([
      ['2.0.0', false, 1],
      ['2.0.0', true, 1],
    ]);
    const all = [
      ['2.0.0', true, 3],
      ['2.0.0', true, 1],
    ];
    expect(await shown([a, ours])).toEqual(all);
    expect(await shown([ours, a], mapped(['a', ['*']], ['ours', ['Ours.*']]))).toEqual(all);
  });

  it('of one alone are its own, page by page', async () => {
    const a = finding('a', 100, hit('A1', '1.0.0'));
    const all = new MergedFeed({ sources: [a] });
    await all.search('q', { skip: 90, take: 10 });
    expect(a.searches).toEqual([{ query: 'q', options: { skip: 90, take: 10 } }]);
    await all.autocomplete('q', { skip: 90, take: 10 });
    expect(a.searches.at(-1)).toEqual({ query: 'q', options: { skip: 90, take: 10 } });
  });

  const mapping = mapped(['a', ['*']], ['b', ['*']], ['ours', ['Ours.*']]);

  it('go on behind what may not come from a source, so that each package is on one page', async () => {
    const strangers = Array.from({ length: 30 }, (_, i) => hit(`Ours.${i}`, '1.0.0'));
    const a = finding('a', 33, ...strangers, hit('A1', '1.0.0'), hit('A2', '1.0.0'), hit('A3', '1.0.0'));
    const b = finding('b', 5, ...[1, 2, 3, 4, 5].map((i) => hit(`B${i}`, '1.0.0')));
    const all = new MergedFeed({ sources: [a, b, new MemoryFeed('ours')], mapping });
    const page = async (skip: number) => {
      const { hits } = (await all.search('q', { skip, take: 2 })).value;
      return hits.map(({ record: { id } }) => id);
    };
    expect([await page(0), await page(2), await page(4), await page(6)]).toEqual([
      ['A1', 'B1'],
      ['A2', 'B2'],
      ['A3', 'B3'],
      ['B4', 'B5'],
    ]);
    expect((await all.search('q', { take: 1000 })).value.total).toBe(8);
    expect(b.searches.map(({ options }) => options.take)).toEqual([2, 4, 6, 8, 1000]);
  });

  it('ask a source for no more than it gives, or than a page may have', async () => {
    const strangers = Array.from({ length: 1200 }, (_, i) => hit(`Ours.${i}`, '1.0.0'));
    const [a, b] = [finding('a', 1200, ...strangers), finding('b', 1200, ...strangers.slice(0, 30))];
    const all = new MergedFeed({ sources: [a, b, new MemoryFeed('ours')], mapping });
    expect((await all.search('q', {})).value.hits).toEqual([]);
    expect(a.searches.map(({ options }) => options.take)).toEqual([20, 80, 320, 1000]);
    expect(b.searches.map(({ options }) => options.take)).toEqual([20, 80, 320]);
  });

  it('of ids go on behind what may not come from a source', async () => {
    const a = new MemoryFeed('a');
    const ids = [...Array.from({ length: 30 }, (_, i) => `ours.${i}`), 'o1', 'o2', 'o3'];
    a.autocomplete = async (_, { take }) => ({ value: ids.slice(0, take), state: 'hit', asOf: 1 });
    const all = new MergedFeed({ sources: [a, new MemoryFeed('ours')], mapping });
    expect((await all.autocomplete('o', { skip: 1, take: 2 })).value).toEqual(['o2', 'o3']);
  });

  it('of ids have each once', async () => {
    const [a, b] = [feedWith('a', '1.0.0'), feedWith('b', '1.0.0')];
    a.autocomplete = async () => ({ value: ['Xa', 'X', 'Xc'], state: 'hit', asOf: 1 });
    b.autocomplete = async () => ({ value: ['x', 'Xb'], state: 'hit', asOf: 1 });
    const all = new MergedFeed({ sources: [a, b] });
    expect((await all.autocomplete('x', {})).value).toEqual(['Xa', 'x', 'Xb', 'Xc']);
    expect((await all.autocomplete('x', { skip: 1, take: 2 })).value).toEqual(['x', 'Xb']);
  });

  it('of no feed find nothing', async () => {
    const none = new MergedFeed({ sources: [] });
    expect((await none.search('q', {})).value).toEqual({ total: 0, hits: [] });
    expect((await none.autocomplete('q', {})).value).toEqual([]);
    expect(await none.versions('X')).toBeUndefined();
    expect(await none.package(identityOf('X'))).toBeUndefined();
    expect(await none.vulnerabilities()).toBeUndefined();
  });
});

describe('vulnerabilities of several', () => {
  const known = (url: string, versions: string): Vulnerability => ({ advisoryUrl: url, severity: 3, versions });

  it('are those of all, each once', async () => {
    const [a, b, c] = [new MemoryFeed('a'), new MemoryFeed('b'), new MemoryFeed('c')];
    a.known = new Map([['x', [known('u', '[1.0.0]')]]]);
    b.known = new Map([
      ['x', [known('u', '[1.0.0]'), known('u', '[2.0.0]')]],
      ['y', [known('v', '(, )')]],
    ]);
    const all = new MergedFeed({ sources: [a, b, c] });
    const first = await all.vulnerabilities();
    expect(first?.value).toEqual(
      new Map([
        ['x', [known('u', '[1.0.0]'), known('u', '[2.0.0]')]],
        ['y', [known('v', '(, )')]],
      ]),
    );
    expect((await all.vulnerabilities())?.value).toBe(first?.value);
    expect((await new MergedFeed({ sources: [a] }).vulnerabilities())?.value).toBe(a.known);
  });

  it('are as new as the newest of them, so that clients who have older ones ask again', async () => {
    const [a, b, c] = [new MemoryFeed('a'), new MemoryFeed('b'), new MemoryFeed('c')];
    a.vulnerabilities = async () => ({ value: new Map([['x', [known('u', '(, )')]]]), state: 'stale', asOf: 1000 });
    b.vulnerabilities = async () => ({ value: new Map([['y', [known('v', '(, )')]]]), state: 'miss', asOf: 9000 });
    const all = new MergedFeed({ sources: [a, b, c] });
    expect(await all.vulnerabilities()).toMatchObject({ state: 'stale', asOf: 9000 });
  });
});

describe('changes', () => {
  it('go to the feed that takes them, and to no other', async () => {
    const [a, b] = [feedWith('a', '1.0.0'), feedWith('b', '1.0.0')];
    const all = new MergedFeed({ sources: [a, b], pushTo: b });
    const push = vi.spyOn(b, 'push').mockResolvedValue();
    const pkg = { path: '/tmp/x.nupkg', size: 1 };
    await all.push(pkg, { apiKey: 'key' });
    expect(push).toHaveBeenCalledWith(pkg, { apiKey: 'key' });
    expect(await all.delete(identityOf('X'), { apiKey: 'key' })).toBe(true);
    expect(await all.relist(identityOf('X'), { apiKey: 'key' })).toBe(true);
    expect(b.changes).toEqual(['delete x/1.0.0 key', 'relist x/1.0.0 key']);
    expect(a.changes).toEqual([]);
  });

  it('are refused for packages that nobody would find here afterwards', async () => {
    const [a, b] = [feedWith('a', '1.0.0'), feedWith('b', '1.0.0')];
    const all = new MergedFeed({ sources: [a, b], pushTo: b, mapping: mapped(['a', ['X']], ['b', ['*']]) });
    const push = vi.spyOn(b, 'push').mockResolvedValue();
    const folder = await mkdtemp(join(tmpdir(), 'nuget-pushed-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const pkg = async (id: string) => {
      const content = buildPackage({ id, version: '1.0.0' });
      const path = join(folder, id);
      await writeFile(path, content);
      return { path, size: content.length };
    };
    const call = { apiKey: 'key' };
    await expect(all.push(await pkg('x'), call)).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await expect(all.delete(identityOf('X'), call)).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await expect(all.relist(identityOf('X'), call)).rejects.toMatchObject({ code: 'FORBIDDEN' });
    expect([push.mock.calls.length, b.changes]).toEqual([0, []]);
    await all.push(await pkg('Y'), call);
    expect(push).toHaveBeenCalledOnce();
  });

  it('are refused where none takes them', async () => {
    const all = new MergedFeed({ sources: [feedWith('a', '1.0.0')] });
    const call = { apiKey: 'key' };
    for (const change of [
      all.push({ path: '/tmp/x.nupkg', size: 1 }, call),
      all.delete(identityOf('X'), call),
      all.relist(identityOf('X'), call),
    ]) {
      await expect(change).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    }
  });
});

describe('closing', () => {
  it('closes every source once, though one fails', async () => {
    const [a, b] = [feedWith('a'), feedWith('b')];
    const closed = [
      vi.spyOn(a, 'close').mockRejectedValue(new Error('it was busy')),
      vi.spyOn(b, 'close').mockResolvedValue(),
    ];
    const all = new MergedFeed({ sources: [a, b] });
    await expect(all.close()).rejects.toThrow('it was busy');
    await expect(all.close()).rejects.toThrow('it was busy');
    for (const close of closed) expect(close).toHaveBeenCalledTimes(1);
    await new MergedFeed({ sources: [b] }).close();
  });
});
