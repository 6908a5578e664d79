import { join } from 'node:path';
import { Readable } from 'node:stream';
import { DiskFolder } from '@granary/cache/disk';
import { ChaosLayer } from '@granary/cache/testing';
import { HttpClient } from '@granary/http';
import { NuGetError, NuGetVersion, SourceError } from '@granary/nuget';
import { buildPackage } from '@granary/nuget/testing';
import { RecordingTracer } from '@granary/telemetry/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FeedUnavailableError } from '../errors.js';
import type { Kept } from './answers/kept-values.js';
import { FeedUnderTest, identityOf, metadataOf, type OpenOptions, PlayedUpstream } from './testing/feed-under-test.js';
import type { UpstreamFeed } from './upstream-feed.js';
import type { KeptPackage, PackageKeeper } from './upstream-feed-options.js';

const MINUTE = 60_000;
const V1 = NuGetVersion.parse('1.0.0');
const V2 = NuGetVersion.parse('2.0.0');
const DOWN = () => Promise.reject(new SourceError('SOURCE_UNAVAILABLE', 'up', 'it is down'));

let local: FeedUnderTest;
let upstream: PlayedUpstream;
let feed: UpstreamFeed;

/** Machines that tests run on may be busy. */
const eventually = (check: () => unknown) => vi.waitFor(check, { timeout: 20_000, interval: 5 });

beforeEach(async () => {
  local = await FeedUnderTest.start((options) => new HttpClient(options));
  upstream = new PlayedUpstream();
  feed = open();
});
afterEach(async () => {
  await local[Symbol.asyncDispose]();
});

const open = (options: OpenOptions = {}) => local.feed({ upstream, ...options });
const unavailable = (work: Promise<unknown>) => expect(work).rejects.toBeInstanceOf(FeedUnavailableError);
/** An answer that comes when the test says so. */
function later<T>() {
  let answer: (value: T) => void = () => {};
  let fail: (error: unknown) => void = () => {};
  const promise = new Promise<T>((resolve, reject) => {
    answer = resolve;
    fail = reject;
  });
  return { promise, answer, fail };
}

describe('a source that is slow', () => {
  it('is waited for as long as set, and then refreshes behind', async () => {
    feed = open({ staleAfterMs: 300, versionsTtlMs: 5000 });
    upstream.play.listVersions = async () => [V1];
    await feed.versions('a');
    await local.time.advance(5000);
    const slow = later<readonly NuGetVersion[]>();
    upstream.play.listVersions = () => slow.promise;
    const asked = feed.versions('a');
    await local.time.advance(300);
    expect(await asked).toMatchObject({ state: 'stale', value: [{ version: '1.0.0' }] });
    slow.answer([V1, V2]);
    await local.time.advance(0);
    expect(await feed.versions('a')).toMatchObject({ state: 'hit', value: [{}, { version: '2.0.0' }] });
    expect(upstream.asked).toEqual(['listVersions', 'listVersions']);
  });

  it('is asked first again by who comes long after that was noticed', async () => {
    feed = open({ staleAfterMs: 300, versionsTtlMs: 5000 });
    upstream.play.listVersions = async () => [V1];
    await feed.versions('a');
    const late = later<readonly NuGetVersion[]>();
    for (const answer of [() => late.promise, DOWN]) {
      await local.time.advance(5000);
      upstream.play.listVersions = answer;
      const asked = feed.versions('a');
      await local.time.advance(300);
      expect(await asked).toMatchObject({ state: 'stale' });
      late.answer([V1]);
      upstream.play.listVersions = async () => [V1];
      await local.time.advance(30_000);
      expect(await feed.versions('a')).toMatchObject({ state: 'revalidated' });
    }
  });

  it('lets nobody wait again until it has answered soon', async () => {
    upstream.play.listVersions = async () => [V1];
    await feed.versions('a');
    await feed.versions('b');
    await local.time.advance(2 * MINUTE);
    const slow = later<readonly NuGetVersion[]>();
    upstream.play.listVersions = () => slow.promise;
    const asked = feed.versions('a');
    await local.time.advance(1500);
    expect(await asked).toMatchObject({ state: 'stale' });
    slow.answer([V1]);
    await local.time.advance(0);
    expect(feed.status().state).toBe('slow');
    upstream.play.listVersions = async () => [V1];
    expect(await feed.versions('b')).toMatchObject({ state: 'stale' });
    await local.time.advance(0);
    expect(feed.status().state).toBe('up');
    expect(await feed.versions('b')).toMatchObject({ state: 'hit' });
  });

  it('has answers that are as old as the question', async () => {
    upstream.play.listVersions = async () => {
      await local.time.advance(900);
      return [V1];
    };
    const { asOf } = (await feed.versions('a'))!;
    expect(local.time.clock() - asOf).toBe(900);
    await local.time.advance(2 * MINUTE - 901);
    expect(await feed.versions('a')).toMatchObject({ state: 'hit' });
    await local.time.advance(1);
    expect(await feed.versions('a')).toMatchObject({ state: 'revalidated' });
    expect(feed.status().state).toBe('up');
  });
});

