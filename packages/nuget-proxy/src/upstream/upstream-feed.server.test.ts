import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { HttpClient } from '@granary/http';
import { buildPackage, type FeedRequest, startFeedServer } from '@granary/nuget/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FeedUnavailableError } from '../errors.js';
import type { Answer, ListedVersion } from '../feed/feed-content.js';
import type { PackageRecord } from '../feed/package-record.js';
import { bytesOf } from '../packages/testing/store-under-test.js';
import { FeedUnderTest, identityOf, type MakeClient } from './testing/feed-under-test.js';
import type { UpstreamFeed } from './upstream-feed.js';

const MINUTE = 60_000;
const makeClient: MakeClient = (options) => new HttpClient(options);
const FLAT = /\/flat[^/]*\/.*index\.json/;
const REGISTRATION = /\/registration/;
const PACKAGE = /\.nupkg$/;
const EITHER = /\.nupkg$|\/package\//;
const OLD = buildPackage({ id: 'Some.Package', version: '1.0.0' });
const NEW = buildPackage({ id: 'Some.Package', version: '2.0.0-beta' });

let local: FeedUnderTest;
let feed: UpstreamFeed;

/** Machines that tests run on may be busy. */
const eventually = (check: () => unknown) => vi.waitFor(check, { timeout: 20_000, interval: 5 });

beforeEach(async () => {
  local = await FeedUnderTest.start(makeClient, { packages: [OLD, NEW] });
  feed = local.feed();
});
afterEach(async () => {
  await local[Symbol.asyncDispose]();
});

const texts = (answer: Answer<readonly ListedVersion[]> | undefined) => answer?.value.map(({ version }) => version);
const failure = async (work: Promise<unknown>): Promise<FeedUnavailableError> => {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(FeedUnavailableError);
  return error as FeedUnavailableError;
};
const asked = (match: RegExp) => local.server.requests.all(match).length;
/** Everything that the feed does behind an answer: in many turns of the event loop, since one may take all of the time. */
const settled = async () => {
  for (let turn = 0; turn < 25; turn++) await new Promise((resolve) => setTimeout(resolve, 2));
};

it('does not take a source for down that has nothing where its index says that it searches, or tells of vulnerabilities', async () => {
  local.server.fault(/^\/v3\/(?:search|query|autocomplete|vulnerabilities)/, { kind: 'status', status: 404 });
  expect((await feed.versions('Some.Package'))?.state).toBe('miss');
  expect((await feed.search('some', {})).value.hits).toHaveLength(1);
  expect((await feed.autocomplete('some', {})).value).toEqual(['Some.Package']);
  await failure(feed.vulnerabilities());
  expect(feed.status().state).toBe('up');
  await local.time.advance(3 * MINUTE);
  expect((await feed.versions('Some.Package'))?.state).toBe('revalidated');
});

describe.each(['v3', 'v2'] as const)('an upstream of protocol %s', (protocol) => {
  const open = () =>
    local.feed({
      upstream: local.repository({ sourceUrl: protocol === 'v3' ? local.server.v3Url : local.server.v2Url }),
    });

  it('answers everything that is asked of it', async () => {
    feed = open();
    expect(texts(await feed.versions('some.package'))).toEqual(['1.0.0', '2.0.0-beta']);
    const records = (await feed.records('SOME.package')) as Answer<readonly PackageRecord[]>;
    expect(records.value.map(({ id, version, listed }) => [id, version, listed])).toEqual([
      ['Some.Package', '1.0.0', true],
      ['Some.Package', '2.0.0-beta', true],
    ]);
    // What is kept is plain data, without an address of the source in it.
    expect(JSON.parse(JSON.stringify(records.value))).toEqual(records.value);
    expect(JSON.stringify(records.value)).not.toContain(new URL(local.server.url).host);
    expect((await feed.search('some', {})).value).toMatchObject({
      total: 1,
      hits: [{ record: { id: 'Some.Package' } }],
    });
    expect((await feed.autocomplete('some', {})).value).toEqual(['Some.Package']);
    const content = await feed.package(identityOf('some.package'));
    expect(content && (await bytesOf(content.open())).equals(OLD)).toBe(true);
    const nuspec = await feed.nuspec(identityOf('some.package', '2.0.0-beta'));
    expect(String(nuspec?.value)).toContain('<id>Some.Package</id>');
    const known = await feed.vulnerabilities();
    expect(protocol === 'v2' ? known : known?.value.size).toBe(protocol === 'v2' ? undefined : 0);
    expect(feed.status().state).toBe('up');
  });

  it('says that something is not there only when it is not', async () => {
    feed = open();
    expect(await feed.versions('no.package')).toBeUndefined();
    expect(await feed.records('no.package')).toBeUndefined();
    expect(await feed.package(identityOf('some.package', '9.0.0'))).toBeUndefined();
    expect(await feed.nuspec(identityOf('some.package', '9.0.0'))).toBeUndefined();
    local.server.fault(/./, { kind: 'status', status: 500 });
    await failure(feed.versions('another.package'));
    await failure(feed.records('another.package'));
    await failure(feed.package(identityOf('another.package')));
    await failure(feed.nuspec(identityOf('another.package')));
    // What was known not to exist stays so.
    await local.time.advance(10 * MINUTE);
    expect(await feed.versions('no.package')).toBeUndefined();
    expect(await feed.records('no.package')).toBeUndefined();
    expect(await feed.package(identityOf('some.package', '9.0.0'))).toBeUndefined();
    expect(await feed.nuspec(identityOf('some.package', '9.0.0'))).toBeUndefined();
  });

  it('confirms what has not changed', async () => {
    feed = open();
    const before = await feed.records('some.package');
    await local.time.advance(10 * MINUTE);
    const after = await feed.records('some.package');
    expect(after?.state).toBe('revalidated');
    expect(after?.value).toBe(before?.value);
    expect(after?.asOf).toBe((before?.asOf ?? 0) + 10 * MINUTE);
    await local.time.advance(10 * MINUTE);
    await local.server.packages.add({ id: 'Some.Package', version: '3.0.0' });
    expect(await feed.records('some.package')).toMatchObject({ state: 'miss', value: [{}, {}, { version: '3.0.0' }] });
  });
});

