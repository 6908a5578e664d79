import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { inspect } from 'node:util';
import { InvalidOptionError } from '@granary/resilience';
import { ManualTime } from '@granary/resilience/testing';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, it } from 'vitest';
import { InvalidValueError } from '../errors.js';
import { FakeRedis } from '../testing/fake-redis.js';
import { RedisInvalidationBus } from './redis-invalidation-bus.js';
import { RedisLayer } from './redis-layer.js';
import { RedisTagIndex } from './redis-tag-index.js';
import { startRedis, whyNoRedis } from './testing/redis-server.js';

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

function layerOn(connection: ConstructorParameters<typeof RedisLayer>[0]['connection'], options = {}) {
  const layer = new RedisLayer<unknown>({ connection, timeoutMs: 100, ...options });
  cleanUps.push(() => layer.close());
  return layer;
}

/** A server that does with connections what the test wants. */
async function listen(onConnection: (socket: Socket) => void): Promise<{ server: Server; port: number }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    onConnection(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanUps.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { server, port: (server.address() as AddressInfo).port };
}

const msOf = async (work: () => Promise<unknown>): Promise<number> => {
  const start = performance.now();
  await work();
  return performance.now() - start;
};

describe('a Redis that accepts connections and says nothing', () => {
  it('holds up the first callers for their timeout, and later ones not at all', async () => {
    const { port } = await listen((socket) => socket.resume());
    const layer = layerOn(`redis://127.0.0.1:${port}`, { timeoutMs: 400 });
    const first = await msOf(async () => {
      const results = await Promise.allSettled([layer.get('a'), layer.set('b', 1), layer.getMany(['c', 'd'])]);
      for (const result of results) {
        expect(result).toMatchObject({ status: 'rejected', reason: { code: 'CACHE_TIMEOUT', timeoutMs: 400 } });
      }
    });
    expect(first).toBeLessThan(2000);
    const later = await msOf(() => expect(layer.get('a')).rejects.toMatchObject({ code: 'LAYER_UNAVAILABLE' }));
    expect(later).toBeLessThan(200);
    expect(await msOf(() => layer.close())).toBeLessThan(1000);
  });

  it('never holds up a caller whose signal is aborted', async () => {
    const { port } = await listen((socket) => socket.resume());
    const layer = layerOn(`redis://127.0.0.1:${port}`, { timeoutMs: 60_000 });
    const controller = new AbortController();
    const reason = new Error('gone');
    const get = layer.get('key', { signal: controller.signal });
    controller.abort(reason);
    await expect(get).rejects.toBe(reason);
  });
});

describe('a Redis that answers with what nobody can read', () => {
  it.each([
    ['a list that is longer than lists can be', '*4294967296\r\n'],
    ['lists in lists without end', '*1\r\n'.repeat(50_000)],
    ['no answer of Redis', 'HTTP/1.1 400 Bad Request\r\n'],
  ])('loses the connection, and nothing else: %s', async (_, answer) => {
    let connections = 0;
    const { port } = await listen((socket) => {
      connections++;
      socket.once('data', () => socket.write(answer));
    });
    const layer = layerOn(`redis://127.0.0.1:${port}`, { timeoutMs: 60_000 });
    await expect(layer.get('a')).rejects.toMatchObject({ code: 'LAYER_UNAVAILABLE' });
    await expect.poll(() => connections).toBeGreaterThan(1);
    await layer.close();
    connections = 0;
    const bus = new RedisInvalidationBus({ connection: `redis://127.0.0.1:${port}` });
    cleanUps.push(() => bus.close());
    // It has two connections, each of which is made anew.
    await expect.poll(() => connections).toBeGreaterThan(4);
    expect(bus.connected).toBe(false);
  });
});

/** A server that answers commands by their first words, in lower case, and all others alike. */
async function answering(answers: (port: number) => Readonly<Record<string, string>>, other: string) {
  const asked: string[] = [];
  const { port } = await listen((socket) => {
    socket.on('data', (data) => {
      const commands = data.toString('latin1').matchAll(/\*\d+\r\n\$\d+\r\n(\w+)(?:\r\n\$\d+\r\n([\w-]+))?/g);
      for (const [, name = '', word = ''] of commands) {
        const command = `${name} ${word}`.toLowerCase();
        asked.push(command);
        const known = answers(port);
        socket.write(known[command] ?? known[name.toLowerCase()] ?? other);
      }
    });
  });
  return { port, times: (command: string) => asked.filter((each) => each.startsWith(command)).length };
}