describe('answers that were given', () => {
  it('survive a restart, stale and absent ones too', async () => {
    const directory = join(local.packages.folder, 'answers');
    const layersIn = async () => {
      const folder = await DiskFolder.open({ directory, closeWithLayers: true });
      return [local.layer(), folder.layer<Kept>({ namespace: 'up', maxBytes: 1e7, clock: local.time.clock })];
    };
    feed = open({ layers: await layersIn() });
    upstream.play = {
      listVersions: async (id) => (id === 'a' ? [V1] : []),
      listMetadata: async (id) => (id === 'a' ? [metadataOf('A', '1.0.0', { description: 'words' })] : []),
      search: async () => ({ total: 0, results: [] }),
      downloadPackage: async () => undefined,
    };
    await feed.versions('a');
    await feed.records('a');
    expect(await feed.versions('b')).toBeUndefined();
    expect(await feed.package(identityOf('b'))).toBeUndefined();
    await feed.close();
    await feed.close();
    await unavailable(feed.versions('a'));
    upstream.failure = new SourceError('SOURCE_UNAVAILABLE', 'up', 'it is down');
    feed = open({ layers: await layersIn() });
    expect(await feed.versions('a')).toMatchObject({ state: 'hit' });
    await local.time.advance(60 * MINUTE);
    expect(await feed.versions('a')).toMatchObject({ state: 'stale', value: [{ version: '1.0.0' }] });
    expect(await feed.records('a')).toMatchObject({ state: 'stale', value: [{ id: 'A', description: 'words' }] });
    expect(await feed.versions('b')).toBeUndefined();
    expect(await feed.package(identityOf('b'))).toBeUndefined();
    expect(await feed.search('words', {})).toMatchObject({ value: { hits: [{ record: { id: 'A' } }] } });
    expect(await feed.autocomplete('A', {})).toMatchObject({ value: ['A'] });
  });

  it.each([
    ['nothing that was kept here', 'garbage'],
    ['no time', { value: [] }],
    ['no list', { asOf: 1, value: { hello: 'world' } }],
    ['other things in the list', { asOf: 1, value: [17, null] }],
    ['versions without one', { asOf: 1, value: [{ id: 'a' }] }],
    ['records that lack something', { asOf: Date.UTC(2026, 0, 1), value: [{ id: 'a', version: '1.0.0' }] }],
  ])('and make no sense are dropped: %s', async (_, broken) => {
    const lower = local.layer('lower');
    await lower.set('versions/a', broken as Kept);
    await lower.set('records/a', structuredClone(broken) as Kept);
    upstream.play = { listVersions: async () => [V2], listMetadata: async () => [metadataOf('A', '2.0.0')] };
    // Where a list of versions is right, records need more.
    const isList = JSON.stringify(broken).includes('1.0.0');
    feed = open({ layers: [local.layer(), lower] });
    expect((await feed.versions('a'))?.value).toEqual([isList ? { id: 'a', version: '1.0.0' } : { version: '2.0.0' }]);
    expect((await feed.records('a'))?.value).toMatchObject([{ id: 'A', version: '2.0.0' }]);
    expect(await lower.get('records/a')).toMatchObject({ value: [{ id: 'A' }] });
    const offline = open({ layers: [lower], offline: true });
    await lower.set('records/b', broken as Kept);
    await unavailable(offline.records('b'));
  });

  it('and make no sense are not given when the source fails', async () => {
    const lower = local.layer('lower');
    await lower.set('versions/a', 'garbage' as unknown as Kept, { ttlMs: 1, graceMs: 1e9 });
    await local.time.advance(1);
    upstream.play.listVersions = DOWN;
    await unavailable(open({ layers: [lower] }).versions('a'));
  });

  it('can be had while layers fail', async () => {
    const chaos = new ChaosLayer(local.layer('lower'), { random: { seed: 1, rate: 1, faults: [{ kind: 'throws' }] } });
    feed = open({ layers: [local.layer(), chaos] });
    upstream.play = { listVersions: async () => [V1], delete: async () => true };
    expect(await feed.versions('a')).toMatchObject({ state: 'miss' });
    expect(await feed.versions('a')).toMatchObject({ state: 'hit' });
    expect(await feed.delete(identityOf('a'), { apiKey: undefined })).toBe(true);
    feed = open({ layers: [chaos] });
    expect(await feed.versions('a')).toMatchObject({ state: 'miss' });
    expect(await feed.delete(identityOf('a'), { apiKey: undefined })).toBe(true);
  });
});