describe('answers', () => {
  it.each([
    ['versions', 2 * MINUTE, FLAT],
    ['records', 10 * MINUTE, REGISTRATION],
  ] as const)('with %s are fresh for %i ms, and then confirmed', async (what, ttlMs, requests) => {
    expect((await feed[what]('some.package'))?.state).toBe('miss');
    await local.time.advance(ttlMs - 1);
    expect((await feed[what]('some.package'))?.state).toBe('hit');
    expect(asked(requests)).toBe(1);
    await local.time.advance(1);
    expect((await feed[what]('some.package'))?.state).toBe('revalidated');
    expect(local.server.requests.all(requests).map(({ status }) => status)).toEqual([200, 304]);
    expect((await feed[what]('some.package'))?.state).toBe('hit');
    expect(asked(requests)).toBe(2);
  });

  it('with records in pages are as good as those in one piece', async () => {
    Object.assign(local.server.settings, { registration: 'paged', registrationPageSize: 1, gzip: true });
    expect(await feed.records('some.package')).toMatchObject({
      value: [{ version: '1.0.0' }, { version: '2.0.0-beta' }],
    });
    await local.time.advance(10 * MINUTE);
    expect(await feed.records('some.package')).toMatchObject({ state: 'revalidated' });
    local.server.fault(/\/registration.*page/, { kind: 'status', status: 500 });
    await local.time.advance(10 * MINUTE);
    expect(await feed.records('some.package')).toMatchObject({ state: 'stale', value: [{}, {}] });
  });

  it('do not cost a look at the service index each time', async () => {
    await feed.versions('some.package');
    await local.time.advance(2 * MINUTE);
    await feed.versions('some.package');
    expect(asked(/\/v3\/index\.json/)).toBe(1);
  });

  it('are stale when the upstream fails, and it is not asked again for a while', async () => {
    await feed.versions('some.package');
    await local.time.advance(2 * MINUTE);
    const stop = local.server.fault(FLAT, { kind: 'status', status: 500 });
    expect(await feed.versions('some.package')).toMatchObject({ state: 'stale' });
    expect(feed.status()).toMatchObject({ state: 'down', lastError: expect.stringContaining('500') });
    const requests = asked(FLAT);
    expect(await feed.versions('some.package')).toMatchObject({ state: 'stale' });
    expect(asked(FLAT)).toBe(requests);
    stop();
    await local.time.advance(5000);
    // It may still be down: who has something doesn't wait to find out.
    expect(await feed.versions('some.package')).toMatchObject({ state: 'stale' });
    await eventually(async () => expect(await feed.versions('some.package')).toMatchObject({ state: 'hit' }));
    expect(feed.status()).toMatchObject({ state: 'up', lastError: undefined });
    expect(local.logs.filter((line) => /^(warn|info)/.test(line) && line.includes('up '))).toHaveLength(2);
  });

  it('that there is nothing are kept for 30 seconds', async () => {
    expect(await feed.versions('late.package')).toBeUndefined();
    expect(await feed.package(identityOf('late.package'))).toBeUndefined();
    await local.server.packages.add({ id: 'Late.Package', version: '1.0.0' });
    await local.time.advance(30_000 - 1);
    expect(await feed.versions('late.package')).toBeUndefined();
    expect(await feed.package(identityOf('late.package'))).toBeUndefined();
    expect(asked(FLAT)).toBe(1);
    expect(asked(PACKAGE)).toBe(1);
    await local.time.advance(1);
    expect(texts(await feed.versions('late.package'))).toEqual(['1.0.0']);
    expect(await feed.package(identityOf('late.package'))).toBeDefined();
  });

  it('are the same for 25 who ask at once, and one request: one of them is a miss', async () => {
    const oneMiss = ['miss', ...Array(24).fill('hit')];
    const all = await Promise.all(Array.from({ length: 25 }, () => feed.versions('some.package')));
    expect(all.map(texts)).toEqual(Array(25).fill(['1.0.0', '2.0.0-beta']));
    expect(all.map((answer) => answer?.state)).toEqual(oneMiss);
    expect(local.server.requests.targets()).toHaveLength(2);
    const records = await Promise.all(Array.from({ length: 25 }, () => feed.records('some.package')));
    expect(new Set(records.map((answer) => answer?.value)).size).toBe(1);
    expect(asked(REGISTRATION)).toBe(1);
    const contents = await Promise.all(Array.from({ length: 25 }, () => feed.package(identityOf('some.package'))));
    expect(contents.map((content) => content?.state).toSorted()).toEqual(oneMiss.toSorted());
    const bytes = await Promise.all(contents.map((content) => bytesOf(content!.open())));
    expect(bytes.every((each) => each.equals(OLD))).toBe(true);
    expect(asked(PACKAGE)).toBe(1);
  });

  it('go to those who still wait when one who asked goes away', async () => {
    local.server.fault(FLAT, { kind: 'delay', ms: 100 });
    const gone = new AbortController();
    const first = feed.versions('some.package', { signal: gone.signal });
    const second = feed.versions('some.package');
    await local.server.waitForRequest(FLAT);
    gone.abort(new Error('gone'));
    await expect(first).rejects.toThrow('gone');
    expect(texts(await second)).toEqual(['1.0.0', '2.0.0-beta']);
    expect(asked(FLAT)).toBe(1);
    await expect(feed.versions('some.package', { signal: gone.signal })).rejects.toThrow('gone');
    await expect(feed.package(identityOf('some.package'), { signal: gone.signal })).rejects.toThrow('gone');
    await expect(feed.nuspec(identityOf('some.package'), { signal: gone.signal })).rejects.toThrow('gone');
  });
});

