import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import {
  constants,
  createServer as createHttp2Server,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DIGEST_FUNCTIONS, MemoryActionResultStore, MemoryBlobStore } from '@granary/blobs';
import { Server, ServerCredentials, status } from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import { freePort } from '../../../cache/src/redis/testing/free-port.js';
import { DigestFunction_Value as DigestFunction } from '../gen/build/bazel/remote/execution/v2/remote_execution_pb.js';
import { createRemoteCache } from '../grpc/remote-cache.js';
import { digestOf } from '../grpc/testing/loopback-cache.js';
import { GrpcTier } from './grpc-tier.js';
import { type GrpcTierOptions, resolveOptions } from './options.js';
import { disposeAfterEach } from './testing/disposal.js';
import { startLoopbackTier, testTier } from './testing/loopback-tier.js';
import { grpcError, type PeerHandlers, startTestPeer } from './testing/test-peer.js';

const use = disposeAfterEach(afterEach);
const OPTIONS = { name: 'upstream', mode: 'write-through', target: '127.0.0.1:1' } as const;

async function start(handlers: PeerHandlers, options: Partial<GrpcTierOptions> = {}) {
  const peer = use(await startTestPeer(handlers));
  const tier = use(testTier(`127.0.0.1:${peer.port}`, options));
  return { peer, tier, blobs: tier.blobs };
}

const pem = (name: string) =>
  readFile(new URL(`../../../granary/src/testing/certificates/${name}.pem`, import.meta.url));
const key = (name: string) =>
  readFile(new URL(`../../../granary/src/testing/certificates/${name}.key`, import.meta.url));

