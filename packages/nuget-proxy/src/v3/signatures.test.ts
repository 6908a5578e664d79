import { createHash } from 'node:crypto';
import type { RepositorySignatures } from '@granary/nuget';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FeedUnavailableError } from '../errors.js';
import type { FeedSignatures } from '../feed/feed-content.js';
import { MemoryFeed } from '../http/testing/memory-feed.js';
import { TestServer } from '../http/testing/test-server.js';
import { MergedFeed } from '../merged/merged-feed.js';
import { ProxiedUpstream } from './testing/proxied-upstream.js';

const SHA256 = '2.16.840.1.101.3.4.2.1';
const CERTIFICATES = [Buffer.from('a certificate'), Buffer.from('a newer certificate')];
const FINGERPRINTS = CERTIFICATES.map((bytes) => createHash('sha256').update(bytes).digest('hex'));
const BASE = 'https://cache.test/nuget';
const SECURE = { handler: { publicUrl: 'https://cache.test' } };
const SIGNED = { repositorySignatures: { allRepositorySigned: true, certificates: CERTIFICATES } };

interface Resource {
  readonly '@id': string;
  readonly '@type': string;
}

let proxied: ProxiedUpstream;

const typesOf = async (server: TestServer, folder = '/v3') => {
  const { resources } = (await server.json(`${folder}/index.json`)) as { resources: readonly Resource[] };
  const found = resources.filter(({ '@type': type }) => type.startsWith('RepositorySignatures'));
  return Object.fromEntries(found.map(({ '@type': type, '@id': id }) => [type.split('/')[1], id]));
};
const statusOf = async (path: string) => (await proxied.server.ask(`/nuget${path}`)).status;

describe('the signatures of a source that says something of them', () => {
  beforeEach(async () => {
    proxied = await ProxiedUpstream.start({ ...SECURE, ...SIGNED });
  });
  afterEach(() => proxied[Symbol.asyncDispose]());

  it.each(['/v3', '/up/v3'])('are passed on in %s, with certificates that lie here', async (folder) => {
    const { server, upstream } = proxied;
    const url = `${BASE}${folder}/signatures`;
    const [old, current] = [`${url}/index.json`, `${url}/5.0.0/index.json`];
    expect(await typesOf(server, folder)).toEqual({ '4.7.0': old, '4.9.0': old, '5.0.0': current });
    const signatures = (await server.json(`${folder}/signatures/5.0.0/index.json`)) as RepositorySignatures;
    expect(signatures).toEqual({
      allRepositorySigned: true,
      signingCertificates: FINGERPRINTS.map((fingerprint) => ({
        fingerprints: { [SHA256]: fingerprint },
        subject: `CN=${fingerprint.slice(0, 8)}`,
        issuer: 'CN=feed.test',
        notBefore: '2024-01-01T00:00:00.000Z',
        notAfter: '2034-01-01T00:00:00.000Z',
        contentUrl: `${url}/certificates/${fingerprint}.crt`,
      })),
    });
    expect(JSON.stringify(signatures)).not.toContain(new URL(upstream.url).host);
    for (const [i, fingerprint] of FINGERPRINTS.entries()) {
      const path = `/nuget${folder}/signatures/certificates/${fingerprint}.crt`;
      const { headers, body } = await server.ask(path);
      expect(body).toEqual(CERTIFICATES[i]);
      expect(headers).toMatchObject({ 'content-type': 'application/pkix-cert', 'x-cache': 'miss' });
      expect((await server.ask(path)).headers['x-cache']).toBe('hit');
    }
  });

  it('require nothing of clients that would install no package then', async () => {
    const { signingCertificates, ...said } = (await proxied.server.json('/v3/signatures/index.json')) as Record<
      string,
      readonly unknown[]
    >;
    expect([said, signingCertificates?.length]).toEqual([{ allRepositorySigned: false }, 2]);
  });

  it('are only what the source says, and nothing else lies there', async () => {
    const unknown = 'ab'.repeat(32);
    for (const path of ['', '/x.json', '/4.9.0/index.json', '/certificates', '/certificates/x.crt'])
      expect([path, await statusOf(`/v3/signatures${path}`)]).toEqual([path, 404]);
    proxied.asked();
    expect(await statusOf(`/v3/signatures/certificates/${unknown}.crt`)).toBe(404);
    expect(await statusOf(`/v3/signatures/certificates/${FINGERPRINTS[0]}.crt/more`)).toBe(404);
    expect(proxied.asked().filter((request) => request.endsWith('.crt'))).toEqual([]);
  });

  it('are no certificates with another fingerprint', async () => {
    const path = `/v3/signatures/certificates/${FINGERPRINTS[0]}.crt`;
    proxied.upstream.fault(/\.crt$/, { kind: 'replace', body: 'another' }, { times: 1 });
    expect(await statusOf(path)).toBe(502);
  });

  it('are still there when the source is gone', async () => {
    const { server, upstream } = proxied;
    const path = `/v3/signatures/certificates/${FINGERPRINTS[0]}.crt`;
    const types = await typesOf(server);
    expect(await statusOf(path)).toBe(200);
    await upstream.close();
    expect(await typesOf(server)).toEqual(types);
    expect([await statusOf('/v3/signatures/5.0.0/index.json'), await statusOf(path)]).toEqual([200, 200]);
    expect(await statusOf(`/v3/signatures/certificates/${FINGERPRINTS[1]}.crt`)).toBe(503);
  });
});