describe('an upstream that limits', () => {
  it('is left alone for as long as it asks, by all of 50 clients, and none of them notices', async () => {
    for (let i = 0; i < 49; i++) await local.server.packages.add({ id: `Package.${i}`, version: '1.0.0' });
    await feed.versions('some.package');
    local.server.requests.clear();
    let until = 0;
    const early: number[] = [];
    const stop = local.server.fault(
      ({ target }) => {
        if (!FLAT.test(target)) return false;
        if (until === 0) until = local.time.clock() + 7000;
        if (local.time.clock() < until && local.server.requests.length > 50) early.push(local.time.clock());
        return local.time.clock() < until;
      },
      { kind: 'status', status: 429, headers: { 'retry-after': '7' } },
    );
    const clients = Promise.all(Array.from({ length: 49 }, (_, i) => feed.versions(`Package.${i}`)));
    await eventually(() => expect(local.server.requests.all(({ status }) => status === 429)).toHaveLength(49));
    await eventually(() => expect(feed.status().state).toBe('limited'));
    const late = feed.records('some.package');
    await settled();
    await local.time.advance(6999);
    await settled();
    expect(asked(REGISTRATION)).toBe(0);
    expect(asked(FLAT)).toBe(49);
    await local.time.advance(1);
    expect((await clients).map(texts)).toEqual(Array(49).fill(['1.0.0']));
    expect((await late)?.value).toHaveLength(2);
    expect(asked(FLAT)).toBe(98);
    expect(early).toEqual([]);
    stop();
  });

  it('is not asked again before its time when nobody can wait so long, and everybody is told at once', async () => {
    await feed.versions('some.package');
    await local.time.advance(2 * MINUTE);
    local.server.fault(FLAT, { kind: 'status', status: 429, headers: { 'retry-after': '120' } }, { times: 1 });
    const { retryAfterMs } = await failure(feed.versions('new.package'));
    expect(retryAfterMs).toBe(120_000);
    const requests = local.server.requests.length;
    expect(await feed.versions('some.package')).toMatchObject({ state: 'stale' });
    await local.time.advance(60_000);
    expect(await feed.versions('some.package')).toMatchObject({ state: 'stale' });
    expect((await failure(feed.records('some.package'))).retryAfterMs).toBe(60_000);
    expect((await failure(feed.package(identityOf('some.package')))).retryAfterMs).toBe(60_000);
    expect(local.server.requests.length).toBe(requests);
    await local.time.advance(60_000);
    expect(await feed.records('some.package')).toMatchObject({ state: 'miss' });
    expect(feed.status().state).toBe('up');
  });

  it('may say so with 503 and a date, too, and with 429 and nothing', async () => {
    const at = new Date(local.time.clock() + 3000).toUTCString();
    local.server.fault(FLAT, { kind: 'status', status: 503, headers: { 'retry-after': at } }, { times: 1 });
    local.server.fault(REGISTRATION, { kind: 'status', status: 429 }, { times: 2 });
    const versions = feed.versions('some.package');
    await eventually(() => expect(feed.status().state).toBe('limited'));
    await local.time.advance(3000);
    expect(texts(await versions)).toHaveLength(2);
    const records = feed.records('some.package');
    await eventually(() => expect(asked(REGISTRATION)).toBe(1));
    for (const ms of [250, 500]) {
      await eventually(() => expect(feed.status().state).toBe('limited'));
      await local.time.advance(ms);
    }
    expect((await records)?.value).toHaveLength(2);
  });

  it('does not keep clients waiting whose package it limits in the middle of a restore', async () => {
    local.server.fault(PACKAGE, { kind: 'status', status: 429, headers: { 'retry-after': '2' } }, { times: 1 });
    const content = feed.package(identityOf('some.package'));
    await eventually(() => expect(feed.status().state).toBe('limited'));
    await local.time.advance(2000);
    expect((await bytesOf((await content)!.open())).equals(OLD)).toBe(true);
  });
});

