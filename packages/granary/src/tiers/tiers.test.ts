import { createHash, randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { actionKey, Digest } from '@granary/blobs';
import { openRedisTier } from '@granary/blobs/redis';
import { GrpcTier } from '@granary/reapi';
import { parseExposition } from '@granary/telemetry/testing';
import { Client, credentials, status } from '@grpc/grpc-js';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { freePort } from '../../../cache/src/redis/testing/free-port.js';
import { startRedis, whyNoRedis } from '../../../cache/src/redis/testing/redis-server.js';
import { certificate, startTestServer, type TestServer, temporaryFolder } from '../testing/test-server.js';

const MIB = 1024 * 1024;
const ended: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ended.splice(0).reverse()) await end();
});

async function server(values: Readonly<Record<string, unknown>> = {}): Promise<TestServer> {
  const running = await startTestServer(values);
  ended.push(async () => running[Symbol.asyncDispose]());
  return running;
}

/** A server in front of others, with patience that suits tests. */
function inFrontOf(targets: readonly string[], settings: object = {}): Promise<TestServer> {
  const tiers = targets.map((target, i) => ({
    type: 'grpc',
    name: `tier${i}`,
    target,
    retries: 0,
    attempt_timeout: '2s',
    failures: 2,
    rest: '100ms',
    ...settings,
  }));
  return server({ tiers });
}

function clientOf(running: TestServer): GrpcTier {
  const client = new GrpcTier({ name: 'client', mode: 'write-through', target: running.address('listen.grpc') });
  ended.push(() => client.close());
  return client;
}

function blob(size: number) {
  const bytes = randomBytes(size);
  return { bytes, digest: Digest.of('sha256', bytes) };
}

async function read(client: GrpcTier, digest: Digest): Promise<Buffer | undefined> {
  const reader = await client.blobs.read(digest);
  if (!reader) return undefined;
  const parts: Buffer[] = [];
  for await (const chunk of reader) parts.push(Buffer.from(chunk));
  return Buffer.concat(parts);
}

/** Uploads in a stream of one message, and asks nothing before. */
async function uploadTo(running: TestServer, bytes: Buffer, digest: Digest): Promise<void> {
  const client = new Client(running.address('listen.grpc'), credentials.createInsecure());
  const name = Buffer.from(`uploads/u/blobs/${digest}`);
  const size = Buffer.of((bytes.length & 0x7f) | 0x80, bytes.length >> 7);
  const message = [Buffer.of(0x0a, name.length), name, Buffer.of(0x18, 1, 0x52), size, bytes];
  try {
    await new Promise<void>((resolve, reject) => {
      const call = client.makeClientStreamRequest(
        '/google.bytestream.ByteStream/Write',
        (request: Buffer) => request,
        (response) => response,
        (error) => (error ? reject(error) : resolve()),
      );
      call.end(Buffer.concat(message));
    });
  } finally {
    client.close();
  }
}

/** An `ActionResult` whose standard output is a blob. */
function resultWith(stdout: Digest): Buffer {
  const hash = Buffer.from(stdout.hash);
  const digest = Buffer.concat([Buffer.of(0x0a, hash.length), hash, Buffer.of(0x10, stdout.size)]);
  return Buffer.concat([Buffer.of(0x32, digest.length), digest]);
}

async function metric(running: TestServer, name: string, labels: Readonly<Record<string, string>>): Promise<number> {
  const response = await fetch(`http://${running.address('listen.admin')}/metrics`);
  return parseExposition(await response.text(), 'text')
    .flatMap(({ samples }) => samples)
    .filter((one) => one.name === name && Object.entries(labels).every(([key, value]) => one.labels[key] === value))
    .reduce((sum, { value }) => sum + value, 0);
}

