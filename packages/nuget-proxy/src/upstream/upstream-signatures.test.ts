import { HttpClient } from '@granary/http';
import { type RepositoryCertificate, SHA256_OID, SourceError } from '@granary/nuget';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FeedUnderTest, PlayedUpstream } from './testing/feed-under-test.js';
import type { UpstreamFeed } from './upstream-feed.js';

const NONE = { allRepositorySigned: false, signingCertificates: [] };
const FINGERPRINT = 'ab'.repeat(32);
const CERTIFICATE: RepositoryCertificate = {
  fingerprints: new Map([[SHA256_OID, FINGERPRINT]]),
  subject: 'CN=Feed',
  issuer: 'CN=CA',
  notBefore: new Date(Date.UTC(2025, 0, 1)),
  notAfter: new Date(Date.UTC(2027, 0, 1)),
  contentUrl: 'https://feed.test/certificate.crt',
};

let local: FeedUnderTest;
let upstream: PlayedUpstream;
let feed: UpstreamFeed;

beforeEach(async () => {
  local = await FeedUnderTest.start((options) => new HttpClient(options));
  upstream = new PlayedUpstream();
  feed = local.feed({ upstream });
});
afterEach(() => local[Symbol.asyncDispose]());

describe('whether a source says something of signatures', () => {
  it('is waited for no longer than for anything that may be stale; the answer is there the next time', async () => {
    let answer = (_: typeof NONE) => {};
    upstream.play.repositorySignatures = () =>
      new Promise((resolve) => {
        answer = resolve;
      });
    const offered = feed.signatures.offered();
    await expect.poll(() => upstream.asked).toEqual(['repositorySignatures']);
    await local.time.advance(1000);
    expect(await offered).toBe(false);
    answer(NONE);
    expect(await feed.signatures.offered()).toBe(true);
    expect(upstream.asked).toHaveLength(1);
  });

  it('is no longer so when it was long ago that it did, and it does no more', async () => {
    upstream.play.repositorySignatures = async () => NONE;
    expect(await feed.signatures.offered()).toBe(true);
    upstream.play.repositorySignatures = async () => undefined;
    await local.time.advance(29 * 60_000);
    expect(await feed.signatures.offered()).toBe(true);
    await local.time.advance(60_000);
    expect(await feed.signatures.offered()).toBe(false);
  });

  it('is as it was when the source fails, and unknown when it was never asked', async () => {
    const failure = new SourceError('SOURCE_UNAVAILABLE', 'up', 'no');
    upstream.play.repositorySignatures = () => Promise.reject(failure);
    expect(await feed.signatures.offered()).toBe(false);
    await local.time.advance(5000);
    upstream.play.repositorySignatures = async () => NONE;
    expect(await feed.signatures.offered()).toBe(true);
    await local.time.advance(60 * 60_000);
    upstream.failure = failure;
    expect(await feed.signatures.offered()).toBe(true);
    expect(await feed.signatures.list()).toMatchObject({ state: 'stale', value: { certificates: [] } });
  });

  it('is not told to who has gone, and leaves no timer', async () => {
    upstream.play.repositorySignatures = () => new Promise(() => {});
    const gone = new AbortController();
    const offered = feed.signatures.offered({ signal: gone.signal });
    await expect.poll(() => upstream.asked).toHaveLength(1);
    gone.abort(new Error('gone'));
    await expect(offered).rejects.toThrow('gone');
    expect(local.time.pending).toBe(0);
  });
});

describe('what a source says of its certificates', () => {
  const DER = Buffer.from('certificate');

  it('is told after a restart as before', async () => {
    const layers = [local.layer()];
    upstream.play.repositorySignatures = async () => ({
      allRepositorySigned: true,
      signingCertificates: [CERTIFICATE],
    });
    upstream.play.repositoryCertificate = async () => DER;
    const value = {
      allRepositorySigned: true,
      certificates: [
        {
          fingerprints: { [SHA256_OID]: FINGERPRINT },
          subject: 'CN=Feed',
          issuer: 'CN=CA',
          notBefore: '2025-01-01T00:00:00.000Z',
          notAfter: '2027-01-01T00:00:00.000Z',
        },
      ],
    };
    const before = local.feed({ upstream, layers });
    expect(await before.signatures.list()).toMatchObject({ value });
    expect(await before.signatures.certificate(FINGERPRINT)).toMatchObject({ value: DER });
    upstream.failure = new SourceError('SOURCE_UNAVAILABLE', 'up', 'no');
    const after = local.feed({ upstream, layers });
    expect(await after.signatures.list()).toMatchObject({ value });
    expect(await after.signatures.certificate(FINGERPRINT)).toMatchObject({ value: DER });
    expect(await after.signatures.certificate('cd'.repeat(32))).toBeUndefined();
  });

  it.each(['subject', 'issuer', 'notBefore', 'notAfter', 'contentUrl'] as const)(
    'is not passed on where it lacks %s, which clients refuse',
    async (name) => {
      const signingCertificates = [CERTIFICATE, { ...CERTIFICATE, [name]: undefined }];
      upstream.play.repositorySignatures = async () => ({ allRepositorySigned: true, signingCertificates });
      expect(await feed.signatures.list()).toBeUndefined();
      expect(await feed.signatures.offered()).toBe(false);
    },
  );
});