describe('short failures', () => {
  it.each([
    ['a status', { kind: 'status', status: 502 }],
    ['a connection that breaks', { kind: 'reset' }],
    ['an answer that breaks off', { kind: 'truncate' }],
  ] as const)('of an upstream are not seen by clients: %s', async (_, fault) => {
    await feed.autocomplete('x', {});
    local.server.fault(FLAT, fault, { times: 2 });
    local.server.fault(REGISTRATION, fault, { times: 2 });
    expect(await feed.versions('some.package')).toMatchObject({ state: 'miss' });
    expect(await feed.records('some.package')).toMatchObject({ state: 'miss' });
  });

  it.each([
    ['v3', 'both', { kind: 'truncate', afterBytes: 300_000 }],
    ['v3', 'none', { kind: 'truncate', afterBytes: 300_000 }],
    ['v3', 'both', { kind: 'reset', afterBytes: 300_000 }],
    ['v3', 'both', { kind: 'reset' }],
    ['v2', 'both', { kind: 'truncate', afterBytes: 300_000 }],
  ] as const)(
    'in the middle of a package are not seen by clients: %s, validators %s, %o',
    async (protocol, validators, fault) => {
      const large = buildPackage({
        id: 'Large',
        version: '1.0.0',
        files: { 'lib/net8.0/L.dll': randomBytes(700_000) },
      });
      local.server.settings.validators = validators;
      await local.server.packages.add(large);
      const from = protocol === 'v3' ? local.server.v3Url : local.server.v2Url;
      feed = local.feed({ upstream: local.repository({ sourceUrl: from }), name: `${protocol} ${validators}` });
      local.server.fault(EITHER, fault, { times: 2 });
      expect((await bytesOf((await feed.package(identityOf('large')))!.open())).equals(large)).toBe(true);
      const requests = local.server.requests.all(EITHER);
      expect(requests).toHaveLength(3);
      if (!('afterBytes' in fault) || fault.kind === 'reset') return;
      const offsets = requests.map(({ headers }) => headers.range);
      expect(offsets).toEqual(
        validators === 'none'
          ? [undefined, undefined, undefined]
          : [undefined, `bytes=${fault.afterBytes}-`, `bytes=${2 * fault.afterBytes}-`],
      );
    },
  );

  it('that hit many requests at once open no circuit', async () => {
    await feed.autocomplete('x', {});
    const tries = new Map<string, number>();
    const isEarly = ({ target }: FeedRequest) => {
      tries.set(target, (tries.get(target) ?? 0) + 1);
      return FLAT.test(target) && Number(tries.get(target)) <= 2;
    };
    local.server.fault(isEarly, { kind: 'status', status: 500 });
    const all = Promise.all(Array.from({ length: 20 }, (_, i) => feed.versions(`Package.${i}`)));
    expect(await all).toEqual(Array(20).fill(undefined));
    expect(asked(FLAT)).toBe(60);
  });

  it('without Retry-After are tried again a few times', async () => {
    local.server.fault(FLAT, { kind: 'status', status: 503 });
    const versions = failure(feed.versions('some.package'));
    for (const [i, ms] of [250, 500, 1000].entries()) {
      await eventually(() =>
        expect(local.server.requests.all(FLAT).filter(({ status }) => status === 503)).toHaveLength(i + 1),
      );
      await eventually(() => expect(local.time.pending).toBe(2));
      await local.time.advance(ms);
    }
    expect((await versions).message).toContain('503');
    expect(asked(FLAT)).toBe(4);
  });
});