describe('a change', () => {
  const call = { apiKey: 'key' };

  it('makes nothing of what was asked for before it', async () => {
    const list = later<readonly NuGetVersion[]>();
    const download = later<undefined>();
    upstream.play = {
      listVersions: () => list.promise,
      downloadPackage: () => download.promise,
      delete: async () => true,
    };
    const versions = feed.versions('a');
    const content = feed.package(identityOf('a'));
    await eventually(() => expect(upstream.asked).toEqual(['listVersions', 'downloadPackage']));
    await feed.delete(identityOf('a'), call);
    list.answer([]);
    download.answer(undefined);
    expect(await versions).toBeUndefined();
    expect(await content).toBeUndefined();
    upstream.play.listVersions = async () => [V1];
    expect(await feed.versions('a')).toMatchObject({ state: 'miss' });
    await feed.package(identityOf('a'));
    expect(upstream.asked.filter((what) => what === 'downloadPackage')).toHaveLength(2);
  });

  it('is seen by who asks next, however long it took', async () => {
    upstream.play.listVersions = async () => [V1];
    await feed.versions('a');
    upstream.play.delete = async () => {
      await local.time.advance(5000);
      return true;
    };
    await feed.delete(identityOf('a'), call);
    expect(feed.status().state).toBe('up');
    upstream.play.listVersions = async () => [V2];
    expect(await feed.versions('a')).toMatchObject({ state: 'miss', value: [{ version: '2.0.0' }] });
  });

  it('is seen by who asks next though the source was slow before', async () => {
    upstream.play.listVersions = async () => [V1];
    await feed.versions('a');
    upstream.play.listVersions = async () => {
      await local.time.advance(5000);
      return [V1];
    };
    await feed.versions('b');
    upstream.play.delete = async () => true;
    await feed.delete(identityOf('a'), call);
    expect(feed.status().state).toBe('slow');
    upstream.play.listVersions = async () => [V2];
    expect(await feed.versions('a')).toMatchObject({ state: 'miss', value: [{ version: '2.0.0' }] });
    const slow = later<readonly NuGetVersion[]>();
    upstream.play.listVersions = () => slow.promise;
    await feed.delete(identityOf('a'), call);
    const asked = feed.versions('a');
    await local.time.advance(1000);
    expect(await asked).toMatchObject({ state: 'stale', value: [{ version: '2.0.0' }] });
    slow.answer([]);
  });

  it('is not undone by a question from before it that fails', async () => {
    upstream.play = { listVersions: async () => [V1], delete: async () => true };
    await feed.versions('a');
    await local.time.advance(2 * MINUTE);
    const list = later<readonly NuGetVersion[]>();
    upstream.play.listVersions = () => list.promise;
    const before = feed.versions('a');
    await local.time.advance(0);
    await feed.delete(identityOf('a'), call);
    list.fail(new SourceError('SOURCE_UNAVAILABLE', 'up', 'it is down'));
    await before;
    upstream.play.listVersions = async () => [V1, V2];
    await feed.versions('a');
    await local.time.advance(0);
    expect((await feed.versions('a'))?.value).toHaveLength(2);
  });

  it('that the protocol has no word for is refused', async () => {
    await expect(feed.relist(identityOf('a'), call)).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  });

  it.each([
    ['UNAUTHORIZED', { code: 'FORBIDDEN' }],
    ['FORBIDDEN', { code: 'FORBIDDEN' }],
    ['CONFLICT', { code: 'CONFLICT' }],
    ['SOURCE_UNAVAILABLE', { code: 'FEED_UNAVAILABLE' }],
    ['PROTOCOL', { code: 'FEED_UNAVAILABLE' }],
    ['CLOSED', { code: 'FEED_UNAVAILABLE' }],
  ] as const)('that ends with %s is told so', async (code, told) => {
    upstream.play.delete = () => Promise.reject(new SourceError(code, 'up', 'why'));
    await expect(feed.delete(identityOf('a'), call)).rejects.toMatchObject(told);
  });

  it('ends when its caller goes away', async () => {
    const gone = new AbortController();
    upstream.play.delete = async () => {
      gone.abort(new Error('gone'));
      throw new TypeError('what it ended with');
    };
    await expect(feed.delete(identityOf('a'), { ...call, signal: gone.signal })).rejects.toThrow('gone');
    upstream.play.delete = () => Promise.reject(new TypeError('a bug'));
    await expect(feed.delete(identityOf('a'), call)).rejects.toThrow('a bug');
  });
});

