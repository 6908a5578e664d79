import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { HttpClient } from '@granary/http';
import { SourceError } from '@granary/nuget';
import { buildPackage } from '@granary/nuget/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bytesOf, expectBytes } from '../packages/testing/store-under-test.js';
import { FeedUnderTest, identityOf, metadataOf, PlayedUpstream } from './testing/feed-under-test.js';
import type { UpstreamFeed } from './upstream-feed.js';

const MINUTE = 60_000;
const A = identityOf('Contoso.A');
const RIGHT = buildPackage({ id: 'Contoso.A', version: '1.0.0' });
const REPLACED = buildPackage({ id: 'Contoso.A', version: '1.0.0', files: { 'lib/net8.0/A.dll': 'new' } });

let local: FeedUnderTest;
let upstream: PlayedUpstream;
let feed: UpstreamFeed;
/** What the source says, and what it gives. */
let told: Buffer | undefined;
let given: Buffer;

beforeEach(async () => {
  local = await FeedUnderTest.start((options) => new HttpClient(options));
  upstream = new PlayedUpstream();
  told = RIGHT;
  given = RIGHT;
  upstream.play.listMetadata = async () => [metadataOf('Contoso.A', '1.0.0', { packageHash: told && hashOf(told) })];
  upstream.play.downloadPackage = async () => ({ body: Readable.from([given]), length: given.length, url: '' });
  feed = local.feed({ upstream });
});

afterEach(() => local[Symbol.asyncDispose]());

const hashOf = (bytes: Buffer) => ({
  algorithm: 'SHA512',
  value: createHash('sha512').update(bytes).digest('base64'),
});
const fetched = async () => bytesOf((await feed.package(A))!.open());
const refused = { cause: { code: 'INVALID_PACKAGE', message: expect.stringContaining('has the SHA512 hash') } };

describe('the hash of a package that a registration told', () => {
  beforeEach(async () => {
    await feed.records('contoso.a');
    upstream.asked.length = 0;
  });

  it.each([0, 10, 10_000])('counts, and costs no request, after %i minutes', async (minutes) => {
    await local.time.advance(minutes * MINUTE);
    expectBytes(await fetched(), RIGHT);
    expect(upstream.asked).toEqual(['downloadPackage']);
  });

  it.each([0, 10, 10_000])('refuses another package after %i minutes, when it is still told', async (minutes) => {
    await local.time.advance(minutes * MINUTE);
    given = REPLACED;
    await expect(fetched()).rejects.toMatchObject(refused);
    expect(upstream.asked).toEqual(['downloadPackage', 'listMetadata']);
    expect(await local.packages.store.find('up', A)).toBeUndefined();
  });

  it('is another one when the package was replaced', async () => {
    given = REPLACED;
    told = REPLACED;
    expectBytes(await fetched(), REPLACED);
    expect((await feed.records('contoso.a'))?.value[0]?.packageHash).toEqual(hashOf(REPLACED));
    expect(upstream.asked).toEqual(['downloadPackage', 'listMetadata']);
  });

  it('does not count when it is told no more', async () => {
    given = REPLACED;
    told = undefined;
    expectBytes(await fetched(), REPLACED);
  });

  it('counts when the source can not be asked whether it is still so', async () => {
    given = REPLACED;
    upstream.play.listMetadata = async () => {
      throw new SourceError('SOURCE_UNAVAILABLE', 'up', 'it is down');
    };
    await expect(fetched()).rejects.toMatchObject(refused);
  });
});