describe('an upstream that wants credentials', () => {
  it('is like one that fails, and nobody is told what it wants', async () => {
    await feed.versions('some.package');
    local.server.settings.credentials = { username: 'me', password: 'secret' };
    await local.time.advance(2 * MINUTE);
    expect(await feed.versions('some.package')).toMatchObject({ state: 'stale' });
    const { message } = await failure(feed.records('some.package'));
    expect(message).not.toContain('secret');
  });
});

describe('an upstream that is gone', () => {
  /** Where nobody listens. */
  const dead = async (): Promise<string> => {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, 'close');
    return `http://127.0.0.1:${port}/v3/index.json`;
  };

  it('costs one connection in each of its rests, which grow, not one for each package', async () => {
    const url = await dead();
    const attempts: string[] = [];
    const metrics = { hostFailed: (host: string) => void attempts.push(host) };
    feed = local.feed({ upstream: local.repository({ sourceUrl: url, httpClient: local.client({ metrics }) }) });
    for (let i = 0; i < 20; i++) await failure(feed.versions(`Package.${i}`));
    await Promise.all(Array.from({ length: 20 }, (_, i) => failure(feed.package(identityOf(`Package.${i}`)))));
    expect(attempts).toHaveLength(1);
    for (const [i, restMs] of [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000].entries()) {
      expect((await failure(feed.versions('some.package'))).retryAfterMs).toBe(restMs);
      await local.time.advance(restMs);
      await Promise.all(Array.from({ length: 5 }, (_, n) => failure(feed.package(identityOf(`Package.${n}`)))));
      expect(attempts).toHaveLength(2 + i);
    }
  });

  it('for a second is asked for what was never seen a second later', async () => {
    await feed.autocomplete('x', {});
    const { port } = new URL(local.server.url);
    await local.server.close();
    await failure(feed.versions('some.package'));
    await failure(feed.package(identityOf('some.package')));
    await using back = await startFeedServer({ packages: [OLD], port: Number(port) });
    await failure(feed.versions('some.package'));
    await local.time.advance(1000);
    expect(texts(await feed.versions('some.package'))).toEqual(['1.0.0']);
    expect(await feed.package(identityOf('some.package'))).toMatchObject({ state: 'miss' });
    expect(back.requests.length).toBeGreaterThan(1);
  });

  it('leaves everything that was seen, at once', async () => {
    await feed.versions('some.package');
    await feed.records('some.package');
    await bytesOf((await feed.package(identityOf('some.package')))!.open());
    await feed.search('some', {});
    expect(await feed.versions('no.package')).toBeUndefined();
    await local.server.close();
    await local.time.advance(24 * 60 * MINUTE);
    expect(await feed.versions('some.package')).toMatchObject({ state: 'stale', value: [{}, {}] });
    expect(await feed.records('some.package')).toMatchObject({ state: 'stale', value: [{}, {}] });
    expect(await feed.versions('no.package')).toBeUndefined();
    expect(await feed.search('some', {})).toMatchObject({ state: 'stale', value: { total: 1 } });
    expect((await bytesOf((await feed.package(identityOf('some.package')))!.open())).equals(OLD)).toBe(true);
    expect(String((await feed.nuspec(identityOf('some.package')))?.value)).toContain('<id>Some.Package</id>');
    await failure(feed.versions('never.seen'));
    await failure(feed.package(identityOf('some.package', '2.0.0-beta')));
    await failure(feed.nuspec(identityOf('some.package', '2.0.0-beta')));
  });

  it('has no version of what was known not to exist', async () => {
    expect(await feed.versions('no.package')).toBeUndefined();
    expect(await feed.records('no.records')).toBeUndefined();
    await local.server.close();
    for (const id of ['no.package', 'no.records']) {
      expect(await feed.package(identityOf(id))).toBeUndefined();
      expect(await feed.nuspec(identityOf(id))).toBeUndefined();
    }
  });

  it('does not go on saying that there is none of what its list, or its records, told of since', async () => {
    for (const id of ['Listed.Since', 'Told.Since']) {
      expect(await feed.versions(id)).toBeUndefined();
      expect(await feed.records(id)).toBeUndefined();
      await local.server.packages.add({ id, version: '1.0.0' });
    }
    await local.time.advance(MINUTE);
    await feed.versions('Listed.Since');
    await feed.records('Told.Since');
    await local.server.close();
    await local.time.advance(MINUTE);
    await failure(feed.records('listed.since'));
    expect(await feed.versions('told.since')).toMatchObject({ state: 'stale', value: [{ version: '1.0.0' }] });
  });

  it('answers with its records where only the list of versions was never asked for, and the other way round', async () => {
    await feed.records('some.package');
    expect(await feed.records('no.records')).toBeUndefined();
    expect(await feed.versions('no.versions')).toBeUndefined();
    await local.server.close();
    expect(await feed.versions('some.package')).toMatchObject({
      state: 'stale',
      value: [{ version: '1.0.0' }, { version: '2.0.0-beta' }],
    });
    expect(await feed.versions('no.records')).toBeUndefined();
    expect(await feed.records('no.versions')).toBeUndefined();
    await feed.versions('some.package');
  });

  it('gives 404 for what was never seen where somebody wants it so', async () => {
    feed = local.feed({ deadUpstream: 404 });
    await local.server.close();
    expect(await feed.versions('some.package')).toBeUndefined();
    expect(await feed.records('some.package')).toBeUndefined();
    expect(await feed.package(identityOf('some.package'))).toBeUndefined();
    expect(await feed.nuspec(identityOf('some.package'))).toBeUndefined();
    expect(await feed.vulnerabilities()).toBeUndefined();
  });

  it('is waited for by nobody who has something stale, however long it says nothing', async () => {
    await feed.versions('some.package');
    await local.time.advance(2 * MINUTE);
    const stop = local.server.fault(FLAT, { kind: 'hang' });
    const slow = feed.versions('some.package');
    await local.server.waitForRequest(FLAT, 2);
    await local.time.advance(999);
    const waiting = Symbol();
    expect(await Promise.race([slow, waiting])).toBe(waiting);
    await local.time.advance(1);
    expect(await slow).toMatchObject({ state: 'stale' });
    // From now on nobody waits at all.
    expect(await feed.versions('some.package')).toMatchObject({ state: 'stale' });
    expect(feed.status().state).toBe('slow');
    expect(asked(FLAT)).toBe(2);
    stop();
    await local.time.advance(29_000);
    expect(feed.status().state).toBe('down');
    await local.time.advance(5000);
    expect(await feed.versions('some.package')).toMatchObject({ state: 'stale' });
    await eventually(async () => expect(await feed.versions('some.package')).toMatchObject({ state: 'hit' }));
  });

  it('is waited for by who asks for what was never seen, but not for ever', async () => {
    local.server.fault(FLAT, { kind: 'hang' });
    const never = failure(feed.versions('some.package'));
    await local.server.waitForRequest(FLAT);
    await local.time.advance(30_000);
    await never;
    expect(feed.status().state).toBe('down');
  });

  it('is waited for no longer by who wants a package', async () => {
    local.server.fault(PACKAGE, { kind: 'hang' });
    const never = failure(feed.package(identityOf('some.package')));
    await local.server.waitForRequest(PACKAGE);
    await local.time.advance(30_000);
    await never;
    expect(feed.status().state).toBe('down');
  });

  it('is not asked by who has waited for it already, and gets what is here', async () => {
    const localOnly = { localOnly: true };
    await feed.versions('some.package');
    await bytesOf((await feed.package(identityOf('some.package')))!.open());
    await local.time.advance(60 * MINUTE);
    local.server.requests.clear();
    expect(await feed.versions('some.package', localOnly)).toMatchObject({ state: 'stale', value: [{}, {}] });
    const stored = await feed.package(identityOf('some.package'), localOnly);
    expect((await bytesOf(stored!.open())).equals(OLD)).toBe(true);
    for (const unknown of [
      () => feed.records('some.package', localOnly),
      () => feed.package(identityOf('some.package', '2.0.0-beta'), localOnly),
    ]) {
      expect((await failure(unknown())).message).toContain('said nothing in time');
    }
    expect(local.server.requests.targets()).toEqual([]);
  });

  it('is tried by one request when its time is over, for which all others wait', async () => {
    await feed.autocomplete('x', {});
    const stop = local.server.fault(FLAT, { kind: 'reset' });
    await failure(feed.versions('some.package'));
    await local.time.advance(2000);
    await failure(feed.versions('no.package'));
    expect((await failure(feed.versions('never.seen'))).retryAfterMs).toBe(30_000);
    stop();
    await local.time.advance(30_000);
    local.server.requests.clear();
    local.server.fault(FLAT, { kind: 'delay', ms: 100 }, { times: 1 });
    const all = Promise.all(Array.from({ length: 20 }, (_, i) => feed.versions(`Package.${i}`)));
    // All but the one that tries it wait for their turn, beside the time that everybody has.
    await eventually(() => expect(local.time.pending).toBe(20 + 19));
    await local.server.waitForRequest(FLAT);
    expect(asked(FLAT)).toBe(1);
    await eventually(() => expect(feed.status().state).toBe('up'));
    await local.time.advance(250);
    expect(await all).toEqual(Array(20).fill(undefined));
    expect(asked(FLAT)).toBe(20);
  });
});

