import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket as TcpSocket } from 'node:net';
import { StatsD } from 'hot-shots';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { collectorContract, type ToldSeries } from '../metrics/testing/collector-contract.js';
import { StatsDCollector, type StatsDCollectorOptions } from './index.js';

/** A StatsD server on loopback that keeps its packets. */
class UdpServer {
  readonly packets: string[] = [];
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('message', (packet) => this.packets.push(packet.toString()));
  }

  static async listen(): Promise<UdpServer> {
    const socket = createSocket({ type: 'udp4', recvBufferSize: 4 << 20 });
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    return new UdpServer(socket);
  }

  get port(): number {
    return this.#socket.address().port;
  }

  /** Lines of everything that was sent before this was called: loopback keeps the order. */
  async lines(): Promise<string[]> {
    this.#socket.send('end', this.port, '127.0.0.1');
    while (this.packets.at(-1) !== 'end') await once(this.#socket, 'message');
    this.packets.splice(0, this.packets.length, ...this.packets.filter((packet) => packet !== 'end'));
    return this.packets.flatMap((packet) => packet.split('\n'));
  }

  async close(): Promise<void> {
    this.#socket.close();
    await once(this.#socket, 'close');
  }
}

/** As the server would sum it up. */
function toldBy(lines: readonly string[]): ToldSeries[] {
  const series = new Map<
    string,
    { name: string; labels: Record<string, string>; value: number; count?: number; unit?: 'seconds' }
  >();
  for (const line of lines) {
    const [, stat = '', value = '', type = '', tags = ''] =
      /^([^:|]+):([\d.]+)\|(c|g|ms)(?:\|#(.*))?$/.exec(line) ?? [];
    expect(stat, line).toMatch(/^cache_chain\./);
    const isTotal = type === 'c';
    const name = stat.slice('cache_chain.'.length) + (isTotal ? '_total' : type === 'ms' ? '_seconds' : '');
    const labels = Object.fromEntries(
      tags
        .split(',')
        .filter((tag) => tag !== '')
        .map((tag) => [tag.slice(0, tag.indexOf(':')), tag.slice(tag.indexOf(':') + 1)]),
    );
    const key = `${name}${tags}`;
    const known = series.get(key) ?? {
      name,
      labels,
      value: 0,
      ...(type === 'ms' && { count: 0, unit: 'seconds' as const }),
    };
    series.set(key, known);
    if (type === 'g') known.value = Number(value);
    else known.value += Number(value) / (type === 'ms' ? 1000 : 1);
    if (known.count !== undefined) known.count++;
  }
  return [...series.values()];
}

let server: UdpServer;
let collector: StatsDCollector | undefined;

const setup = (options: StatsDCollectorOptions = {}) => {
  collector = new StatsDCollector({ host: '127.0.0.1', port: server.port, flushIntervalMs: 3_600_000, ...options });
  return collector;
};

beforeEach(async () => {
  server = await UdpServer.listen();
});

afterEach(async () => {
  await collector?.close();
  collector = undefined;
  await server.close();
});

collectorContract(
  'StatsDCollector',
  () => {
    const made = setup();
    const told = async () => {
      await made.flush();
      return toldBy(await server.lines());
    };
    return { collector: made, told };
  },
  { describe, it, expect },
);

describe('a collector for StatsD', () => {
  it('sums counts up, sends the last of a gauge and every duration', async () => {
    const statsd = setup();
    for (let i = 0; i < 3; i++) statsd.recordGet('L1', true, 0.25 * (i + 1));
    for (const depth of [4, 7]) statsd.recordQueueDepth('L1', depth);
    statsd.recordGet('L1', true, 1e-7);
    await statsd.flush();
    expect(await server.lines()).toEqual([
      'cache_chain.hits:4|c|#layer:L1',
      'cache_chain.queue_depth:7|g|#layer:L1',
      'cache_chain.operation_duration:0.25|ms|#layer:L1,operation:get',
      'cache_chain.operation_duration:0.5|ms|#layer:L1,operation:get',
      'cache_chain.operation_duration:0.75|ms|#layer:L1,operation:get',
      'cache_chain.operation_duration:0|ms|#layer:L1,operation:get',
    ]);
  });

  it('sends nothing where nothing happened', async () => {
    const statsd = setup();
    statsd.recordWriteDropped('L1');
    await statsd.flush();
    await statsd.flush();
    expect(await server.lines()).toEqual(['cache_chain.writes_dropped:1|c|#layer:L1']);
  });

  it('puts labels into the names where the server has no tags', async () => {
    const statsd = setup({ tags: false, prefix: 'shop' });
    statsd.recordGet('redis.eu:1', true, 2);
    statsd.recordError('L2', 'get', 'CACHE_TIMEOUT');
    statsd.recordChainGet(false, -1, 3);
    await statsd.flush();
    expect((await server.lines()).sort()).toEqual([
      'shop.chain_get_duration:3|ms',
      'shop.chain_gets.miss.none:1|c',
      'shop.errors.L2.get.CACHE_TIMEOUT:1|c',
      'shop.hits.redis_eu_1:1|c',
      'shop.operation_duration.redis_eu_1.get:2|ms',
    ]);
  });

  it('fills packets that fit into a frame, and adds global tags', async () => {
    const statsd = setup({ clientOptions: { globalTags: { env: 'test' } } });
    for (let i = 0; i < 200; i++) statsd.recordSet('L1', true, i);
    await statsd.flush();
    expect((await server.lines()).every((line) => line.includes('|#env:test,layer:L1'))).toBe(true);
    expect(Math.max(...server.packets.map((packet) => packet.length))).toBeLessThanOrEqual(1432);
    expect(server.packets.length).toBeLessThan(20);
  });

  it('keeps durations in bounds, and counts what it drops', async () => {
    const statsd = setup({ maxDurations: 10 });
    for (let ms = 1; ms <= 1000; ms++) statsd.recordGet('L1', true, ms);
    expect(statsd.dropped).toBe(990);
    await statsd.flush();
    const kept = toldBy(await server.lines()).find(({ count }) => count !== undefined);
    // Not just the first ten, whose mean would be 5.5 ms: that all are below 100 ms has a chance of one in 10¹⁰.
    expect(kept?.count).toBe(10);
    expect((kept?.value ?? 0) / 10).toBeGreaterThan(0.01);
    expect(await server.lines()).toContain('cache_chain.hits:1000|c|#layer:L1');
    statsd.recordGet('L1', true, 1);
    expect(statsd.dropped).toBe(990);
  });

  it('sends by itself, and no second time while the first goes on', async () => {
    vi.useFakeTimers();
    try {
      const flush = vi.fn<(done: () => void) => void>();
      const client = { increment: vi.fn(), timing: vi.fn(), flush, close: vi.fn() } as unknown as StatsD;
      const statsd = new StatsDCollector({ client, flushIntervalMs: 10 });
      statsd.recordWriteDropped('L1');
      vi.advanceTimersByTime(10);
      statsd.recordWriteDropped('L1');
      vi.advanceTimersByTime(50);
      expect(client.increment).toHaveBeenCalledExactlyOnceWith('cache_chain.writes_dropped', 1, ['layer:L1']);
      flush.mock.calls[0]?.[0]();
      await vi.advanceTimersByTimeAsync(10);
      expect(client.increment).toHaveBeenCalledTimes(2);
      const closing = statsd.close();
      await vi.advanceTimersByTimeAsync(500);
      await closing;
      expect(client.close).not.toHaveBeenCalled();
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });

  it('swallows what the socket says, and counts it', async () => {
    const statsd = setup({
      host: 'no-such-host.invalid',
      clientOptions: {
        cacheDns: false,
        udpSocketOptions: { type: 'udp4', lookup: (_name, _options, done) => done(new Error('not found'), '', 4) },
      },
    });
    statsd.recordGet('L1', true, 1);
    await statsd.flush();
    expect(statsd.errors).toBe(1);
    statsd.recordGet('L1', true, 1);
    await statsd.close();
    expect(statsd.errors).toBe(2);
  });

  describe('over TCP', () => {
    const listen = async (port: number, onConnection: (socket: TcpSocket) => void) => {
      const listener = createServer(onConnection).listen(port, '127.0.0.1');
      await once(listener, 'listening');
      return listener;
    };
    const freePort = async () => {
      const listener = await listen(0, () => {});
      const { port } = listener.address() as AddressInfo;
      listener.close();
      await once(listener, 'close');
      return port;
    };

    it('connects again when its server is back', async () => {
      const port = await freePort();
      const statsd = setup({ port, clientOptions: { protocol: 'tcp' } });
      const send = async () => {
        statsd.recordWriteDropped('L1');
        await statsd.flush();
      };
      await expect.poll(() => send().then(() => statsd.errors)).toBeGreaterThan(2);
      for (let i = 0; i < 2; i++) {
        const sockets: TcpSocket[] = [];
        const received: string[] = [];
        const listener = await listen(port, (socket) => {
          sockets.push(socket.on('data', (bytes) => received.push(`${bytes}`)));
        });
        await expect.poll(() => send().then(() => received.join(''))).toContain('cache_chain.writes_dropped:1|c');
        for (const socket of sockets) socket.end();
        listener.close();
        await once(listener, 'close');
      }
    });

    it('ends its connection when it is closed', async () => {
      const port = await freePort();
      const listener = await listen(port, (socket) => socket.resume());
      const connected = once(listener, 'connection');
      const statsd = setup({ port, clientOptions: { protocol: 'tcp' } });
      const [socket] = (await connected) as [TcpSocket];
      const ended = once(socket, 'close');
      await statsd.close();
      await ended;
      listener.close();
      await once(listener, 'close');
    });

    it('is closed although its server is gone', async () => {
      const statsd = setup({ port: await freePort(), clientOptions: { protocol: 'tcp' } });
      await expect.poll(() => statsd.errors).toBeGreaterThan(0);
      await statsd.close();
    });
  });

  it('counts what its client throws', async () => {
    const client = new StatsD({ mock: true });
    vi.spyOn(client, 'increment').mockImplementation(() => {
      throw new Error('broken');
    });
    const statsd = setup({ client });
    statsd.recordWriteDropped('L1');
    await statsd.flush();
    expect(statsd.errors).toBe(1);
    client.close();
  });

  it('sends the rest when it is closed, and nothing afterwards', async () => {
    const statsd = setup();
    statsd.recordGet('L1', true, 1);
    await Promise.all([statsd.close(), statsd[Symbol.asyncDispose]()]);
    statsd.recordGet('L1', true, 1);
    await statsd.flush();
    expect(await server.lines()).toHaveLength(2);
    expect(statsd.errors).toBe(0);
  });

  it('uses a client that is there, and leaves it open', async () => {
    const client = new StatsD({ mock: true, prefix: 'app' });
    const statsd = setup({ client });
    statsd.recordWriteDropped('L1');
    await statsd.close();
    expect(client.mockBuffer).toEqual(['app.cache_chain.writes_dropped:1|c|#layer:L1']);
    client.increment('still.open');
    expect(client.mockBuffer).toHaveLength(2);
    client.close();
  });

  it('refuses limits that are none', () => {
    expect(() => new StatsDCollector({ maxDurations: 0 })).toThrow(/maxDurations is 0/);
    expect(() => new StatsDCollector({ flushIntervalMs: Number.NaN })).toThrow(/flushIntervalMs is NaN/);
  });
});