describe('nodes, Sentinels and servers of a group that answer what makes no sense', () => {
  const TOO_LONG = '*4294967296\r\n';
  const isUnavailable = (layer: RedisLayer<unknown>) =>
    expect(layer.get('a')).rejects.toMatchObject({ code: 'LAYER_UNAVAILABLE' });
  const groupOf = (port: number) => ({ sentinels: [{ host: '127.0.0.1', port }], name: 'group' });
  const addressOf = (port: number) => `*2\r\n$9\r\n127.0.0.1\r\n$${String(port).length}\r\n${port}\r\n`;

  it.each([
    ['no list', '*-1\r\n'],
    ['no ranges', '*1\r\n$-1\r\n'],
    ['no nodes', '*1\r\n*3\r\n:0\r\n:16383\r\n*-1\r\n'],
    ['no port', '*1\r\n*3\r\n:0\r\n:16383\r\n*1\r\n$1\r\na\r\n'],
    ['more slots than there are', '*1\r\n*2\r\n:0\r\n:16384\r\n'],
    ['slots without end', '*1\r\n*2\r\n:0\r\n:9007199254740991\r\n'],
    ['a list that is longer than lists can be', TOO_LONG],
  ])('have no slots of a cluster: %s', async (_, slots) => {
    const { port, times } = await answering(() => ({ 'cluster slots': slots }), '+OK\r\n');
    const layer = layerOn({ nodes: [{ host: '127.0.0.1', port }] }, { timeoutMs: 60_000 });
    await isUnavailable(layer);
    await expect.poll(() => times('cluster slots'), { timeout: 10_000 }).toBeGreaterThan(1);
  });

  it('lose the connection that a cluster listens to messages on', async () => {
    const { port, times } = await answering(
      (port) => ({
        'cluster slots': `*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:${port}\r\n`,
        'cluster info': '$16\r\ncluster_state:ok\r\n',
        subscribe: '*1\r\n$-1\r\n',
      }),
      '+OK\r\n',
    );
    const bus = new RedisInvalidationBus({ connection: { nodes: [{ host: '127.0.0.1', port }] }, heartbeatMs: 50 });
    cleanUps.push(() => bus.close());
    await expect.poll(() => times('subscribe'), { timeout: 10_000 }).toBeGreaterThan(1);
    expect(bus.connected).toBe(false);
  });

  it('are no server of the group', async () => {
    const { port, times } = await answering(
      (port) => ({ 'sentinel get-master-addr-by-name': addressOf(port), 'sentinel sentinels': '*0\r\n' }),
      '$-1\r\n',
    );
    await isUnavailable(layerOn(groupOf(port), { timeoutMs: 60_000 }));
    await expect.poll(() => times('info'), { timeout: 10_000 }).toBeGreaterThan(1);
  });
});

describe('a Redis that closes every connection', () => {
  it('is unavailable at once, and is not connected to all the time', async () => {
    let connections = 0;
    const { port } = await listen((socket) => {
      connections++;
      socket.destroy();
    });
    const layer = layerOn(`redis://127.0.0.1:${port}`, { timeoutMs: 5000 });
    expect(await msOf(() => expect(layer.get('a')).rejects.toMatchObject({ code: 'LAYER_UNAVAILABLE' }))).toBeLessThan(
      1000,
    );
    const failure = await layer.get('a').catch((error: Error) => error);
    expect(String(failure)).toMatch(/not connected to Redis/);
    expect(connections).toBeLessThan(10);
  });
});

describe('where nothing listens', () => {
  it('says so, with the reason', async () => {
    const { server, port } = await listen(() => {});
    server.close();
    const layer = layerOn({ host: '127.0.0.1', port }, { timeoutMs: 5000 });
    await layer.get('a').catch(() => {});
    await expect(layer.get('a')).rejects.toThrow(/ECONNREFUSED/);
  });
});