describe('offline', () => {
  it('nothing goes out, not even for the service index, and everything that was seen is there', async () => {
    const layers = [local.layer()];
    feed = local.feed({ layers });
    await feed.versions('some.package');
    await feed.records('some.package');
    await feed.search('some', {});
    expect(await feed.versions('no.package')).toBeUndefined();
    expect(await feed.package(identityOf('some.package', '7.0.0'))).toBeUndefined();
    await bytesOf((await feed.package(identityOf('some.package')))!.open());
    await local.time.advance(60 * MINUTE);
    local.server.requests.clear();
    const offline = local.feed({ layers, offline: true });
    expect(await offline.versions('some.package')).toMatchObject({ state: 'stale', value: [{}, {}] });
    expect(await offline.versions('some.package')).toMatchObject({ state: 'stale', value: [{}, {}] });
    expect(await offline.records('some.package')).toMatchObject({ state: 'stale', value: [{}, {}] });
    expect(await offline.search('some', {})).toMatchObject({ value: { total: 1 } });
    expect(await offline.search('other words', {})).toMatchObject({ state: 'stale', value: { total: 0 } });
    expect(await offline.autocomplete('some', {})).toMatchObject({ state: 'stale', value: ['Some.Package'] });
    expect(await offline.versions('no.package')).toBeUndefined();
    expect(await offline.package(identityOf('some.package', '7.0.0'))).toBeUndefined();
    expect((await bytesOf((await offline.package(identityOf('some.package')))!.open())).equals(OLD)).toBe(true);
    expect(String((await offline.nuspec(identityOf('some.package')))?.value)).toContain('Some.Package');
    for (const unknown of [
      () => offline.versions('never.seen'),
      () => offline.records('never.seen'),
      () => offline.package(identityOf('never.seen')),
      () => offline.nuspec(identityOf('never.seen')),
      () => offline.vulnerabilities(),
      () => offline.delete(identityOf('some.package'), { apiKey: 'key' }),
      () => offline.relist(identityOf('some.package'), { apiKey: 'key' }),
    ]) {
      expect((await failure(unknown())).message).toContain('offline');
    }
    expect(offline.status().state).toBe('offline');
    await settled();
    expect(local.server.requests.targets()).toEqual([]);
  });
});