describe('a question', () => {
  it('that fails is not asked again for a moment', async () => {
    upstream.play.listVersions = DOWN;
    await unavailable(feed.versions('a'));
    upstream.play.listVersions = async () => [V1];
    await unavailable(feed.versions('a'));
    await local.time.advance(5000);
    expect(await feed.versions('a')).toMatchObject({ state: 'miss' });
  });

  it('whose fault it is itself says nothing about the source', async () => {
    upstream.play.listVersions = () => Promise.reject(new NuGetError('LIMIT', 'too long'));
    await unavailable(feed.versions('a'));
    expect(feed.status().state).toBe('unknown');
    upstream.play.listVersions = () => Promise.reject('no error at all');
    await expect(feed.versions('b')).rejects.toThrow('up: no error at all');
    expect(feed.status()).toMatchObject({ state: 'down', lastError: 'no error at all' });
  });

  it('that is answered with nothing of use is told to the operator, once a minute', async () => {
    upstream.play.listVersions = () => Promise.reject(new SourceError('FORBIDDEN', 'up', 'not for you'));
    const said = () => local.logs.filter((line) => line.startsWith('warning')).length;
    await unavailable(feed.versions('a'));
    await unavailable(feed.versions('b'));
    expect(said()).toBe(1);
    expect(local.logs.join()).toContain('up gave an answer that is of no use');
    expect(feed.status()).toMatchObject({ state: 'unknown', lastError: expect.stringContaining('not for you') });
    await local.time.advance(MINUTE);
    await unavailable(feed.versions('c'));
    expect(said()).toBe(2);
    upstream.play.listVersions = () => Promise.reject(new SourceError('PROTOCOL', 'up', 'it is no JSON'));
    await unavailable(feed.versions('d'));
    expect(said()).toBe(3);
    // What a client asks wrongly, or may not do, is its own business.
    upstream.play.listVersions = () => Promise.reject(new NuGetError('LIMIT', 'too long'));
    await unavailable(feed.versions('e'));
    upstream.play.delete = () => Promise.reject(new SourceError('UNAUTHORIZED', 'up', 'it wants another key'));
    await expect(feed.delete(identityOf('A', '1.0.0'), { apiKey: 'key' })).rejects.toMatchObject({ code: 'FORBIDDEN' });
    expect(said()).toBe(3);
    expect(feed.status().state).toBe('unknown');
  });

  it('that is answered as it was while the source is gone is no news after the first', async () => {
    upstream.play.listVersions = async () => [V1];
    for (const id of ['a', 'b', 'c']) await feed.versions(id);
    await local.time.advance(2 * MINUTE);
    upstream.play.listVersions = DOWN;
    for (const id of ['a', 'b', 'c']) expect(await feed.versions(id)).toMatchObject({ state: 'stale' });
    await eventually(() => expect(local.logs.filter((line) => line.includes('is answered as it was'))).toHaveLength(4));
    await feed.close();
    const warnings = local.logs.filter((line) => line.startsWith('warning'));
    expect(warnings).toEqual(['warning: up fails; what is known of it is answered as it was']);
  });

  it('that a source is not asked, as it failed before, hides from nobody why it did', async () => {
    upstream.play.listVersions = DOWN;
    await unavailable(feed.versions('a'));
    const { lastError, lastFailureAt } = feed.status();
    await local.time.advance(1000);
    const open = Object.assign(new Error('the circuit is open'), { code: 'CIRCUIT_OPEN', retryAfterMs: 5000 });
    upstream.play.listVersions = () =>
      Promise.reject(new SourceError('SOURCE_UNAVAILABLE', 'up', 'the circuit is open', { cause: open }));
    await unavailable(feed.versions('b'));
    expect(feed.status()).toMatchObject({ state: 'down', lastError, lastFailureAt });
    // As when another source at the same host failed.
    upstream.play.listVersions = async () => [V1];
    await feed.versions('c');
    upstream.play.listVersions = () =>
      Promise.reject(new SourceError('SOURCE_UNAVAILABLE', 'up', 'the circuit is open', { cause: open }));
    await unavailable(feed.versions('d'));
    expect(feed.status()).toMatchObject({ state: 'down', lastError: expect.stringContaining('circuit') });
  });

  it('that a source refuses for who asks makes it one that fails', async () => {
    upstream.play.listVersions = () => Promise.reject(new SourceError('UNAUTHORIZED', 'up', 'it wants credentials'));
    await unavailable(feed.versions('a'));
    await unavailable(feed.versions('b'));
    expect(feed.status()).toMatchObject({ state: 'down', lastError: expect.stringContaining('wants credentials') });
    expect(local.logs.filter((line) => line.startsWith('warning'))).toHaveLength(1);
    upstream.play.listVersions = async () => [V1];
    await feed.versions('c');
    expect(feed.status().state).toBe('up');
  });

  it('waits for who finds out whether the source is there again', async () => {
    const probing = Object.assign(new Error('the circuit is open'), { code: 'CIRCUIT_OPEN', retryAfterMs: 0 });
    const failures = [probing, new SourceError('SOURCE_UNAVAILABLE', 'up', 'why', { cause: probing })];
    upstream.play.listVersions = async () => {
      const failure = failures.pop();
      if (failure !== undefined) throw failure;
      return [V1];
    };
    const versions = feed.versions('a');
    await local.time.advance(500);
    expect(await versions).toMatchObject({ state: 'miss' });
  });

  it('ends with its last caller, wherever it waits', async () => {
    upstream.play.listVersions = () =>
      Promise.reject(new SourceError('SOURCE_UNAVAILABLE', 'up', 'no', { statusCode: 429, retryAfterMs: 5000 }));
    const gone = new AbortController();
    const versions = feed.versions('a', { signal: gone.signal });
    await local.time.advance(0);
    expect(local.time.pending).toBe(2);
    gone.abort(new Error('gone'));
    await expect(versions).rejects.toThrow('gone');
    await local.time.advance(0);
    expect(local.time.pending).toBe(0);
    expect(upstream.asked).toEqual(['listVersions']);
  });

  it('is part of the span of who asks it first', async () => {
    const tracer = new RecordingTracer();
    feed = open({ tracer });
    const seen: unknown[] = [];
    upstream.play.listVersions = async (_, options) => {
      seen.push(options?.span);
      return [V1];
    };
    const span = tracer.startSpan('request');
    await feed.versions('a', { span });
    expect(seen).toHaveLength(1);
    expect(seen[0]).toBeDefined();
  });

  it('is asked for metadata in a span that says of which package, and where', async () => {
    const tracer = new RecordingTracer();
    const provider = upstream.provider.bind(upstream);
    feed = open({ tracer, upstream: { sourceUrl: 'https://feed.test/v3/index.json?key=secret', provider } });
    const seen: unknown[] = [];
    upstream.play.listVersions = async (_, options) => {
      seen.push(options?.span);
      return [V1];
    };
    upstream.play.listMetadata = () => DOWN();
    const span = tracer.startSpan('request');
    await feed.versions('a', { span });
    await feed.versions('a', { span });
    await unavailable(feed.records('b', { span }));
    const [versions, records, ...more] = tracer.named('FetchMetadata');
    const common = { 'source.url': 'https://feed.test/v3/index.json' };
    expect(versions).toMatchObject({ attributes: { ...common, 'package.id': 'a' }, status: 'unset', ended: true });
    expect(records).toMatchObject({ attributes: { ...common, 'package.id': 'b' }, status: 'error', ended: true });
    expect(more).toEqual([]);
    expect(seen).toEqual([versions]);
    expect(versions?.traceId).toBe(span.traceId);
  });

  it('is asked for a package as part of what fetches it, which knows where the source is', async () => {
    const fetches: unknown[] = [];
    const span = new RecordingTracer().startSpan('DownloadPackage');
    const packages: PackageKeeper = {
      find: async () => undefined,
      async fetch(_source, _identity, open, _expected, call) {
        fetches.push(call?.sourceUrl);
        await open(new AbortController().signal, span, undefined);
        return undefined;
      },
    };
    const seen: unknown[] = [];
    upstream.play.downloadPackage = async (_, options) => void seen.push(options?.span);
    const provider = upstream.provider.bind(upstream);
    feed = open({ packages, upstream: { sourceUrl: 'https://feed.test/v3/index.json?key=secret', provider } });
    await feed.package(identityOf('a', '1.0.0'));
    expect(fetches).toEqual(['https://feed.test/v3/index.json']);
    expect(seen).toEqual([span]);
  });

  it('takes the default times and logs to nobody where nothing else is said', async () => {
    feed = local.feed({ upstream, clock: undefined, timers: undefined, logger: undefined });
    let times = 0;
    upstream.play.listVersions = async () => {
      if (times++ > 0) return [V1];
      throw new SourceError('SOURCE_UNAVAILABLE', 'up', 'no', { statusCode: 503 });
    };
    expect(await feed.versions('a')).toMatchObject({ state: 'miss' });
  });
});

