import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { fakeFeed, fakeV3Feed } from '../../testing/fake-feed.js';
import { V3Provider } from './v3-provider.js';

const SHA256 = '2.16.840.1.101.3.4.2.1';
const certificate = {
  fingerprints: { [SHA256]: '0E5F38F5', other: 7 },
  subject: 'CN=me',
  issuer: 'CN=issuer',
  notBefore: '2018-04-10T00:00:00.0000000Z',
  notAfter: '2021-04-14T12:00:00.0000000Z',
  contentUrl: '0e5f.crt',
};

describe('the signatures of a source', () => {
  it('are listed with the certificates that made them', async () => {
    const signingCertificates = [certificate, null, {}, { fingerprints: {} }, { fingerprints: { [SHA256]: 'ab' } }];
    const feed = fakeV3Feed({ 'signatures/index.json': { allRepositorySigned: true, signingCertificates } });
    const signatures = await new V3Provider(feed).repositorySignatures();
    expect(signatures?.allRepositorySigned).toBe(true);
    expect(signatures?.signingCertificates).toEqual([
      {
        fingerprints: new Map([[SHA256, '0e5f38f5']]),
        subject: 'CN=me',
        issuer: 'CN=issuer',
        notBefore: new Date('2018-04-10T00:00:00Z'),
        notAfter: new Date('2021-04-14T12:00:00Z'),
        contentUrl: 'https://feed.test/v3/signatures/0e5f.crt',
      },
      { fingerprints: new Map([[SHA256, 'ab']]) },
    ]);
    expect(feed.requests.at(-1)?.cacheKey).toBe('repository_signature');
  });

  it.each([
    [{}],
    [{ allRepositorySigned: 'perhaps', signingCertificates: [] }],
    [{ allRepositorySigned: true }],
    ['<html>'],
  ])('are none when the source says %j', async (document) => {
    const provider = new V3Provider(fakeV3Feed({ 'signatures/index.json': document }));
    await expect(provider.repositorySignatures()).rejects.toMatchObject({ code: 'PROTOCOL' });
  });

  it('must be asked for as safely as the source is', async () => {
    const resources = { 'RepositorySignatures/5.0.0': 'http://feed.test/signatures' };
    await expect(new V3Provider(fakeV3Feed({}, resources)).repositorySignatures()).rejects.toMatchObject({
      code: 'PROTOCOL',
    });
    const index = { version: '3.0.0', resources: [{ '@id': 'signatures', '@type': 'RepositorySignatures/4.7.0' }] };
    const local = fakeFeed(
      { 'index.json': index, signatures: { allRepositorySigned: false, signingCertificates: [] } },
      { url: 'http://localhost:1234/v3/index.json' },
    );
    expect(await new V3Provider(local).repositorySignatures()).toEqual({
      allRepositorySigned: false,
      signingCertificates: [],
    });
  });

  it('are unknown when the source does not speak of them', async () => {
    expect(await new V3Provider(fakeV3Feed({}, {})).repositorySignatures()).toBeUndefined();
    expect(await new V3Provider(fakeV3Feed()).repositorySignatures()).toBeUndefined();
  });
});

describe('a certificate of a source', () => {
  const der = Buffer.from('a certificate');
  const sha256 = createHash('sha256').update(der).digest('hex');
  const named = (fingerprint: string, contentUrl?: string) => ({
    fingerprints: new Map([[SHA256, fingerprint]]),
    ...(contentUrl !== undefined && { contentUrl }),
  });
  const URL = 'https://feed.test/v3/signatures/0e5f.crt';

  it('is what has the fingerprint that the source says', async () => {
    const feed = fakeV3Feed({ 'signatures/0e5f.crt': der });
    expect(await new V3Provider(feed).repositoryCertificate(named(sha256, URL))).toEqual(der);
    expect(feed.requests.at(-1)).toMatchObject({ url: URL, maxBytes: 64 * 1024, cacheKey: undefined });
  });

  it('is nothing else', async () => {
    const provider = new V3Provider(fakeV3Feed({ 'signatures/0e5f.crt': Buffer.from('another') }));
    await expect(provider.repositoryCertificate(named(sha256, URL))).rejects.toMatchObject({ code: 'PROTOCOL' });
    await expect(
      provider.repositoryCertificate({ ...named(sha256, URL), fingerprints: new Map() }),
    ).rejects.toMatchObject({ code: 'PROTOCOL' });
    expect(await provider.repositoryCertificate(named(sha256))).toBeUndefined();
    expect(await provider.repositoryCertificate(named(sha256, `${URL}x`))).toBeUndefined();
  });

  it('is no longer than certificates are', async () => {
    const provider = new V3Provider(fakeV3Feed({ 'signatures/0e5f.crt': Buffer.alloc(64 * 1024 + 1) }));
    await expect(provider.repositoryCertificate(named(sha256, URL))).rejects.toMatchObject({ code: 'LIMIT' });
  });
});