describe('signatures are not spoken of', () => {
  afterEach(() => proxied[Symbol.asyncDispose]());

  it('over plain http, which clients refuse', async () => {
    proxied = await ProxiedUpstream.start(SIGNED);
    expect(await typesOf(proxied.server)).toEqual({});
    for (const path of ['index.json', '5.0.0/index.json', `certificates/${FINGERPRINTS[0]}.crt`])
      expect(await statusOf(`/v3/signatures/${path}`)).toBe(404);
    expect(proxied.asked()).toEqual([]);
  });

  it('where the source does not', async () => {
    proxied = await ProxiedUpstream.start(SECURE);
    expect(await typesOf(proxied.server)).toEqual({});
    expect(await statusOf('/v3/signatures/5.0.0/index.json')).toBe(404);
  });

  it('where the source has only protocol 2', async () => {
    proxied = await ProxiedUpstream.start({ ...SECURE, ...SIGNED, protocol: 'v2' });
    expect(await typesOf(proxied.server)).toEqual({});
  });

  it('where what the source says would make clients refuse this one', async () => {
    proxied = await ProxiedUpstream.start({ ...SECURE, ...SIGNED });
    const signingCertificates = [{ fingerprints: { [SHA256]: FINGERPRINTS[0] }, subject: 'CN=a', issuer: 'CN=b' }];
    const body = JSON.stringify({ allRepositorySigned: true, signingCertificates });
    proxied.upstream.fault(/signatures/, { kind: 'replace', body });
    expect(await typesOf(proxied.server)).toEqual({});
  });

  it('while the source can not be asked', async () => {
    proxied = await ProxiedUpstream.start({ ...SECURE, ...SIGNED });
    // Not closed: somebody else may get its port, and answer.
    proxied.upstream.fault(/./, { kind: 'reset' });
    expect(await typesOf(proxied.server)).toEqual({});
    expect(await statusOf('/v3/signatures/5.0.0/index.json')).toBe(503);
  });
});

describe('several feeds as one', () => {
  const signatures: FeedSignatures = {
    offered: async () => true,
    list: async () => undefined,
    certificate: async () => {
      throw new FeedUnavailableError('a', 'it is down');
    },
  };
  const signing = (name: string) => Object.assign(new MemoryFeed(name), { signatures });

  it('speak of signatures only when there is one alone: another one has others, and a hosted one none', async () => {
    for (const [sources, offered] of [
      [[signing('a')], 3],
      [[signing('a'), signing('b')], 0],
      [[signing('a'), new MemoryFeed('hosted')], 0],
      [[new MemoryFeed('hosted')], 0],
    ] as const) {
      await using server = await TestServer.start({
        all: new MergedFeed({ sources }),
        publicUrl: 'https://cache.test',
      });
      expect(Object.keys(await typesOf(server))).toHaveLength(offered);
    }
  });
});
