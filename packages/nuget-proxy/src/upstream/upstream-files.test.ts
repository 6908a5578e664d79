import { Readable } from 'node:stream';
import { HttpClient } from '@granary/http';
import { SourceError } from '@granary/nuget';
import { buildPackage } from '@granary/nuget/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FeedUnavailableError } from '../errors.js';
import { FeedUnderTest, identityOf, metadataOf, PlayedUpstream } from './testing/feed-under-test.js';
import type { UpstreamFeed } from './upstream-feed.js';

const PNG = Buffer.from('\x89PNG\r\n\x1a\n, and more', 'latin1');
const OWN = 'https://feed.test/v3/flat/a/1.0.0/icon';
const A = identityOf('A');
const DAY = 24 * 60 * 60_000;

let local: FeedUnderTest;
let upstream: PlayedUpstream;
let feed: UpstreamFeed;

beforeEach(async () => {
  local = await FeedUnderTest.start((options) => new HttpClient(options));
  upstream = new PlayedUpstream();
  feed = local.feed({ upstream });
  upstream.play.addresses = async () => ['https://feed.test/v3/flat/'];
});
afterEach(() => local[Symbol.asyncDispose]());

/** A source whose metadata has the icon at a URL, and which gives something there. */
function playIcon(iconUrl: string | undefined, bytes: Buffer | undefined = PNG): void {
  upstream.play.getMetadata = async () => metadataOf('A', '1.0.0', { iconUrl });
  upstream.play.getFile = async (url) => (url === OWN ? bytes : undefined);
}

/** A source that has the package, too. */
function playPackage(init: Partial<Parameters<typeof buildPackage>[0]>): void {
  const bytes = buildPackage({ id: 'A', version: '1.0.0', ...init });
  upstream.play.downloadPackage = async () => ({ body: Readable.from([bytes]), length: bytes.length, url: OWN });
}

async function download(): Promise<void> {
  for await (const _ of (await feed.package(A))?.open() ?? []);
}

describe('an icon', () => {
  it('comes from where the source has it, and is kept for a day', async () => {
    playIcon(OWN);
    expect(await feed.embedded(A, 'icon')).toMatchObject({ value: PNG, state: 'miss' });
    upstream.asked.length = 0;
    expect(await feed.embedded(A, 'icon')).toMatchObject({ value: PNG, state: 'hit' });
    expect(upstream.asked).toEqual([]);
    await local.time.advance(DAY);
    expect(await feed.embedded(A, 'icon')).toMatchObject({ value: PNG, state: 'revalidated' });
  });

  it.each([['https://authors.test/icon.png'], [undefined]])(
    'is not fetched from where an author says (%s)',
    async (iconUrl) => {
      playIcon(iconUrl);
      expect(await feed.embedded(A, 'icon')).toBeUndefined();
      expect(upstream.asked).not.toContain('getFile');
    },
  );

  it('is none when the source gives a web page in its place', async () => {
    playIcon(OWN, Buffer.from('<!DOCTYPE html><title>Sign in</title>'));
    await expect(feed.embedded(A, 'icon')).rejects.toBeInstanceOf(FeedUnavailableError);
  });

  it.each([
    ['of a type that may have scripts in it', async () => Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>')],
    ['of no type that is known', async () => Buffer.from('BM....')],
    [
      'that is too long',
      async () => {
        throw new SourceError('LIMIT', 'up', 'a response body of over 1048576 bytes');
      },
    ],
  ])('%s is none, and no fault of the source', async (_, getFile) => {
    playIcon(OWN);
    upstream.play.getFile = getFile;
    expect(await feed.embedded(A, 'icon')).toBeUndefined();
    expect(local.logs.filter((line) => line.startsWith('warning'))).toEqual([]);
  });

  it('comes from the package as soon as that is here', async () => {
    playPackage({ metadata: { icon: 'icon.png' }, files: { 'icon.png': PNG } });
    await download();
    upstream.asked.length = 0;
    expect(await feed.embedded(A, 'icon')).toMatchObject({ value: PNG, state: 'hit' });
    expect(upstream.asked).toEqual([]);
  });

  it('may lie beside a package that has none in it', async () => {
    playPackage({});
    await download();
    playIcon(OWN);
    expect(await feed.embedded(A, 'icon')).toMatchObject({ value: PNG, state: 'miss' });
  });

  it('is the source’s own where records say no URL', async () => {
    upstream.play.listMetadata = async () => [
      metadataOf('A', '1.0.0', { iconUrl: OWN }),
      metadataOf('A', '2.0.0', { iconUrl: 'https://authors.test/icon.png' }),
      metadataOf('A', '3.0.0'),
    ];
    const records = await feed.records('A');
    expect(records?.value.map(({ iconUrl }) => iconUrl)).toEqual(['', 'https://authors.test/icon.png', undefined]);
  });
});

describe('a readme', () => {
  it('comes from the source alone where that has it beside the package', async () => {
    upstream.play.getReadme = async () => Buffer.from('# A');
    expect(String((await feed.embedded(A, 'readme'))?.value)).toBe('# A');
    expect(upstream.asked).toEqual(['getReadme']);
  });

  it('comes from the package where the source has it nowhere else', async () => {
    playPackage({ metadata: { readme: 'README.md' }, files: { 'README.md': '# A' } });
    expect(await feed.embedded(A, 'readme')).toMatchObject({ value: Buffer.from('# A'), state: 'miss' });
    expect(await feed.embedded(A, 'readme')).toMatchObject({ value: Buffer.from('# A'), state: 'hit' });
    expect(upstream.asked.filter((what) => what === 'downloadPackage')).toHaveLength(1);
  });

  it('is none of a package without one, nor of none', async () => {
    playPackage({});
    const states: string[] = [];
    const onNothing = (state: string) => void states.push(state);
    expect(await feed.embedded(A, 'readme', { onNothing })).toBeUndefined();
    expect(await feed.embedded(A, 'readme', { onNothing })).toBeUndefined();
    expect(states).toEqual(['miss', 'hit']);
    upstream.play.downloadPackage = async () => undefined;
    expect(await feed.embedded(identityOf('B'), 'readme')).toBeUndefined();
  });

  it('can not be told while the source can not be asked', async () => {
    upstream.play.getReadme = () => Promise.reject(new Error('down'));
    await expect(feed.embedded(A, 'readme')).rejects.toBeInstanceOf(FeedUnavailableError);
  });
});