const missing = whyNoRedis();
if (missing) it.skip(`a Redis that is killed, frozen and comes back: ${missing}`, () => {});

describe.skipIf(missing)('a Redis that comes back', () => {
  const serving = (layer: RedisLayer<unknown>) =>
    expect.poll(() => layer.get('key').catch(() => 'down'), { timeout: 10_000 });

  it('is used again after it was killed', async () => {
    const server = await startRedis();
    cleanUps.push(() => server.stop());
    const layer = layerOn(server.url);
    await layer.set('key', 1);
    await server.kill();
    await expect(layer.get('key')).rejects.toMatchObject({ code: 'LAYER_UNAVAILABLE' });
    await server.restart();
    await serving(layer).toBeUndefined();
    await layer.set('key', 2);
    expect(await layer.get('key')).toBe(2);
    expect(layer.pending).toBe(0);
  });

  it('is used again after it stood still, and what was asked meanwhile is given up', async () => {
    const server = await startRedis();
    cleanUps.push(() => server.stop());
    const layer = layerOn(server.url);
    await layer.set('key', 1);
    server.freeze();
    const asked = Array.from({ length: 100 }, (_, i) => layer.get(`key ${i}`));
    const results = await Promise.allSettled(asked);
    expect(results.every(({ status }) => status === 'rejected')).toBe(true);
    await expect.poll(() => layer.pending, { timeout: 5000 }).toBe(0);
    server.thaw();
    await serving(layer).toBe(1);
  });
});

