import { buildPackage, type FeedServer, startFeedServer } from '@granary/nuget/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { startTestServer, type TestServer } from '../testing/test-server.js';

const A1 = buildPackage({ id: 'Contoso.A', version: '1.0.0' });

let upstream: FeedServer;

beforeEach(async () => {
  upstream = await startFeedServer({ packages: [A1] });
});
afterEach(() => upstream.close());

const sourceOf = (feed: FeedServer, more: object = {}) => ({ name: 'up', url: feed.v3Url, ...more });
const get = (running: TestServer, path: string, init?: RequestInit) =>
  fetch(`http://${running.address('listen.http')}/nuget${path}`, init);
/** The last byte of a package may be read before it is stored. */
const isHere = (running: TestServer, path: string) =>
  vi.waitFor(async () => expect((await get(running, path)).headers.get('x-cache')).toBe('hit'));
const NUPKG = '/v3/flatcontainer/contoso.a/1.0.0/contoso.a.1.0.0.nupkg';

describe('a server with an upstream feed', () => {
  it('gives a package from upstream, then from here, and when upstream is gone', async () => {
    await using running = await startTestServer({ 'nuget.sources': [sourceOf(upstream)] });
    const index = await get(running, '/v3/index.json');
    expect(index.status).toBe(200);
    expect(await index.text()).not.toContain(upstream.url);
    const cold = await get(running, NUPKG);
    expect([cold.status, cold.headers.get('x-cache')]).toEqual([200, 'miss']);
    expect(Buffer.from(await cold.arrayBuffer()).equals(A1)).toBe(true);
    const asked = upstream.requests.length;
    await isHere(running, NUPKG);
    const warm = await get(running, NUPKG);
    expect(Buffer.from(await warm.arrayBuffer()).equals(A1)).toBe(true);
    expect(upstream.requests.length).toBe(asked);
    await upstream.close();
    expect((await get(running, NUPKG)).headers.get('x-cache')).toBe('hit');
    expect((await get(running, '/up/v3/flatcontainer/never.seen/index.json')).status).toBe(503);
  });
});
