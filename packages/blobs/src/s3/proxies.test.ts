import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { blobOf } from '../testing/content.js';
import { TestBucket } from './testing/test-bucket.js';

const certificate = (name: string) =>
  readFileSync(new URL(`../../../http/src/testing/certificates/${name}`, import.meta.url));

const ca = certificate('ca.pem');
const { digest, bytes } = blobOf(100_000);

let bucket: TestBucket;
let front: ReturnType<typeof createTlsServer>;
let proxy: Server;
let asked: string[];
let refused: boolean;

const portOf = (server: { address(): unknown }) => (server.address() as AddressInfo).port;

beforeEach(async () => {
  bucket = await TestBucket.start();
  const tls = { cert: certificate('server.pem'), key: certificate('server.key') };
  front = createTlsServer(tls, (socket: TLSSocket) => {
    const behind = connect(Number(new URL(bucket.endpoint).port), '127.0.0.1');
    socket.on('error', () => behind.destroy()).pipe(behind);
    behind.on('error', () => socket.destroy()).pipe(socket);
  });
  asked = [];
  refused = false;
  proxy = createServer().on('connect', (request, socket) => {
    asked.push(`${request.url} ${request.headers['proxy-authorization'] ?? ''}`.trim());
    socket.on('error', () => {});
    if (refused) {
      socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
      return;
    }
    const through = connect(portOf(front), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      socket.pipe(through).pipe(socket);
    });
    through.on('error', () => socket.destroy());
  });
  for (const server of [front, proxy]) await once(server.listen(0, '127.0.0.1'), 'listening');
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await bucket[Symbol.asyncDispose]();
  proxy.closeAllConnections();
  for (const server of [front, proxy]) server.close();
});

describe('an S3 tier with TLS', () => {
  const endpoint = () => `https://localhost:${portOf(front)}`;

  it('goes by way of the proxy that the environment names', async () => {
    vi.stubEnv('https_proxy', `http://ann:secret@127.0.0.1:${portOf(proxy)}`);
    vi.stubEnv('no_proxy', 'elsewhere.test');
    await using tier = bucket.tier({ endpoint: endpoint(), tls: { ca } });
    await tier.check(AbortSignal.timeout(10_000));
    await tier.blobs.write(digest, bytes);
    for (let i = 0; i < 5; i++) expect(await tier.blobs.get(digest)).toEqual(bytes);
    const authorization = `Basic ${Buffer.from('ann:secret').toString('base64')}`;
    expect(new Set(asked)).toEqual(new Set([`localhost:${portOf(front)} ${authorization}`]));
    expect(bucket.requests.length).toBeGreaterThan(6);
    // Connections are kept.
    expect(asked.length).toBeLessThan(4);
  });

  it('asks servers directly that are excepted, and all of them when proxies are off', async () => {
    vi.stubEnv('https_proxy', `http://127.0.0.1:${portOf(proxy)}`);
    vi.stubEnv('no_proxy', 'localhost');
    await using excepted = bucket.tier({ endpoint: endpoint(), tls: { ca } });
    await excepted.blobs.write(digest, bytes);
    vi.stubEnv('no_proxy', '');
    await using off = bucket.tier({ endpoint: endpoint(), tls: { ca }, proxy: false });
    expect(await off.blobs.get(digest)).toEqual(bytes);
    expect(asked).toEqual([]);
  });

  it('says what the proxy refuses, and trusts no other certificates because of it', async () => {
    const options = { endpoint: endpoint(), proxy: { httpsProxy: `127.0.0.1:${portOf(proxy)}`, noProxy: '' } };
    await using distrustful = bucket.tier(options);
    await expect(distrustful.blobs.get(digest)).rejects.toMatchObject({ kind: 'refused' });
    refused = true;
    await using tier = bucket.tier({ ...options, tls: { ca } });
    await expect(tier.blobs.get(digest)).rejects.toMatchObject({
      kind: 'unavailable',
      message: expect.stringContaining('the proxy refuses the tunnel with status 403'),
    });
  });

  it('names the option of a proxy that is no URL', () => {
    expect(() => bucket.tier({ proxy: { httpsProxy: 'ftp://proxy' } })).toThrow('httpsProxy');
  });
});