describe('a RedisLayer', () => {
  it('turns away what is too much to wait for, counting what was given up but never answered', async () => {
    const time = new ManualTime();
    const redis = new FakeRedis();
    const layer = new RedisLayer<number>({ connection: redis, timeoutMs: 100, maxPending: 3, timers: time });
    redis.hang();
    const gets = [layer.get('a'), layer.get('b'), layer.get('c')].map((get) => get.catch((error: Error) => error));
    await time.advance(100);
    for (const error of await Promise.all(gets)) expect(error).toMatchObject({ code: 'CACHE_TIMEOUT' });
    expect(layer.pending).toBe(3);
    await expect(layer.get('d')).rejects.toThrow(/3 commands wait/);
    expect(time.pending).toBe(0);
  });

  it('begins no more pieces of a batch when one has failed', async () => {
    const time = new ManualTime();
    const redis = new FakeRedis();
    const layer = new RedisLayer<number>({ connection: redis, timeoutMs: 100, timers: time });
    redis.hang();
    const batch = layer.getMany(Array.from({ length: 100_000 }, (_, n) => String(n))).catch((error: Error) => error);
    await time.advance(100);
    expect(await batch).toMatchObject({ code: 'CACHE_TIMEOUT' });
    expect(layer.pending).toBe(16);
  });

  it('leaves the client of its caller open, and closes its own', async () => {
    const redis = new FakeRedis();
    const layer = new RedisLayer<number>({ connection: redis });
    await layer.set('key', 1);
    await layer.close();
    expect(redis.status).toBe('ready');
    expect(redis.eventNames().filter((event) => redis.listenerCount(event) > 0)).toEqual([]);
    await expect(layer.get('key')).rejects.toMatchObject({ code: 'CACHE_CLOSED' });
  });

  it('ends the connection that it has made itself', async () => {
    const closed = new Set<Socket>();
    const open: Socket[] = [];
    const { port } = await listen((socket) => {
      open.push(socket.on('close', () => closed.add(socket)));
      socket.on('data', (bytes) => socket.write('+OK\r\n'.repeat(String(bytes).match(/^\*\d+\r$/gm)?.length ?? 0)));
    });
    const layer = layerOn(`redis://127.0.0.1:${port}`, { timeoutMs: 60_000 });
    await layer.set('key', 1);
    await layer.close();
    await expect.poll(() => closed.size).toBe(1);
    expect(open.length).toBe(1);
  });

  it('never sends what was given up before there was a connection', async () => {
    const redis = new FakeRedis();
    redis.goDown();
    const layer = layerOn(redis, { timeoutMs: 60_000 });
    const controller = new AbortController();
    const given = layer.set('given up', 1, { signal: controller.signal });
    const kept = layer.set('kept', 1);
    controller.abort(new Error('gone'));
    await expect(given).rejects.toThrow('gone');
    redis.comeBack();
    await kept;
    expect(await layer.get('given up')).toBeUndefined();
    expect(await layer.get('kept')).toBe(1);
  });

  it('waits for what is under way when it is closed', async () => {
    const layer = new RedisLayer<number>({ connection: new FakeRedis(), timeoutMs: 60_000 });
    const ended: string[] = [];
    const set = layer.set('key', 1).then(() => ended.push('set'));
    const close = layer.close().then(() => ended.push('close'));
    await Promise.all([set, close]);
    expect(ended).toEqual(['set', 'close']);
  });

  it("uses the caller's client with any options, and fails at once while that is not connected", async () => {
    const { port, server } = await listen(() => {});
    server.close();
    const client = new Redis({ port, host: '127.0.0.1', lazyConnect: true });
    cleanUps.push(() => client.disconnect());
    const layer = layerOn(client, { timeoutMs: 5000 });
    await layer.get('a').catch(() => {});
    expect(await msOf(() => expect(layer.get('a')).rejects.toMatchObject({ code: 'LAYER_UNAVAILABLE' }))).toBeLessThan(
      1000,
    );
  });

  it('passes on what the serializer throws', async () => {
    const layer = layerOn(new FakeRedis());
    const circular: { self?: unknown } = {};
    circular.self = circular;
    await expect(layer.set('key', circular)).rejects.toThrow(InvalidValueError);
    await expect(layer.setMany(new Map([['key', circular]]))).rejects.toThrow(InvalidValueError);
  });

  it('checks its options', () => {
    const connection = new FakeRedis();
    expect(() => new RedisLayer({ connection, prefix: '' })).toThrow(/prefix/);
    expect(() => new RedisLayer({ connection, timeoutMs: 0 })).toThrow(/timeoutMs/);
    expect(() => new RedisLayer({ connection, maxPending: 1.5 })).toThrow(/maxPending/);
    expect(() => new RedisLayer({ connection, ttlMs: -1 })).toThrow(/ttlMs/);
    for (const missing of [undefined, null, '', 6379]) {
      const options = { connection: missing as unknown as string };
      expect(() => new RedisLayer(options)).toThrow(/connection must be a URL, .* but is (undefined|null|empty|6379)/);
      expect(() => new RedisInvalidationBus(options)).toThrow(InvalidOptionError);
      expect(() => new RedisTagIndex(options)).toThrow(InvalidOptionError);
    }
  });

  it('sends large values in pieces', async () => {
    const layer = layerOn(new FakeRedis(), { timeoutMs: 5000 });
    const values = new Map(Array.from({ length: 5 }, (_, n) => [`key ${n}`, String(n).repeat(600_000)]));
    await layer.setMany(values);
    for (const [key, { value }] of await layer.getMany([...values.keys()])) expect(value).toBe(values.get(key));
  });
});

describe('a failure', () => {
  it('shows no password in its causes', async () => {
    const { port } = await listen((socket) => {
      socket.on('data', () => socket.write('-WRONGPASS invalid username-password pair\r\n'));
    });
    const layer = layerOn(`redis://user:s3cret@127.0.0.1:${port}`, { timeoutMs: 5000 });
    const error = await layer.get('key').catch((failure: unknown) => failure);
    expect(error).toMatchObject({ code: 'LAYER_UNAVAILABLE', message: expect.stringContaining('WRONGPASS') });
    expect(inspect(error, { depth: null })).not.toContain('s3cret');
  });

  it('shows no value in its causes, also not of the last node of a cluster', async () => {
    const client = new FakeRedis();
    const refused = Object.assign(new Error('OOM'), { command: { name: 'set', args: ['key', 's3cret'] } });
    for (const error of [refused, Object.assign(new Error('all nodes failed'), { lastNodeError: refused })]) {
      client.set = () => Promise.reject(error);
      const failure = await layerOn(client)
        .set('key', 's3cret')
        .catch((thrown: unknown) => thrown);
      expect(failure).toMatchObject({ code: 'LAYER_UNAVAILABLE', cause: error });
      expect(inspect(failure, { depth: null })).not.toContain('s3cret');
    }
  });
});