describe('searches', () => {
  const found = (id: string, version = '1.0.0') => ({
    ...metadataOf(id, version),
    totalDownloads: 7,
    verified: true,
    packageTypes: ['Dependency'],
    versions: [{ version: NuGetVersion.parse(version) }],
  });

  it('are of the source for a minute, each with its own options', async () => {
    upstream.play.search = async (query) => ({ total: undefined, results: [found(query)] });
    expect((await feed.search('a', { skip: 5 })).value).toMatchObject({ total: 6, hits: [{ totalDownloads: 7 }] });
    for (const options of [{}, { includePrerelease: true }, { semVer2: false }, { packageType: 'x' }, { take: 3 }]) {
      expect(await feed.search('a', options)).toMatchObject({ state: 'miss' });
    }
    expect(await feed.search('a', { includePrerelease: false, skip: 0 })).toMatchObject({ state: 'hit' });
    await local.time.advance(MINUTE);
    expect(await feed.search('a', {})).toMatchObject({ state: 'revalidated' });
  });

  it('that the source can not answer are of what was seen', async () => {
    upstream.play.search = async () => ({ total: 1, results: [found('Found.Package')] });
    upstream.play.listVersions = async () => [V1];
    await feed.search('x', {});
    await feed.versions('listed.package');
    await local.time.advance(1000);
    upstream.play = {};
    expect(await feed.search('package', {})).toMatchObject({
      state: 'stale',
      asOf: local.time.clock() - 1000,
      value: { total: 2, hits: [{ record: { id: 'Found.Package' } }, { record: { id: 'listed.package' } }] },
    });
    expect(await feed.autocomplete('li', {})).toMatchObject({ value: ['listed.package'] });
  });

  it('complete ids where the source only searches', async () => {
    upstream.play.autocomplete = async () => {
      throw new SourceError('UNSUPPORTED', 'up', 'it completes no ids');
    };
    upstream.play.search = async () => ({
      total: 4,
      results: [found('My.B'), found('Not.My'), found('my.A'), found('My.C')],
    });
    expect(await feed.autocomplete('MY', {})).toMatchObject({ state: 'miss', value: ['My.B', 'my.A', 'My.C'] });
    expect(await feed.autocomplete('MY', { skip: 1, take: 1 })).toMatchObject({ value: ['my.A'] });
  });

  it('are never the reason to fail, but for who goes away', async () => {
    upstream.failure = new SourceError('UNAUTHORIZED', 'up', 'who are you?');
    expect((await feed.search('a', {})).value).toEqual({ total: 0, hits: [] });
    const gone = AbortSignal.abort(new Error('gone'));
    await expect(feed.search('a', {}, { signal: gone })).rejects.toThrow('gone');
  });
});