describe('a lying upstream', () => {
  const html = { kind: 'html' } as const;
  const another = buildPackage({ id: 'Other.Package', version: '1.0.0' });

  it.each([
    ['a page to log in', html],
    ['JSON that breaks off', { kind: 'truncate', silent: true }],
    ['something else in JSON', { kind: 'replace', body: '{"hello":"world"}' }],
    ['no JSON at all', { kind: 'replace', body: '\u0000\u0001' }],
    ['nothing', { kind: 'replace', body: '' }],
    ['a list of nothing that makes sense', { kind: 'replace', body: '{"versions":17,"items":17,"data":17}' }],
  ] as const)('gets nothing wrong into the cache: %s', async (_, fault) => {
    local.server.settings.validators = 'none';
    const stop = [FLAT, REGISTRATION].map((match) => local.server.fault(match, fault));
    await failure(feed.versions('some.package'));
    await failure(feed.records('some.package'));
    for (const end of stop) end();
    await local.time.advance(5000);
    expect(texts(await feed.versions('some.package'))).toEqual(['1.0.0', '2.0.0-beta']);
    expect((await feed.records('some.package'))?.value).toHaveLength(2);
    await local.time.advance(10 * MINUTE);
    for (const match of [FLAT, REGISTRATION]) local.server.fault(match, fault);
    expect(await feed.versions('some.package')).toMatchObject({ state: 'stale', value: [{}, {}] });
    expect(await feed.records('some.package')).toMatchObject({ state: 'stale', value: [{}, {}] });
  });

  it('is none at all with a page to log in for its service index, until that is over', async () => {
    const stop = local.server.fault(/./, html);
    await failure(feed.versions('some.package'));
    await failure(feed.package(identityOf('some.package')));
    expect((await feed.search('some', {})).value.total).toBe(0);
    stop();
    await local.time.advance(5000);
    expect(texts(await feed.versions('some.package'))).toHaveLength(2);
    expect(await feed.package(identityOf('some.package'))).toBeDefined();
  });

  it('does not make its packages disappear with the registration of another one', async () => {
    await local.server.packages.add(another);
    await feed.records('other.package');
    const [target] = local.server.requests.targets(REGISTRATION);
    const body = await (await fetch(`${local.server.url}${target}`)).text();
    local.server.fault(REGISTRATION, { kind: 'replace', body, contentType: 'application/json' });
    await failure(feed.records('some.package'));
  });

  it('gives no package of protocol 2 whose hash is another than its list says', async () => {
    feed = local.feed({ upstream: local.repository({ sourceUrl: local.server.v2Url }) });
    const body = buildPackage({ id: 'Some.Package', version: '1.0.0', files: { 'lib/net8.0/evil.dll': 'evil' } });
    const stop = local.server.fault(EITHER, { kind: 'replace', body });
    const error = await failure(feed.package(identityOf('some.package')));
    expect(error.cause).toMatchObject({ code: 'INVALID_PACKAGE', message: expect.stringContaining('SHA512 hash') });
    stop();
    expect((await bytesOf((await feed.package(identityOf('some.package')))!.open())).equals(OLD)).toBe(true);
  });

  it.each([
    ['a page to log in', html],
    ['another package', { kind: 'replace', body: another }],
    ['a package that breaks off', { kind: 'truncate', silent: true }],
  ] as const)('gives no package: %s', async (_, fault) => {
    const stop = local.server.fault(PACKAGE, fault);
    await expect(
      (async () => bytesOf((await feed.package(identityOf('some.package')))!.open()))(),
    ).rejects.toBeInstanceOf(Error);
    expect(await local.packages.store.find('up', identityOf('some.package'))).toBeUndefined();
    stop();
    expect((await bytesOf((await feed.package(identityOf('some.package')))!.open())).equals(OLD)).toBe(true);
  });

  it.each([
    ['a page to log in', html],
    [
      'that of another package',
      { kind: 'replace', body: '<package><metadata><id>Other</id><version>1.0.0</version></metadata></package>' },
    ],
    ['markup', { kind: 'replace', body: '<svg/>' }],
  ] as const)('gives no nuspec: %s', async (_, fault) => {
    local.server.fault(/\.nuspec$/, fault);
    await failure(feed.nuspec(identityOf('some.package')));
  });

  it('may have no nuspecs: those of the packages that it lists are in the packages', async () => {
    local.server.fault(/\.nuspec$/, { kind: 'status', status: 404 });
    const nuspec = await feed.nuspec(identityOf('some.package'));
    expect(String(nuspec?.value)).toContain('<id>Some.Package</id>');
    expect(await feed.nuspec(identityOf('some.package', '9.0.0'))).toBeUndefined();
    expect(asked(PACKAGE)).toBe(1);
  });

  it('can not make this server read without end', async () => {
    await feed.autocomplete('x', {});
    local.server.fault(FLAT, { kind: 'huge', bytes: 17 * 1024 * 1024 });
    const { cause } = await failure(feed.versions('some.package'));
    expect(cause).toMatchObject({ code: 'LIMIT' });
  });
});