describe('a tier', () => {
  it('has what it was made with, and connects to nothing until it is used', async () => {
    let connections = 0;
    const server = createServer(() => connections++).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const tier = testTier(`127.0.0.1:${(server.address() as AddressInfo).port}`, { mode: 'read-only', required: true });
    expect(tier).toMatchObject({ name: 'upstream', mode: 'read-only', required: true });
    expect(tier.blobs.name).toBe('upstream');
    expect(tier.target).toMatch(/^grpc:\/\/127/);
    await tier.close();
    await tier.close();
    server.close();
    await once(server, 'close');
    expect(connections).toBe(0);
  });

  it.each([
    [{ connections: 0 }, /connections/],
    [{ connections: 1.5 }, /connections/],
    [{ compression: 'gzip' as never }, /compression/],
    [{ instanceName: 'a//b' }, /instanceName/],
    [{ instanceName: 'a/blobs' }, /instanceName/],
    [{ batch: { maxBlobs: 0 } }, /batch\.maxBlobs/],
    [{ batch: { delayMs: -1 } }, /batch\.delayMs/],
    [{ maxMessageBytes: 10 }, /maxMessageBytes/],
    [{ tls: {} }, /grpcs/],
    [{ target: 'grpcs://a', tls: { cert: 'x' } }, /tls\.key/],
    [{ target: 'grpcs://a', tls: { cert: 'x', key: 'y' } }, /tls:/],
    [{ token: '\n' }, /token/],
  ])('can not be made with %j', (options, error) => {
    expect(() => new GrpcTier({ ...OPTIONS, ...options })).toThrow(RangeError);
    expect(() => new GrpcTier({ ...OPTIONS, ...options })).toThrow(error);
  });

  it('says that a peer is not there, and finds it when it is back', async () => {
    const port = await freePort();
    const tier = use(testTier(`127.0.0.1:${port}`));
    await expect(tier.blobs.get(digestOf('a'))).rejects.toMatchObject({ kind: 'unavailable', retryable: true });
    await expect(tier.check(AbortSignal.timeout(5000))).rejects.toMatchObject({ kind: 'unavailable' });
    const grpc = new Server();
    const cache = createRemoteCache({ blobs: new MemoryBlobStore(), actionResults: new MemoryActionResultStore() });
    cache.addTo(grpc);
    await new Promise((resolve) =>
      grpc.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), () => resolve(undefined)),
    );
    try {
      await expect
        .poll(
          () =>
            tier.check(AbortSignal.timeout(5000)).then(
              () => 'there',
              () => 'gone',
            ),
          { timeout: 20_000 },
        )
        .toBe('there');
      expect(await tier.blobs.get(digestOf('a'))).toBeUndefined();
    } finally {
      grpc.forceShutdown();
    }
  });

  it('gives up on a black hole with the caller, and in any case in time', async () => {
    const sockets: Socket[] = [];
    const hole = createServer((socket) => sockets.push(socket)).listen(0, '127.0.0.1');
    await once(hole, 'listening');
    const { port } = hole.address() as AddressInfo;
    const tier = use(testTier(`127.0.0.1:${port}`, { timeoutMs: 50 }));
    await expect(tier.blobs.get(digestOf('a'))).rejects.toMatchObject({ kind: 'timeout' });
    await expect(tier.check(AbortSignal.timeout(5000))).rejects.toMatchObject({ kind: 'timeout' });
    const patient = use(testTier(`127.0.0.1:${port}`));
    const abort = new AbortController();
    const asked = patient.blobs.get(digestOf('a'), { signal: abort.signal });
    abort.abort(new Error('gone'));
    await expect(asked).rejects.toThrow('gone');
    for (const socket of sockets) socket.destroy();
    hole.close();
  });

  it('ends what is under way when it is closed', async () => {
    const hang = () => new Promise<never>(() => {});
    const { peer, tier, blobs } = await start({
      batchRead: hang,
      findMissing: hang,
      read: () => {},
      write: () => {},
      getActionResult: hang,
    });
    const pending = [
      blobs.get(digestOf('a')),
      blobs.findMissing([digestOf('a')]),
      blobs.read(digestOf('a'), { offset: 0, limit: 1 }),
      blobs.read(digestOf('ab'), { offset: 1 }),
      blobs.write(digestOf(Buffer.alloc(300_000)), Buffer.alloc(300_000)),
      tier.actionResults.get(`sha256/${'ab'.repeat(32)}/`),
    ].map((promise) => Promise.resolve(promise).catch((error: { code: string }) => error.code));
    while (new Set(peer.calls).size < 5) await new Promise(setImmediate);
    await tier.close();
    expect(new Set(await Promise.all(pending))).toEqual(new Set(['STORE_CLOSED']));
    await expect(tier.check(AbortSignal.timeout(1000))).rejects.toMatchObject({ code: 'STORE_CLOSED' });
  });

  it('closes its connections', async () => {
    const peer = use(await startTestPeer({ findMissing: () => ({}) }));
    const opened: Socket[] = [];
    const closed: Promise<unknown>[] = [];
    // A proxy sees the connections that the server keeps to itself.
    const proxy = createServer((socket) => {
      opened.push(socket);
      closed.push(once(socket, 'close'));
      const through = connect(peer.port, '127.0.0.1');
      socket.pipe(through).pipe(socket);
      socket.on('error', () => through.destroy());
      through.on('error', () => socket.destroy());
    }).listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    const tier = testTier(`127.0.0.1:${(proxy.address() as AddressInfo).port}`, {
      connections: 3,
      batch: { maxBlobs: 1 },
    });
    await tier.blobs.findMissing([digestOf('a')]);
    expect(opened).toHaveLength(1);
    await tier.blobs.findMissing(['b', 'c', 'd', 'e'].map((text) => digestOf(text)));
    expect(opened).toHaveLength(3);
    await tier.close();
    await Promise.all(closed);
    proxy.close();
  });

  it('speaks through a socket in the file system', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'granary-socket-'));
    const path = join(directory, 'cache.sock');
    const grpc = new Server();
    createRemoteCache({ blobs: new MemoryBlobStore(), actionResults: new MemoryActionResultStore() }).addTo(grpc);
    await new Promise((resolve) => grpc.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), resolve));
    const tier = testTier(`unix:${path}`);
    try {
      await tier.blobs.write(digestOf('a'), Buffer.from('a'));
      expect(String(await tier.blobs.get(digestOf('a')))).toBe('a');
    } finally {
      await tier.close();
      grpc.forceShutdown();
      await rm(directory, { recursive: true });
    }
  });

  it('sends its headers and its token with every call', async () => {
    const { peer, blobs } = await start(
      { capabilities: () => ({}), findMissing: () => ({}), read: (_, call) => call.end() },
      { headers: { 'x-team': 'a' }, token: 'secret-token' },
    );
    await blobs.findMissing([digestOf('a')]);
    await blobs.read(digestOf('ab'), { offset: 1 }).catch(() => {});
    expect(peer.calls).toEqual(['GetCapabilities', 'FindMissingBlobs', 'Read']);
    for (const metadata of peer.metadata)
      expect(metadata.getMap()).toMatchObject({ 'x-team': 'a', authorization: 'Bearer secret-token' });
  });

  it('does not repeat credentials that a peer quotes', async () => {
    const { blobs } = await start(
      {
        findMissing: () => {
          throw grpcError(status.UNAUTHENTICATED, 'the token secret-token is no good');
        },
      },
      { token: 'secret-token' },
    );
    await expect(blobs.findMissing([digestOf('a')])).rejects.toMatchObject({
      kind: 'refused',
      message: expect.not.stringContaining('secret'),
    });
  });
});