describe('a server in front of another', () => {
  it.each([100, 300_000, 5 * MIB])('hands out what the other has, and keeps it: %i bytes', async (size) => {
    const back = await server();
    const front = await inFrontOf([back.address('listen.grpc')]);
    const { bytes, digest } = blob(size);
    await clientOf(back).blobs.write(digest, bytes);
    const client = clientOf(front);
    expect(await client.blobs.findMissing([digest])).toEqual([]);
    expect((await read(client, digest))?.equals(bytes)).toBe(true);
    await vi.waitFor(() => expect(front.server.stats().storage.blobs).toBe(1));
    await back.server.stop();
    expect((await read(client, digest))?.equals(bytes)).toBe(true);
    expect(await metric(front, 'granary_cache_requests_total', { tier: 'tier0', status: 'hit' })).toBeGreaterThan(0);
  });

  it('brings uploads to the other where it is written through', async () => {
    const back = await server();
    const front = await server({ 'backing_cache.target': back.address('listen.grpc') });
    for (const size of [100, 5 * MIB]) {
      const { bytes, digest } = blob(size);
      await clientOf(front).blobs.write(digest, bytes);
      expect((await read(clientOf(back), digest))?.equals(bytes)).toBe(true);
    }
  });

  it("counts the sizes of its own disk's blobs alone: not again what comes from the other, or goes there", async () => {
    const back = await server();
    const front = await inFrontOf([back.address('listen.grpc')], { mode: 'write-through' });
    const client = clientOf(front);
    const [own, far] = [blob(1000), blob(MIB)];
    await client.blobs.write(own.digest, own.bytes);
    await clientOf(back).blobs.write(far.digest, far.bytes);
    expect((await read(client, far.digest))?.equals(far.bytes)).toBe(true);
    const bytesOf = (method: string) => metric(front, 'granary_blob_size_bytes_sum', { method });
    await vi.waitFor(async () => expect(await bytesOf('write')).toBe(1000 + MIB));
    expect([await bytesOf('get'), await bytesOf('read')]).toEqual([0, 0]);
    for (const { digest, bytes } of [own, far]) expect((await read(client, digest))?.equals(bytes)).toBe(true);
    await vi.waitFor(async () => expect((await bytesOf('get')) + (await bytesOf('read'))).toBe(1000 + MIB));
  });

  it.each(['write-through', 'write-behind'])('counts no hits of its own for what it sends: %s', async (mode) => {
    const back = await server();
    const front = await inFrontOf([back.address('listen.grpc')], { mode });
    const client = clientOf(front);
    const small = blob(100);
    const large = blob(MIB);
    const key = actionKey('', Digest.of('sha256', randomBytes(10)));
    for (const { digest, bytes } of [small, large]) await client.blobs.write(digest, bytes);
    await client.actionResults.set(key, resultWith(small.digest));
    const there = clientOf(back);
    await vi.waitFor(async () => expect(await there.actionResults.get(key)).toEqual(resultWith(small.digest)));
    expect(await there.blobs.findMissing([small.digest, large.digest])).toEqual([]);
    for (const method of ['get', 'read'])
      expect(await metric(front, 'granary_cache_requests_total', { tier: 'disk', method, status: 'hit' })).toBe(0);
    expect(await metric(front, 'granary_hits_total', { layer: 'disk' })).toBe(0);
  });

  it('finds over HTTP what it has itself, and over gRPC what the other has', async () => {
    const back = await server();
    const front = await inFrontOf([back.address('listen.grpc')]);
    const { bytes, digest } = blob(1000);
    await clientOf(back).blobs.write(digest, bytes);
    const url = `http://${front.address('listen.http')}/cas/${createHash('sha256').update(bytes).digest('hex')}`;
    // The protocol has no sizes, and the Remote Execution API can't be asked without them.
    expect((await fetch(url)).status).toBe(404);
    await read(clientOf(front), digest);
    await vi.waitFor(async () => expect((await fetch(url)).status).toBe(200));
  });

  it('finds over HTTP what an action result names that it has handed out', async () => {
    const back = await server();
    const front = await inFrontOf([back.address('listen.grpc')]);
    const { bytes, digest } = blob(100);
    await clientOf(back).blobs.write(digest, bytes);
    await clientOf(back).actionResults.set(actionKey('', digest), resultWith(digest));
    const url = `http://${front.address('listen.http')}`;
    expect((await fetch(`${url}/ac/${digest.hash}`)).status).toBe(200);
    const answer = await fetch(`${url}/cas/${digest.hash}`);
    expect(Buffer.from(await answer.arrayBuffer()).equals(bytes)).toBe(true);
  });

  it('may speak HTTP to the other, whose blobs then need no sizes', async () => {
    const back = await server();
    const tiers = [{ type: 'http', url: `http://${back.address('listen.http')}`, mode: 'write-through' }];
    const front = await server({ tiers });
    for (const size of [100, 5 * MIB]) {
      const [theirs, ours] = [blob(size), blob(size)];
      await clientOf(back).blobs.write(theirs.digest, theirs.bytes);
      const answer = await fetch(`http://${front.address('listen.http')}/cas/${theirs.digest.hash}`);
      expect(Buffer.from(await answer.arrayBuffer()).equals(theirs.bytes)).toBe(true);
      await clientOf(front).blobs.write(ours.digest, ours.bytes);
      expect((await read(clientOf(back), ours.digest))?.equals(ours.bytes)).toBe(true);
    }
  });

  it.skipIf(whyNoRedis())(
    'keeps out of Redis what is too large for it, and tells it the result all the same',
    async () => {
      const redis = await startRedis();
      ended.push(() => redis.stop());
      const back = await server();
      const common = { mode: 'write-through', required: true };
      const front = await server({
        tiers: [
          { type: 'redis', urls: [redis.url], max_blob_size: '64', ...common },
          { type: 'grpc', target: back.address('listen.grpc'), ...common },
        ],
      });
      const { bytes, digest } = blob(100);
      const client = clientOf(front);
      await client.blobs.write(digest, bytes);
      expect((await read(clientOf(back), digest))?.equals(bytes)).toBe(true);
      const key = actionKey('', blob(1).digest);
      await client.actionResults.set(key, resultWith(digest));
      const near = await openRedisTier({ name: 'near', mode: 'read-only', connection: { urls: [redis.url] } });
      ended.push(() => near.close());
      expect(await near.actionResults.get(key)).toBeDefined();
    },
  );

  it('finds action results in the other, and only complete ones', async () => {
    const back = await server();
    const front = await inFrontOf([back.address('listen.grpc')]);
    const [output, gone] = [blob(100), blob(101)];
    await clientOf(back).blobs.write(output.digest, output.bytes);
    const [key, incomplete] = [output, gone].map(({ digest }) => `sha256/${digest.hash}/main`) as [string, string];
    await clientOf(back).actionResults.set(key, resultWith(output.digest));
    const client = clientOf(front);
    expect(await client.actionResults.get(incomplete)).toBeUndefined();
    expect(await client.actionResults.get(key)).toEqual(resultWith(output.digest));
    expect(await client.actionResults.get(`sha256/${output.digest.hash}/other`)).toBeUndefined();
    await vi.waitFor(() => expect(front.server.stats().storage.actionResults).toBe(1));
    expect(await metric(front, 'granary_hits_total', { layer: 'tier0' })).toBe(1);
    expect(await metric(front, 'granary_misses_total', { layer: 'tier0' })).toBe(2);
    await client.actionResults.set(incomplete, resultWith(gone.digest));
    expect(await client.actionResults.get(incomplete)).toBeUndefined();
  });

  it('looks further where one has what is no result, or one that is not complete', async () => {
    const near = await server();
    const middle = await server({ 'ac.completeness_check': false });
    const far = await server();
    const urls = [near, middle].map((one) => `http://${one.address('listen.http')}`);
    const tiers = [
      ...urls.map((url, i) => ({ type: 'http', name: `http${i}`, url, mode: 'read-through' })),
      { type: 'grpc', target: far.address('listen.grpc') },
    ];
    const front = await server({ tiers });
    const [output, gone] = [blob(100), blob(101)];
    const key = actionKey('main', output.digest);
    await fetch(`${urls[0]}/main/ac/${output.digest.hash}`, { method: 'PUT', body: 'garbage' });
    await clientOf(middle).actionResults.set(key, resultWith(gone.digest));
    await clientOf(far).blobs.write(output.digest, output.bytes);
    const client = clientOf(front);
    expect(await client.actionResults.get(key)).toBeUndefined();
    await clientOf(far).actionResults.set(key, resultWith(output.digest));
    expect(await client.actionResults.get(key)).toEqual(resultWith(output.digest));
    for (const one of [near, middle]) await one.server.stop();
    expect(await client.actionResults.get(key)).toEqual(resultWith(output.digest));
  });

  it('brings results to the other with all that they name, also what was here before', async () => {
    const back = await server();
    const storage = await temporaryFolder();
    ended.push(() => rm(storage, { recursive: true, force: true }));
    const output = blob(100);
    {
      const alone = await server({ 'storage.dir': storage });
      await clientOf(alone).blobs.write(output.digest, output.bytes);
      await alone.server.stop();
    }
    const tiers = [{ type: 'grpc', target: back.address('listen.grpc'), mode: 'write-through' }];
    const front = await server({ 'storage.dir': storage, tiers });
    const key = `sha256/${output.digest.hash}/`;
    await clientOf(front).actionResults.set(key, resultWith(output.digest));
    expect(await clientOf(back).actionResults.get(key)).toEqual(resultWith(output.digest));
    expect((await read(clientOf(back), output.digest))?.equals(output.bytes)).toBe(true);
  });

  it('writes behind what it took while the other was gone, even after a restart', async () => {
    const port = await freePort();
    const storage = await temporaryFolder();
    ended.push(() => rm(storage, { recursive: true, force: true }));
    const tiers = [{ type: 'grpc', target: `127.0.0.1:${port}`, mode: 'write-behind', retries: 0, rest: '100ms' }];
    const blobs = [blob(100), blob(5 * MIB)] as const;
    const key = `sha256/${blobs[0].digest.hash}/`;
    {
      const front = await server({ 'storage.dir': storage, tiers });
      const client = clientOf(front);
      for (const { digest, bytes } of blobs) await client.blobs.write(digest, bytes);
      await client.actionResults.set(key, resultWith(blobs[0].digest));
      expect(await metric(front, 'granary_queue_depth', { layer: 'grpc' })).toBe(3);
      await front.server.stop();
    }
    const back = await server({ 'listen.grpc': `127.0.0.1:${port}` });
    const front = await server({ 'storage.dir': storage, tiers });
    await vi.waitFor(async () => expect(await clientOf(back).actionResults.get(key)).toBeDefined(), 20_000);
    for (const { digest, bytes } of blobs)
      await vi.waitFor(async () => expect((await read(clientOf(back), digest))?.equals(bytes)).toBe(true), 20_000);
    // What the other has already may still be on its way here as its answer.
    await vi.waitFor(async () => expect(await metric(front, 'granary_queue_depth', { layer: 'grpc' })).toBe(0));
    expect(await metric(front, 'granary_async_writes_total', { layer: 'grpc', status: 'success' })).toBe(3);
  });

  it('takes uploads while the others are gone for good, however much may wait for them', async () => {
    const tiers = [];
    for (const name of ['a', 'b'])
      tiers.push({ type: 'grpc', name, target: `127.0.0.1:${await freePort()}`, mode: 'write-behind', retries: 0 });
    const front = await server({ 'storage.max_size': '8MiB', 'storage.min_age': '0', tiers });
    const client = clientOf(front);
    for (let i = 0; i < 12; i++) {
      const { bytes, digest } = blob(MIB);
      await client.blobs.write(digest, bytes);
    }
    for (const layer of ['a', 'b']) {
      expect(await metric(front, 'granary_queue_depth', { layer })).toBe(2);
      expect(await metric(front, 'granary_writes_dropped_total', { layer })).toBe(10);
    }
  });

  it('is not started when a file of a tier is missing, and names its key', async () => {
    const tiers = [{ type: 'http', url: 'http://127.0.0.1:1', username: 'u', password_file: '/nowhere/password' }];
    await expect(server({ tiers })).rejects.toThrow("tiers[0].password_file: can't be read");
  });

  it.each([
    ['tiers[0].ca_file: holds no certificate in PEM', { ca_file: certificate('make.sh') }],
    ["tiers[0]: can't be used", { cert_file: certificate('client.pem'), key_file: certificate('server.key') }],
  ])('is not started when the TLS files of a tier are of no use: %s', async (mistake, files) => {
    const tiers = [{ type: 'http', url: 'https://127.0.0.1:1', ...files }];
    await expect(server({ tiers })).rejects.toThrow(mistake);
  });

  it('starts and serves while the other is not there, says so, and uses it as soon as it is', async () => {
    const port = await freePort();
    const front = await inFrontOf([`127.0.0.1:${port}`]);
    const client = clientOf(front);
    const { bytes, digest } = blob(1000);
    const own = blob(1000);
    await client.blobs.write(own.digest, own.bytes);
    for (let i = 0; i < 4; i++) expect(await client.blobs.get(digest)).toBeUndefined();
    expect((await read(client, own.digest))?.equals(own.bytes)).toBe(true);
    expect(await metric(front, 'granary_circuit_state', { layer: 'tier0' })).toBe(1);
    const ready = await fetch(`http://${front.address('listen.admin')}/readyz`);
    expect([ready.status, await ready.text()]).toEqual([200, expect.stringContaining('tier0')]);

    const back = await server({ 'listen.grpc': `127.0.0.1:${port}` });
    await clientOf(back).blobs.write(digest, bytes);
    await vi.waitFor(async () => expect((await client.blobs.get(digest))?.equals(bytes)).toBe(true), 10_000);
    expect(await metric(front, 'granary_circuit_opens_total', { layer: 'tier0' })).toBeGreaterThan(0);
    await vi.waitFor(async () => expect(await metric(front, 'granary_circuit_state', { layer: 'tier0' })).toBe(0));
  });

  it('fails clearly while one that is required is not there, and is not ready where it must be', async () => {
    const tiers = [{ type: 'grpc', target: `127.0.0.1:${await freePort()}`, required: true, retries: 0 }];
    const front = await server({ tiers, 'readiness.require_upstream': true });
    const client = clientOf(front);
    const { digest } = blob(1000);
    await expect(client.blobs.get(digest)).rejects.toMatchObject({ kind: 'unavailable' });
    expect((await fetch(`http://${front.address('listen.admin')}/readyz`)).status).toBe(503);
    const asked = client.actionResults.get(`sha256/${digest.hash}/`);
    await expect((async () => asked)()).rejects.toMatchObject({ kind: 'unavailable' });
  });

  it('takes an upload for done only when a tier that is required has it, also when it is repeated', async () => {
    const port = await freePort();
    const front = await inFrontOf([`127.0.0.1:${port}`], { mode: 'write-through', required: true, rest: '10ms' });
    const { bytes, digest } = blob(1000);
    const upload = () => uploadTo(front, bytes, digest);
    for (const _ of 'ab') await expect(upload()).rejects.toMatchObject({ code: status.UNAVAILABLE });

    const back = await server({ 'listen.grpc': `127.0.0.1:${port}` });
    await vi.waitFor(upload, 10_000);
    expect(await clientOf(back).blobs.findMissing([digest])).toEqual([]);
  });

  it('keeps what is uploaded here, although a tier has it', async () => {
    const back = await server();
    const front = await inFrontOf([back.address('listen.grpc')], { mode: 'read-only' });
    const { bytes, digest } = blob(1000);
    await clientOf(back).blobs.write(digest, bytes);
    const client = clientOf(front);
    expect(await client.blobs.findMissing([digest])).toEqual([]);
    await uploadTo(front, bytes, digest);
    await back[Symbol.asyncDispose]();
    expect((await client.blobs.get(digest))?.equals(bytes)).toBe(true);
  });

  it('shares over gRPC what HTTP clients keep under the names of actions, too', async () => {
    const back = await server();
    const settings = { mode: 'write-through', required: true };
    const [one, other] = [
      await inFrontOf([back.address('listen.grpc')], settings),
      await inFrontOf([back.address('listen.grpc')]),
    ];
    const value = Buffer.from('no action result, as ccache keeps them');
    const path = `/ac/${blob(10).digest.hash}`;
    const put = await fetch(`http://${one.address('listen.http')}${path}`, { method: 'PUT', body: value });
    expect(put.status).toBe(200);
    for (const reader of [one, other, back]) {
      const response = await fetch(`http://${reader.address('listen.http')}${path}`);
      expect([response.status, await response.text()]).toEqual([200, String(value)]);
    }
  });

  it('refuses what comes back to it in a circle', async () => {
    const [first, second] = [await freePort(), await freePort()];
    const settings = (own: number, other: number) => ({
      'listen.grpc': `127.0.0.1:${own}`,
      tiers: [{ type: 'grpc', target: `127.0.0.1:${other}`, retries: 0, required: true }],
    });
    const one = await server(settings(first, second));
    await server(settings(second, first));
    const { digest } = blob(1000);
    const asked = clientOf(one).blobs.findMissing([digest]);
    await expect(asked).rejects.toThrow(/servers are tiers of each other/);
    const labels = { method: 'FindMissingBlobs', code: 'FAILED_PRECONDITION' };
    expect(await metric(one, 'granary_grpc_requests_total', labels)).toBe(1);
    expect(await metric(one, 'granary_grpc_requests_total', { method: 'FindMissingBlobs' })).toBe(2);
  });

  it('refuses that over HTTP, too, where blobs are asked for by their hash alone', async () => {
    const [first, second] = [await freePort(), await freePort()];
    const settings = (own: number, other: number) => ({
      'listen.http': `127.0.0.1:${own}`,
      tiers: [{ type: 'http', url: `http://127.0.0.1:${other}`, retries: 0 }],
    });
    const one = await server(settings(first, second));
    await server(settings(second, first));
    const { digest } = blob(1000);
    const response = await fetch(`http://127.0.0.1:${first}/cas/${digest.hash}`);
    expect(response.status).toBe(404);
    const asked = { route: 'cas', method: 'HEAD' };
    expect(await metric(one, 'granary_http_server_requests_total', { ...asked, code: '508' })).toBe(1);
    expect(await metric(one, 'granary_http_server_requests_total', asked)).toBe(1);
  });

  it('answers 503 over HTTP when a tier that is required can not be asked', async () => {
    const tier = { type: 'http', url: `http://127.0.0.1:${await freePort()}`, retries: 0, required: true };
    const office = await server({ tiers: [tier] });
    const url = `http://${office.address('listen.http')}/cas/${blob(10).digest.hash}`;
    for (const method of ['GET', 'HEAD']) expect((await fetch(url, { method })).status).toBe(503);
  });
});