describe('vulnerabilities', () => {
  it('are made once of what is the same', async () => {
    const index = new Map([
      [
        'a',
        [
          {
            advisoryUrl: 'https://x',
            severity: 'high' as const,
            range: (await import('@granary/nuget')).VersionRange.parse('[1.0,2.0)'),
          },
        ],
      ],
    ]);
    upstream.play.vulnerabilities = async () => index;
    const first = await feed.vulnerabilities();
    expect(first?.value.get('a')).toEqual([{ advisoryUrl: 'https://x', severity: 2, versions: '[1.0.0, 2.0.0)' }]);
    await local.time.advance(30 * MINUTE);
    const second = await feed.vulnerabilities();
    expect(second?.state).toBe('revalidated');
    expect(second?.value).toBe(first?.value);
    upstream.play.vulnerabilities = DOWN;
    await local.time.advance(30 * MINUTE);
    expect(await feed.vulnerabilities()).toMatchObject({ state: 'stale' });
  });

  it('are not told by every source', async () => {
    upstream.play.vulnerabilities = async () => undefined;
    expect(await feed.vulnerabilities()).toBeUndefined();
  });
});

describe('packages', () => {
  const bytes = buildPackage({ id: 'A', version: '1.0.0' });
  const stream = () => ({ body: Readable.from([bytes]), length: bytes.length, url: 'http://feed.test/a' });

  it('have their nuspec in them where the source has none apart', async () => {
    upstream.play = {
      getNuspec: () => Promise.reject(new SourceError('UNSUPPORTED', 'up', 'no nuspecs')),
      downloadPackage: async ({ id }) => (id === 'A' ? stream() : undefined),
    };
    const nuspec = await feed.nuspec(identityOf('A'));
    expect(nuspec?.state).toBe('miss');
    expect(String(nuspec?.value)).toContain('<id>A</id>');
    expect(await feed.nuspec(identityOf('A'))).toMatchObject({ state: 'hit' });
    expect(await feed.nuspec(identityOf('b'))).toBeUndefined();
  });

  it('may hold what becomes far longer than they are, since nobody unpacks it here', async () => {
    const zeros = Buffer.alloc(17 * 1024 * 1024);
    const dense = buildPackage({ id: 'A', version: '1.0.0', files: { 'content/zeros.bin': zeros } });
    expect(dense.length).toBeLessThan(zeros.length / 250);
    upstream.play.downloadPackage = async () => ({ ...stream(), body: Readable.from([dense]), length: dense.length });
    const chunks: Buffer[] = [];
    for await (const chunk of (await feed.package(identityOf('A')))?.open() ?? []) chunks.push(chunk);
    expect(Buffer.concat(chunks).equals(dense)).toBe(true);
    expect(String((await feed.nuspec(identityOf('A')))?.value)).toContain('<id>A</id>');
  });

  it('that can not be kept do not seem to have no nuspec', async () => {
    const content = { open: () => Readable.from([bytes]), release: () => {} } as unknown as KeptPackage;
    const packages = { find: async () => undefined, fetch: async () => content };
    feed = new (feed.constructor as typeof UpstreamFeed)({ name: 'up', upstream, packages, layers: [local.layer()] });
    upstream.play.getNuspec = () => Promise.reject(new SourceError('UNSUPPORTED', 'up', 'no nuspecs'));
    await unavailable(feed.nuspec(identityOf('A')));
    Object.assign(content, {
      open: () =>
        new Readable({
          read() {
            this.destroy(new Error('broken off'));
          },
        }),
    });
    await unavailable(feed.nuspec(identityOf('A')));
    await feed.close();
  });

  it('that were missing are asked for again as soon as a list has them, and not missing while their source fails', async () => {
    upstream.play = { downloadPackage: async () => undefined, listVersions: async () => [V1] };
    expect(await feed.package(identityOf('A'))).toBeUndefined();
    await local.time.advance(1);
    await feed.versions('A');
    upstream.play.downloadPackage = DOWN;
    await unavailable(feed.package(identityOf('A')));
    upstream.play.downloadPackage = async () => stream();
    const content = await feed.package(identityOf('A'));
    expect(content?.state).toBe('miss');
    content?.release();
  });

  it('whose nuspec was missing are asked for it again as soon as a list has them', async () => {
    const nuspec = Buffer.from('<package><metadata><id>a</id><version>1.0.0</version></metadata></package>');
    upstream.play = { getNuspec: async () => undefined, listVersions: async () => [] };
    expect(await feed.nuspec(identityOf('a'), {})).toBeUndefined();
    await local.time.advance(1000);
    upstream.play = { getNuspec: DOWN, listVersions: async () => [V1] };
    expect(await feed.nuspec(identityOf('a'), {})).toBeUndefined();
    await feed.versions('a');
    await unavailable(feed.nuspec(identityOf('a'), {}));
    await local.time.advance(5000);
    upstream.play.getNuspec = async () => nuspec;
    expect(await feed.nuspec(identityOf('a'), {})).toMatchObject({ value: nuspec });
  });

  it('that were missing before they came are not missing when they were evicted and their source fails', async () => {
    upstream.play.downloadPackage = async () => undefined;
    expect(await feed.package(identityOf('A'))).toBeUndefined();
    await local.time.advance(MINUTE);
    upstream.play.downloadPackage = DOWN;
    expect(await feed.package(identityOf('A'))).toBeUndefined();
    upstream.play.downloadPackage = async () => stream();
    const content = await feed.package(identityOf('A'));
    for await (const _ of content?.open() ?? []);
    await local.packages.store.remove('up', identityOf('A'));
    upstream.play.downloadPackage = DOWN;
    await unavailable(feed.package(identityOf('A')));
  });

  it('of which one came are not missing for what a list said before, when their source fails', async () => {
    upstream.play = {
      listVersions: async () => [],
      listMetadata: async () => [],
      downloadPackage: async () => stream(),
    };
    expect(await feed.versions('A')).toBeUndefined();
    expect(await feed.records('A')).toBeUndefined();
    (await feed.package(identityOf('A')))?.release();
    upstream.play.downloadPackage = DOWN;
    await unavailable(feed.package(identityOf('A', '2.0.0')));
  });

  it('have keys of a length that caches take, however long their version is', async () => {
    upstream.play.downloadPackage = async () => undefined;
    const identity = identityOf('a', `1.0.0-${'x'.repeat(300)}`);
    expect(await feed.package(identity)).toBeUndefined();
    expect(await feed.package(identity)).toBeUndefined();
    expect(upstream.asked).toEqual(['downloadPackage']);
  });
});