describe('a tier over TLS', () => {
  async function startSecure(client: boolean) {
    const grpc = new Server();
    createRemoteCache({
      blobs: new MemoryBlobStore(),
      actionResults: new MemoryActionResultStore(),
      digestFunctions: DIGEST_FUNCTIONS,
    }).addTo(grpc);
    const pair = { cert_chain: await pem('server'), private_key: await key('server') };
    const credentials = ServerCredentials.createSsl(client ? await pem('ca') : null, [pair], client);
    const port = await new Promise<number>((resolve, reject) =>
      grpc.bindAsync('127.0.0.1:0', credentials, (error, bound) => (error ? reject(error) : resolve(bound))),
    );
    use({ [Symbol.asyncDispose]: async () => grpc.forceShutdown() });
    return port;
  }

  it('trusts the authorities that it is given and no others', async () => {
    const port = await startSecure(false);
    const ca = await pem('ca');
    const trusting = use(testTier(`grpcs://localhost:${port}`, { tls: { ca } }));
    expect(await trusting.blobs.get(digestOf('a'))).toBeUndefined();
    const others = use(testTier(`grpcs://localhost:${port}`, { tls: { ca: String(await pem('stranger-ca')) } }));
    await expect(others.blobs.get(digestOf('a'))).rejects.toMatchObject({ kind: 'unavailable' });
    const nobody = use(testTier(`grpcs://localhost:${port}`));
    await expect(nobody.blobs.get(digestOf('a'))).rejects.toMatchObject({ kind: 'unavailable' });
    const plain = use(testTier(`localhost:${port}`, { timeoutMs: 2000 }));
    await expect(plain.blobs.get(digestOf('a'))).rejects.toMatchObject({ code: 'TIER_UNAVAILABLE' });
  });

  it('expects the name that it is told', async () => {
    const port = await startSecure(false);
    const ca = await pem('ca');
    const right = use(testTier(`grpcs://127.0.0.1:${port}`, { tls: { ca, serverName: 'localhost' } }));
    expect(await right.blobs.get(digestOf('a'))).toBeUndefined();
    const wrong = use(testTier(`grpcs://127.0.0.1:${port}`, { tls: { ca, serverName: 'cache.example.com' } }));
    await expect(wrong.blobs.get(digestOf('a'))).rejects.toMatchObject({ kind: 'unavailable' });
  });

  it('shows its certificate to a peer that asks for one', async () => {
    const port = await startSecure(true);
    const ca = await pem('ca');
    const known = use(
      testTier(`grpcs://localhost:${port}`, { tls: { ca, cert: await pem('client'), key: await key('client') } }),
    );
    expect(await known.blobs.get(digestOf('a'))).toBeUndefined();
    const unknown = use(testTier(`grpcs://localhost:${port}`, { tls: { ca } }));
    await expect(unknown.blobs.get(digestOf('a'))).rejects.toMatchObject({ kind: 'unavailable' });
  });
});

