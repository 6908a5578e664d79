import { getEventListeners, once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { ManualTime } from '@granary/resilience/testing';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { InvalidationMessage } from '../invalidation/invalidation-bus.js';
import { FakeRedis } from '../testing/fake-redis.js';
import { RedisInvalidationBus, type RedisInvalidationBusOptions } from './redis-invalidation-bus.js';
import { startRedis, whyNoRedis } from './testing/redis-server.js';

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

const BEAT_MS = 1000;
const lost: InvalidationMessage = { type: 'lost' };
const keys = (...names: string[]): InvalidationMessage => ({ type: 'keys', keys: names });

async function makeBus(options: RedisInvalidationBusOptions) {
  const bus = new RedisInvalidationBus({ heartbeatMs: BEAT_MS, ...options });
  cleanUps.push(() => bus.close());
  await bus.ready();
  const heard: InvalidationMessage[] = [];
  const listener = (message: InvalidationMessage) => void heard.push(message);
  const leave = bus.subscribe(listener);
  return { bus, heard, listener, leave };
}

/** As long as a message of the fake takes. */
const arrival = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

describe('a bus over Redis', () => {
  it('tells other processes, and ignores its own messages', async () => {
    const redis = new FakeRedis();
    const one = await makeBus({ connection: redis });
    const other = await makeBus({ connection: redis.duplicate() });
    await one.bus.publish(keys('a'), one.listener);
    await one.bus.publish({ type: 'tag', tag: 'red' }, one.listener);
    await one.bus.publish({ type: 'clear' }, one.listener);
    await arrival();
    expect(other.heard).toEqual([keys('a'), { type: 'tag', tag: 'red' }, { type: 'clear' }]);
    expect(one.heard).toEqual([]);
  });

  it('tells the others in its own process at once', async () => {
    const redis = new FakeRedis();
    const { bus, heard, listener } = await makeBus({ connection: redis });
    const neighbour = vi.fn();
    bus.subscribe(neighbour);
    const published = bus.publish(keys('a'), listener);
    expect(neighbour).toHaveBeenCalledExactlyOnceWith(keys('a'));
    await published;
    await arrival();
    expect(heard).toEqual([]);
    expect(neighbour).toHaveBeenCalledOnce();
  });

  it('sends many keys in several messages', async () => {
    const redis = new FakeRedis();
    const one = await makeBus({ connection: redis });
    const other = await makeBus({ connection: redis.duplicate() });
    const names = Array.from({ length: 1234 }, (_, n) => `key ${n}`);
    await one.bus.publish(keys(...names));
    await arrival();
    expect(other.heard.length).toBe(3);
    expect(other.heard.flatMap((message) => (message.type === 'keys' ? message.keys : []))).toEqual(names);
  });

  it('keeps channels apart', async () => {
    const redis = new FakeRedis();
    const one = await makeBus({ connection: redis, channel: 'one' });
    const other = await makeBus({ connection: redis.duplicate(), channel: 'other' });
    await one.bus.publish(keys('a'));
    await arrival();
    expect(other.heard).toEqual([]);
  });

  it('tells listeners of the first moments that nothing was heard before', async () => {
    const bus = new RedisInvalidationBus({ connection: new FakeRedis() });
    cleanUps.push(() => bus.close());
    const listener = vi.fn();
    bus.subscribe(listener);
    await bus.ready();
    expect(listener).toHaveBeenCalledExactlyOnceWith(lost);
  });

  it('lets nobody wait for it longer than they want', async () => {
    const redis = new FakeRedis();
    redis.goDown();
    const bus = new RedisInvalidationBus({ connection: redis });
    cleanUps.push(() => bus.close());
    const controller = new AbortController();
    const ready = bus.ready({ signal: controller.signal });
    controller.abort(new Error('enough'));
    await expect(ready).rejects.toThrow('enough');
    await expect(bus.ready({ signal: controller.signal })).rejects.toThrow('enough');
    const patient = new AbortController();
    const later = bus.ready({ signal: patient.signal });
    redis.comeBack();
    await later;
    expect(getEventListeners(patient.signal, 'abort')).toEqual([]);
  });

  it('lets nobody wait for it any more when it is closed', async () => {
    const redis = new FakeRedis();
    redis.goDown();
    const bus = new RedisInvalidationBus({ connection: redis });
    const ready = bus.ready();
    await bus.close();
    await ready;
  });

  it('says that messages may be lost when the connection was, as soon as it listens again', async () => {
    const redis = new FakeRedis();
    const { bus, heard } = await makeBus({ connection: redis });
    redis.goDown();
    expect(bus.connected).toBe(false);
    expect(heard).toEqual([]);
    redis.comeBack();
    await arrival();
    expect(bus.connected).toBe(true);
    expect(heard).toEqual([lost]);
  });

  it('fails while Redis is down, and tells the others that they missed something when it is back', async () => {
    const timers = new ManualTime();
    const redis = new FakeRedis();
    const one = await makeBus({ connection: redis, timers });
    const other = await makeBus({ connection: redis.duplicate() });
    redis.hang();
    const published = one.bus.publish(keys('a'), one.listener).catch((error: Error) => error);
    redis.goDown();
    redis.comeBack();
    expect(await published).toMatchObject({ code: 'CACHE_TIMEOUT' });
    await arrival();
    other.heard.length = 0;
    for (let beat = 0; beat < 3; beat++) {
      await timers.advance(BEAT_MS);
      await arrival();
    }
    expect(other.heard).toEqual([lost]);
  });

  it('fails for many keys, too, and owes the others news until they can have them', async () => {
    const timers = new ManualTime();
    const redis = new FakeRedis();
    const one = await makeBus({ connection: redis, timers });
    const other = await makeBus({ connection: redis.duplicate() });
    await one.bus.publish(keys('a'), one.listener);
    redis.goDown();
    // What was sent before is to be told of with the next heartbeat.
    await timers.advance(BEAT_MS);
    const names = Array.from({ length: 1234 }, (_, n) => `key ${n}`);
    await expect(one.bus.publish(keys(...names), one.listener)).rejects.toMatchObject({ code: 'LAYER_UNAVAILABLE' });
    await timers.advance(BEAT_MS);
    redis.comeBack();
    await arrival();
    other.heard.length = 0;
    await timers.advance(BEAT_MS);
    await arrival();
    expect(other.heard).toEqual([lost]);
  });

  it('says nothing of heartbeats of others that have nothing new', async () => {
    const timers = new ManualTime();
    const redis = new FakeRedis();
    const one = await makeBus({ connection: redis, timers });
    const other = await makeBus({ connection: redis.duplicate(), timers });
    await one.bus.publish(keys('a'), one.listener);
    for (let beat = 0; beat < 4; beat++) {
      await timers.advance(BEAT_MS);
      await arrival();
    }
    expect(other.heard).toEqual([keys('a')]);
    expect(one.heard).toEqual([]);
  });

  it('notices by its heartbeat that nothing arrives any more, and makes the connection anew', async () => {
    const timers = new ManualTime();
    const redis = new FakeRedis();
    const { bus, heard } = await makeBus({ connection: redis, timers });
    await timers.advance(3 * BEAT_MS);
    expect(bus.connected).toBe(true);
    redis.hang();
    await timers.advance(2 * BEAT_MS);
    expect(bus.connected).toBe(false);
    redis.comeBack();
    await timers.advance(2 * BEAT_MS);
    expect(bus.connected).toBe(true);
    expect(heard).toContainEqual(lost);
  });

  it('notices a single message that is missing', async () => {
    const timers = new ManualTime();
    const redis = new FakeRedis();
    const other = await makeBus({ connection: redis, timers });
    const raw = redis.duplicate();
    const send = (number: number, news: InvalidationMessage | null) =>
      raw.publish('granary:invalidation', JSON.stringify([1, 'somebody', number, news]));
    await send(1, keys('a'));
    await send(3, keys('c'));
    await send(2, keys('b'));
    await timers.advance(3 * BEAT_MS);
    expect(other.heard).toEqual([keys('a'), keys('c'), keys('b')]);
    await send(5, null);
    await arrival();
    await timers.advance(2 * BEAT_MS);
    expect(other.heard.slice(3)).toEqual([lost]);
  });

  it('notices that the last message is missing, by what the heartbeat of its sender says was sent', async () => {
    const timers = new ManualTime();
    const [near, far] = [new FakeRedis(), new FakeRedis()];
    const one = await makeBus({ connection: near, timers });
    const other = await makeBus({ connection: far, timers });
    let isCut = false;
    const line = near.duplicate();
    await line.subscribe('granary:invalidation');
    const relay = vi.fn(async (channel: string, text: string) => void (isCut || (await far.publish(channel, text))));
    line.on('message', relay);
    await one.bus.publish(keys('a'));
    await arrival();
    isCut = true;
    await one.bus.publish(keys('b'));
    await arrival();
    isCut = false;
    for (let beat = 0; beat < 3; beat++) {
      await timers.advance(BEAT_MS);
      await arrival();
    }
    expect(other.heard).toEqual([keys('a'), lost]);
    // Who has sent nothing since has nothing to say to the others.
    expect(relay).toHaveBeenCalledTimes(3);
  });

  it('takes what it does not understand for a change of anything', async () => {
    const redis = new FakeRedis();
    const { heard } = await makeBus({ connection: redis });
    const strange = ['', '{', '{}', '7', 'null', '[]', '[2,"x",1,{"type":"clear"}]', '[1,7,1,{"type":"clear"}]'];
    strange.push('[1,"x","1",{"type":"clear"}]', '[1,"x",1.5,{"type":"clear"}]', '[1,"x",1,7]', '[1,"x",1,{}]');
    strange.push(
      '[1,"x",1,{"type":"keys"}]',
      '[1,"x",1,{"type":"keys","keys":"a"}]',
      '[1,"x",1,{"type":"keys","keys":[1]}]',
    );
    strange.push('[1,"x",1,{"type":"tag"}]', '[1,"x",1,{"type":"tag","tag":7}]', '[1,"x",1,{"type":"new"}]');
    for (const text of strange) await redis.publish('granary:invalidation', text);
    await arrival();
    expect(heard).toEqual(strange.map(() => lost));
  });

  it('leaves no timer, listener or connection behind when it is closed', async () => {
    const timers = new ManualTime();
    const redis = new FakeRedis();
    const { bus, heard } = await makeBus({ connection: redis, timers });
    await bus.close();
    await bus.close();
    expect(timers.pending).toBe(0);
    expect(redis.status).toBe('ready');
    expect(redis.eventNames().filter((event) => redis.listenerCount(event) > 0)).toEqual([]);
    expect(await redis.publish('granary:invalidation', 'anything')).toBe(0);
    expect(heard).toEqual([]);
    await expect(bus.publish(keys('a'))).rejects.toMatchObject({ code: 'CACHE_CLOSED' });
    expect(() => bus.subscribe(() => {})).toThrow(/closed/);
  });
});

const missing = whyNoRedis();
if (missing) it.skip(`the bus over a real Redis: ${missing}`, () => {});

describe.skipIf(missing)('with a real Redis', () => {
  it('arrives, and says that messages may be lost when Redis was killed and comes back', async () => {
    const server = await startRedis();
    cleanUps.push(() => server.stop());
    const one = await makeBus({ connection: server.url });
    const other = await makeBus({ connection: server.url });
    await one.bus.publish(keys('a', '\ud83d'), one.listener);
    await expect.poll(() => other.heard).toEqual([keys('a', '\ud83d')]);
    await server.kill();
    await expect(one.bus.publish(keys('b'), one.listener)).rejects.toMatchObject({ code: 'LAYER_UNAVAILABLE' });
    await server.restart();
    await expect.poll(() => other.heard.slice(1), { timeout: 10_000 }).toContainEqual(lost);
    await expect.poll(() => one.bus.connected, { timeout: 10_000 }).toBe(true);
    await expect
      .poll(
        () =>
          one.bus.publish(keys('c')).then(
            () => true,
            () => false,
          ),
        { timeout: 10_000 },
      )
      .toBe(true);
    await expect.poll(() => other.heard).toContainEqual(keys('c'));
    expect(one.heard).toContainEqual(lost);
  });

  it('makes the connections of options that leave this to it', async () => {
    const server = await startRedis();
    cleanUps.push(() => server.stop());
    const connection = { host: '127.0.0.1', port: server.port, lazyConnect: true };
    const [one, other] = [await makeBus({ connection }), await makeBus({ connection })];
    await one.bus.publish(keys('a'), one.listener);
    await expect.poll(() => other.heard).toEqual([keys('a')]);
  });

  it('notices a connection that died without a word', async () => {
    const server = await startRedis();
    cleanUps.push(() => server.stop());
    const line = await cuttableLine(server.port);
    const bus = await makeBus({ connection: `redis://127.0.0.1:${line.port}`, heartbeatMs: 100, timeoutMs: 100 });
    line.cut();
    await expect.poll(() => bus.bus.connected, { timeout: 5000 }).toBe(false);
    expect(bus.heard).toEqual([]);
    // Those that are made next are accepted, and then nothing arrives on them either.
    await expect.poll(() => line.connections, { timeout: 10_000 }).toBeGreaterThanOrEqual(4);
    line.mend();
    await expect.poll(() => bus.bus.connected, { timeout: 20_000 }).toBe(true);
    expect(bus.heard).toContainEqual(lost);
  });
});

/** A line to a port: on connections that it had when it was cut, or gets before it is mended, nothing arrives any more. */
async function cuttableLine(target: number) {
  const sockets = new Set<Socket>();
  const dead = new Set<Socket>();
  let isCut = false;
  let connections = 0;
  const server = createServer((near) => {
    connections++;
    const far = connect(target, '127.0.0.1');
    if (isCut) dead.add(near).add(far);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on('data', (bytes) => void (dead.has(from) || to.write(bytes)));
      from.on('error', () => {});
      from.on('close', () => to.destroy());
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanUps.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return {
    port: (server.address() as AddressInfo).port,
    get connections() {
      return connections;
    },
    cut: () => {
      isCut = true;
      for (const socket of sockets) dead.add(socket);
    },
    mend: () => {
      isCut = false;
    },
  };
}