describe('what is changed at the source', () => {
  const call = { apiKey: 'key' };

  it('is seen at once by who changed it here', async () => {
    local.server.settings.apiKey = 'key';
    expect(await feed.versions('fresh.package')).toBeUndefined();
    expect(await feed.records('fresh.package')).toBeUndefined();
    expect(await feed.package(identityOf('fresh.package'))).toBeUndefined();
    const { path, size } = await pushedFile(buildPackage({ id: 'Fresh.Package', version: '1.0.0' }));
    await feed.push({ path, size }, call);
    expect(texts(await feed.versions('fresh.package'))).toEqual(['1.0.0']);
    expect((await feed.records('fresh.package'))?.value).toMatchObject([{ listed: true }]);
    expect(await feed.package(identityOf('fresh.package'))).toBeDefined();
    expect(await feed.delete(identityOf('fresh.package'), call)).toBe(true);
    expect((await feed.records('fresh.package'))?.value).toMatchObject([{ listed: false }]);
    expect(await feed.relist(identityOf('fresh.package'), call)).toBe(true);
    expect((await feed.records('fresh.package'))?.value).toMatchObject([{ listed: true }]);
    expect(await feed.delete(identityOf('fresh.package', '9.0.0'), call)).toBe(false);
    await expect(feed.push({ path, size }, call)).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining('Fresh.Package.1.0.0.nupkg'),
      reason: expect.stringMatching(/./),
    });
  });

  it('leaves what was known for when the source goes away just then', async () => {
    await feed.versions('some.package');
    expect(await feed.delete(identityOf('some.package'), call)).toBe(true);
    await local.server.close();
    expect(await feed.versions('some.package')).toMatchObject({ state: 'stale', value: [{}, {}] });
  });

  it('says what the source thinks of it, with the key of this server where it has one', async () => {
    local.server.settings.apiKey = 'key';
    const identity = identityOf('some.package');
    await expect(feed.delete(identity, { apiKey: undefined })).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await expect(feed.delete(identity, { apiKey: 'wrong' })).rejects.toMatchObject({ code: 'FORBIDDEN' });
    const own = local.feed({ apiKey: 'key' });
    expect(await own.delete(identity, { apiKey: 'wrong' })).toBe(true);
    await local.server.close();
    await failure(feed.delete(identity, call));
  });

  it('must be a package', async () => {
    const { path, size } = await pushedFile(Buffer.from('PK no package'));
    await expect(feed.push({ path, size }, call)).rejects.toMatchObject({ code: 'INVALID_PACKAGE' });
    expect(local.server.requests.length).toBe(0);
  });

  async function pushedFile(bytes: Buffer) {
    const path = join(local.packages.folder, 'pushed.nupkg');
    await writeFile(path, bytes);
    return { path, size: bytes.length };
  }
});