describe('what a peer can do', () => {
  it('is asked once, before the first operation, whatever comes at once', async () => {
    const { peer, blobs } = await start({ capabilities: () => ({}), findMissing: () => ({}), batchRead: () => ({}) });
    await Promise.allSettled([
      blobs.findMissing([digestOf('a')]),
      blobs.get(digestOf('a')),
      blobs.findMissing([digestOf('b')]),
    ]);
    await blobs.findMissing([digestOf('c')]);
    expect(peer.calls[0]).toBe('GetCapabilities');
    expect(peer.count('GetCapabilities')).toBe(1);
  });

  it('is taken to be little when it does not say, and is still asked for with the instance', async () => {
    let instance = '';
    const { blobs } = await start(
      {
        capabilities: ({ instanceName }) => {
          instance = instanceName;
          throw grpcError(status.PERMISSION_DENIED);
        },
        findMissing: ({ blobDigests }) => ({ missingBlobDigests: blobDigests }),
      },
      { instanceName: 'main' },
    );
    const [a, b] = [digestOf('a'), digestOf('a', 'blake3')];
    expect(await blobs.findMissing([a, b])).toEqual([a, b]);
    expect(instance).toBe('main');
  });

  it('is asked again after a while, and nobody waits for that', async () => {
    let now = 0;
    let functions: DigestFunction[] = [DigestFunction.SHA256];
    let gate: Promise<void> | undefined;
    const peer = use(
      await startTestPeer({
        capabilities: async () => {
          await gate;
          return { cacheCapabilities: { digestFunctions: functions } };
        },
        findMissing: () => ({}),
      }),
    );
    const options = { ...OPTIONS, target: `127.0.0.1:${peer.port}` };
    const tier = use(
      new GrpcTier(
        options,
        resolveOptions(options, () => now),
      ),
    );
    const blake3 = digestOf('a', 'blake3');
    expect(await tier.blobs.findMissing([blake3])).toEqual([blake3]);
    functions = [DigestFunction.SHA256, DigestFunction.BLAKE3];
    let open = () => {};
    gate = new Promise((resolve) => (open = resolve));
    now += 5 * 60_000;
    expect(await tier.blobs.findMissing([blake3])).toEqual([blake3]);
    open();
    await expect.poll(() => tier.blobs.findMissing([blake3])).toEqual([]);
    expect(peer.count('GetCapabilities')).toBe(2);
  });

  it('is asked again after the connection was lost', async () => {
    let isDown = false;
    const { peer, blobs } = await start({
      capabilities: () => ({}),
      findMissing: () => {
        if (isDown) throw grpcError(status.UNAVAILABLE);
        return {};
      },
    });
    await blobs.findMissing([digestOf('a')]);
    isDown = true;
    await expect(blobs.findMissing([digestOf('a')])).rejects.toMatchObject({ kind: 'unavailable' });
    isDown = false;
    await blobs.findMissing([digestOf('a')]);
    await expect.poll(() => peer.count('GetCapabilities')).toBe(2);
  });

  it('is asked again by the next operation when the first could not', async () => {
    let isDown = true;
    const { peer, blobs } = await start({
      capabilities: () => {
        if (isDown) throw grpcError(status.UNAVAILABLE);
        return {};
      },
      findMissing: () => ({}),
    });
    await expect(blobs.findMissing([digestOf('a')])).rejects.toMatchObject({ kind: 'unavailable' });
    isDown = false;
    expect(await blobs.findMissing([digestOf('a')])).toEqual([]);
    expect(peer.count('FindMissingBlobs')).toBe(1);
  });

  it('may be nonsense', async () => {
    const { tier, blobs } = await start({ capabilities: () => Buffer.from('nonsense'), findMissing: () => ({}) });
    await expect(tier.check(AbortSignal.timeout(5000))).rejects.toMatchObject({ kind: 'invalid' });
    expect(await blobs.findMissing([digestOf('a')])).toEqual([]);
  });

  it('tells that it is there, even by not knowing the question', async () => {
    const { tier } = await start({});
    await tier.check(AbortSignal.timeout(5000));
    const refused = await start({
      capabilities: () => {
        throw grpcError(status.UNAUTHENTICATED);
      },
    });
    await expect(refused.tier.check(AbortSignal.timeout(5000))).rejects.toMatchObject({ kind: 'refused' });
    await expect(tier.check(AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone');
  });
});

it('works through two Granaries, one behind the other', async () => {
  const back = use(await startLoopbackTier({ compression: 'on' }));
  const front = use(await startLoopbackTier({}, { blobs: back.tier.blobs }));
  const bytes = Buffer.alloc(3_000_000, 'granary');
  await front.tier.blobs.write(digestOf(bytes), bytes);
  expect(back.blobs.get(digestOf(bytes))).toBeTruthy();
  expect((await front.tier.blobs.get(digestOf(bytes)))?.equals(bytes)).toBe(true);
});

describe('a peer behind something that speaks only HTTP', () => {
  async function startHttp(answer: (stream: ServerHttp2Stream) => void) {
    const server = createHttp2Server().on('stream', answer).listen(0, '127.0.0.1');
    const sessions = new Set<ServerHttp2Session>();
    server.on('session', (session) => sessions.add(session));
    await once(server, 'listening');
    use({
      [Symbol.asyncDispose]: async () => {
        for (const session of sessions) session.destroy();
        server.close();
      },
    });
    return use(testTier(`127.0.0.1:${(server.address() as AddressInfo).port}`));
  }

  it.each([
    [401, 'refused'],
    [403, 'refused'],
    [404, 'refused'],
    [429, 'unavailable'],
    [503, 'unavailable'],
    [200, 'invalid'],
  ])('that answers %i is %s', async (code, kind) => {
    const tier = await startHttp((stream) => {
      stream.respond({ ':status': code, 'content-type': 'text/html' });
      stream.end('<html></html>');
    });
    await expect(tier.blobs.findMissing([digestOf('a')])).rejects.toMatchObject({ kind });
  });

  it('that resets a stream in its middle is unavailable', async () => {
    const tier = await startHttp((stream) => {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
      stream.on('error', () => {});
      stream.write(Buffer.from([0, 0, 0, 1, 0, 0x52]));
      stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    });
    await expect(tier.blobs.read(digestOf('abc'), { offset: 1 })).rejects.toMatchObject({
      kind: 'unavailable',
      retryable: true,
    });
  });

  it('that sends a message without an end, or two for one, is no peer', async () => {
    const message = Buffer.from([0, 0, 0, 0, 0]);
    const endless = await startHttp((stream) => {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
      stream.on('error', () => {});
      stream.write(Buffer.concat([message, message]));
    });
    await expect(endless.check(AbortSignal.timeout(5000))).rejects.toMatchObject({ kind: 'invalid' });
    const silent = await startHttp((stream) => {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end();
    });
    await expect(silent.check(AbortSignal.timeout(5000))).rejects.toMatchObject({ kind: 'invalid' });
  });
});
