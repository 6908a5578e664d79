import { once } from 'node:events';
import { copyFile, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { buildPackage, type FeedServer, startFeedServer } from '@granary/nuget/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConfigError } from '../config/mistake.js';
import { askFeed, outcomeOf, pushTo } from '../testing/feed-clients.js';
import { certificate, startTestServer, type TestServer, temporaryFolder } from '../testing/test-server.js';

let folder: string;
let upstream: FeedServer;

beforeEach(async () => {
  folder = await temporaryFolder();
  upstream = await startFeedServer({ packages: ['A', 'B', 'C'].map((id) => buildPackage({ id, version: '1.0.0' })) });
});
afterEach(async () => {
  await upstream.close();
  await rm(folder, { recursive: true, force: true });
});

const file = (name: string) => join(folder, name);
const source = (more: object) => ({ 'nuget.sources': [{ name: 'up', url: upstream.v3Url, retries: 0, ...more }] });
const versions = async (running: TestServer, id: string) =>
  (await outcomeOf(askFeed(running, `/v3/flatcontainer/${id}/index.json`)))[0];

describe('what a source is asked with, when it is read again', () => {
  it('is the new password and the new key, before the old ones are refused', async () => {
    await writeFile(file('password'), 'old');
    await writeFile(file('key'), 'old-key');
    upstream.settings.credentials = { username: 'ci', password: 'old' };
    upstream.settings.apiKey = 'old-key';
    const auth = { username: 'ci', password_file: file('password'), api_key_file: file('key') };
    await using running = await startTestServer(source({ auth, push: true }));
    expect(await versions(running, 'a')).toBe(200);
    upstream.settings.credentials = { username: 'ci', password: 'new' };
    upstream.settings.apiKey = 'new-key';
    await writeFile(file('password'), 'new\n');
    await writeFile(file('key'), 'new-key\n');
    await running.server.reload();
    upstream.requests.clear();
    expect(await versions(running, 'b')).toBe(200);
    expect((await pushTo(running, buildPackage({ id: 'New', version: '1.0.0' }))).status).toBe(201);
    expect(upstream.requests.all(({ status }) => status === 401 || status === 403)).toEqual([]);
  });

  it('is the new password as soon as it is in its file, however late after the source has it', async () => {
    await writeFile(file('password'), 'old');
    upstream.settings.credentials = { username: 'ci', password: 'new' };
    await using running = await startTestServer(source({ auth: { username: 'ci', password_file: file('password') } }));
    expect(await versions(running, 'a')).toBe(502);
    await writeFile(file('password'), 'new');
    expect(await versions(running, 'b')).toBe(200);
  });

  it('is the new token where the source says 403 to the old one', async () => {
    await writeFile(file('token'), 'old-token');
    const old: (string | undefined)[] = [];
    const feed = createHttpServer(({ url, headers }, response) => {
      const { port } = feed.address() as AddressInfo;
      if (headers.authorization !== 'Bearer new-token') {
        old.push(headers.authorization);
        response.writeHead(403).end();
        return;
      }
      const resources = [{ '@id': `http://127.0.0.1:${port}/flat/`, '@type': 'PackageBaseAddress/3.0.0' }];
      response.end(JSON.stringify(url === '/index.json' ? { version: '3.0.0', resources } : { versions: ['1.0.0'] }));
    }).listen(0, '127.0.0.1');
    await once(feed, 'listening');
    try {
      const url = `http://127.0.0.1:${(feed.address() as AddressInfo).port}/index.json`;
      await using running = await startTestServer(source({ url, auth: { token_file: file('token') } }));
      expect(await versions(running, 'a')).toBe(502);
      await writeFile(file('token'), 'new-token');
      expect(await versions(running, 'b')).toBe(200);
      expect(new Set(old)).toEqual(new Set(['Bearer old-token']));
    } finally {
      feed.close();
      feed.closeAllConnections();
    }
  });

  it('is what it was when a file is wrong, of whatever it is', async () => {
    await writeFile(file('token'), 'old-token');
    await writeFile(file('tokens'), 'ci:0123456789abcdef:write\n');
    upstream.settings.credentials = { bearer: 'old-token' };
    const values = { ...source({ auth: { token_file: file('token') } }), 'auth.tokens_file': file('tokens') };
    await using running = await startTestServer(values);
    const ask = async (id: string, token: string) => {
      const headers = { authorization: `Bearer ${token}` };
      return (await outcomeOf(askFeed(running, `/v3/flatcontainer/${id}/index.json`, { headers })))[0];
    };
    expect(await ask('a', '0123456789abcdef')).toBe(200);
    await writeFile(file('token'), 'a token with spaces');
    await writeFile(file('tokens'), 'ci:fedcba9876543210:write\n');
    await expect(running.server.reload()).rejects.toThrow(ConfigError);
    expect([await ask('b', '0123456789abcdef'), await ask('b', 'fedcba9876543210')]).toEqual([200, 401]);
  });

  it('is what the files say by then, where no feed was asked for before', async () => {
    await writeFile(file('token'), 'old-token');
    upstream.settings.credentials = { bearer: 'new-token' };
    await using running = await startTestServer(source({ auth: { token_file: file('token') } }));
    await writeFile(file('token'), 'new-token');
    await running.server.reload();
    expect(await versions(running, 'a')).toBe(200);
    expect(upstream.requests.all(({ status }) => status === 401)).toEqual([]);
  });

  it('is the new authorities and certificates', async () => {
    const [cert, key] = await Promise.all(['server.pem', 'server.key'].map((name) => readFile(certificate(name))));
    const secure = createServer({ cert, key }, ({ url }, response) => {
      const { port } = secure.address() as AddressInfo;
      const resources = [{ '@id': `https://127.0.0.1:${port}/flat/`, '@type': 'PackageBaseAddress/3.0.0' }];
      response.end(JSON.stringify(url === '/index.json' ? { version: '3.0.0', resources } : { versions: ['1.0.0'] }));
    });
    secure.listen(0, '127.0.0.1');
    await once(secure, 'listening');
    try {
      await copyFile(certificate('stranger-ca.pem'), file('ca.pem'));
      const url = `https://127.0.0.1:${(secure.address() as AddressInfo).port}/index.json`;
      await using running = await startTestServer(source({ url, ca_file: file('ca.pem') }));
      expect(await versions(running, 'a')).toBe(503);
      await copyFile(certificate('ca.pem'), file('ca.pem'));
      await running.server.reload();
      expect(await versions(running, 'b')).toBe(200);
      // What is as it was costs no connection.
      const connections = () => new Promise((resolve) => secure.getConnections((_, count) => resolve(count)));
      const before = await connections();
      await running.server.reload();
      expect([await versions(running, 'c'), await connections()]).toEqual([200, before]);
    } finally {
      secure.close();
      secure.closeAllConnections();
    }
  });
});
