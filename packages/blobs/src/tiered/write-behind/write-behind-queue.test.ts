import { spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CircuitOpenError } from '@granary/resilience';
import { ManualTime } from '@granary/resilience/testing';
import { noopCollector } from '@granary/telemetry';
import { open } from 'lmdb';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Digest } from '../../digest.js';
import { blobPin, EntryPins } from '../../disk/index/entry-pins.js';
import { BlobTooLargeError, StoreClosedError, TierUnavailableError } from '../../errors.js';
import { MemoryActionResultStore } from '../../memory/memory-action-result-store.js';
import { MemoryBlobStore } from '../../memory/memory-blob-store.js';
import { RemoteStoreError } from '../../remote/remote-store-error.js';
import { blobOf } from '../../testing/content.js';
import { ScriptedStore } from '../../testing/scripted-store.js';
import { TemporaryStores } from '../../testing/temporary-stores.js';
import { TieredActionResultStore } from '../tiered-action-result-store.js';
import { TieredBlobStore } from '../tiered-blob-store.js';
import { writeBehindTargets } from './targets.js';
import { WriteBehindQueue, type WriteBehindQueueOptions, type WriteBehindTarget } from './write-behind-queue.js';

const stores = new TemporaryStores();
const opened: WriteBehindQueue[] = [];
afterEach(async () => {
  for (const queue of opened.splice(0)) await queue.close();
  await stores.dispose();
});

let time: ManualTime;
beforeEach(() => {
  time = new ManualTime();
});

const gone = () => new RemoteStoreError('far', 'unavailable', 'nobody listens');
const nth = (i: number) => blobOf(100, i).digest;
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** A tier that notes what it gets; what it is told to do comes first. */
class NotedTarget implements WriteBehindTarget {
  readonly tier: string;
  readonly sent: string[] = [];
  readonly begun: string[] = [];
  most = 0;
  before: (what: string, signal: AbortSignal) => unknown = () => {};
  #running = 0;

  constructor(tier = 'far') {
    this.tier = tier;
  }

  sendBlob(digest: Digest, signal: AbortSignal): Promise<boolean> {
    return this.#send(String(digest), signal);
  }

  sendActionResult(key: string, signal: AbortSignal): Promise<boolean> {
    return this.#send(key, signal);
  }

  async #send(what: string, signal: AbortSignal): Promise<boolean> {
    this.begun.push(what);
    this.most = Math.max(this.most, ++this.#running);
    try {
      if ((await this.before(what, signal)) === false) return false;
      this.sent.push(what);
      return true;
    } finally {
      this.#running--;
    }
  }
}

async function openQueue(options: Partial<WriteBehindQueueOptions> = {}): Promise<WriteBehindQueue> {
  const directory = options.directory ?? join(await stores.folder(), 'queue');
  const queue = await WriteBehindQueue.open({ timers: time, clock: time.clock, ...options, directory });
  opened.push(queue);
  return queue;
}

describe('a queue of writes', () => {
  it('writes in the background, an action result after the blobs before it', async () => {
    const queue = await openQueue();
    const far = new NotedTarget();
    const slow = nth(0);
    let finish = () => {};
    far.before = (what) =>
      what === String(slow)
        ? new Promise<void>((resolve) => {
            finish = resolve;
          })
        : undefined;
    queue.start([far]);
    await queue.blob('far', slow);
    await queue.actionResult('far', 'result');
    for (let i = 1; i < 4; i++) await queue.blob('far', nth(i));
    await vi.waitFor(() => expect(far.sent).toHaveLength(3));
    expect(far.sent).toEqual([1, 2, 3].map((i) => String(nth(i))));
    finish();
    await queue.settled();
    expect(far.sent.slice(3)).toEqual([String(slow), 'result']);
    expect(queue.stats()).toEqual([{ tier: 'far', depth: 0, bytes: 0, oldestMs: 0, dropped: 0, paused: false }]);
  });

  it('writes several at once, and no more than it may', async () => {
    const queue = await openQueue({ maxParallel: 3 });
    const far = new NotedTarget();
    far.before = turn;
    queue.start([far]);
    await Promise.all(Array.from({ length: 20 }, (_, i) => queue.blob('far', nth(i))));
    await queue.settled();
    expect(far.sent).toHaveLength(20);
    expect(far.most).toBe(3);
  });

  it('writes the same once while it waits', async () => {
    const queue = await openQueue();
    const far = new NotedTarget();
    for (let i = 0; i < 5; i++) {
      await Promise.all([queue.blob('far', nth(1)), queue.blob('far', nth(1)), queue.actionResult('far', 'key')]);
    }
    expect(queue.stats()).toMatchObject([{ depth: 2, bytes: 100 }]);
    queue.start([far]);
    await queue.settled();
    expect(far.sent).toEqual([String(nth(1)), 'key']);
  });

  it('writes a result again that was changed while it was under way, one after the other', async () => {
    const queue = await openQueue();
    const far = new NotedTarget();
    let finish = () => {};
    far.before = () => new Promise<void>((resolve) => (finish = resolve));
    queue.start([far]);
    await queue.actionResult('far', 'key');
    await vi.waitFor(() => expect(far.begun).toEqual(['key']));
    await queue.actionResult('far', 'key');
    await turn();
    expect(far.begun).toEqual(['key']);
    finish();
    await vi.waitFor(() => expect(far.begun).toEqual(['key', 'key']));
    finish();
    await queue.settled();
    expect(far.sent).toEqual(['key', 'key']);
  });

  it('moves a result that is written again behind the blobs that came since', async () => {
    const queue = await openQueue({ maxParallel: 1 });
    const far = new NotedTarget();
    await queue.actionResult('far', 'key');
    await queue.blob('far', nth(1));
    await queue.actionResult('far', 'key');
    queue.start([far]);
    await queue.settled();
    expect(far.sent).toEqual([String(nth(1)), 'key']);
  });

  it('keeps tiers apart', async () => {
    const queue = await openQueue();
    const [far, near] = [new NotedTarget('far'), new NotedTarget('near')];
    far.before = () => {
      throw gone();
    };
    queue.start([far, near]);
    await queue.blob('far', nth(1));
    await queue.blob('near', nth(1));
    await queue.settled();
    expect(near.sent).toEqual([String(nth(1))]);
    expect(queue.stats()).toMatchObject([
      { tier: 'far', depth: 1, paused: true },
      { tier: 'near', depth: 0 },
    ]);
    await expect(queue.blob('other', nth(1))).rejects.toThrow('there is no tier other');
  });

  it('tells what it does', async () => {
    const metrics = {
      ...noopCollector,
      enabled: true,
      recordQueueDepth: vi.fn(),
      recordWriteDropped: vi.fn(),
      recordAsyncWrite: vi.fn(() => {
        throw new Error('a collector that fails');
      }),
    };
    const queue = await openQueue({ metrics });
    const far = new NotedTarget();
    far.before = (what) => what !== 'gone';
    queue.start([far]);
    await queue.blob('far', nth(1));
    await queue.actionResult('far', 'gone');
    await queue.settled();
    expect(metrics.recordQueueDepth.mock.calls.map(([, depth]) => depth)).toContain(1);
    expect(metrics.recordQueueDepth).toHaveBeenLastCalledWith('far', 0);
    expect(metrics.recordAsyncWrite.mock.calls).toEqual([
      ['far', true, expect.any(Number)],
      ['far', false, expect.any(Number)],
    ]);
    expect(metrics.recordWriteDropped.mock.calls).toEqual([['far']]);
  });
});

describe('a queue that is full', () => {
  it('drops what comes, counts it, and says so once in a while', async () => {
    const dropped: string[] = [];
    const logged: unknown[][] = [];
    const logger = new Proxy({} as never, {
      get: (_, level) => (level === 'error' ? (...args: unknown[]) => logged.push(args) : () => {}),
    });
    const queue = await openQueue({
      maxEntries: 3,
      logger,
      onDropped: (tier, what, reason) => {
        dropped.push(`${tier} ${what} ${reason}`);
        throw new Error('a listener that fails');
      },
    });
    for (let i = 0; i < 10; i++) await queue.blob('far', nth(i));
    await queue.blob('near', nth(1));
    await queue.actionResult('far', 'key');
    expect(queue.stats()).toMatchObject([{ depth: 3, dropped: 8 }, { depth: 1 }]);
    expect(dropped[0]).toBe(`far ${nth(3)} full`);
    expect(logged).toHaveLength(1);
    // Of those that followed it, too, when nothing more is dropped.
    await time.advance(61_000);
    expect(logged).toHaveLength(2);
    expect(logged[1]?.slice(1)).toEqual([7, 'far', 'full']);
    await queue.blob('far', nth(11));
    expect(logged).toHaveLength(2);
    // What waits already is not dropped when it is asked for again.
    await queue.blob('far', nth(0));
    expect(dropped).toHaveLength(9);
    await queue.close();
    expect(logged[2]?.slice(1)).toEqual([1, 'far', 'full']);
    expect(logged).toHaveLength(3);
  });

  it('is bounded in bytes too', async () => {
    const queue = await openQueue({ maxBytes: 250 });
    for (let i = 0; i < 5; i++) await queue.blob('far', nth(i));
    expect(queue.stats()).toMatchObject([{ depth: 2, bytes: 200, dropped: 3 }]);
    const far = new NotedTarget();
    queue.start([far]);
    await queue.settled();
    await queue.blob('far', nth(9));
    await queue.settled();
    expect(far.sent).toContain(String(nth(9)));
  });

  it('knows how long the oldest has waited', async () => {
    const queue = await openQueue();
    await queue.blob('far', nth(1));
    await time.advance(5000);
    await queue.blob('far', nth(2));
    expect(queue.stats()).toMatchObject([{ oldestMs: 5000 }]);
  });
});

describe('a tier that fails', () => {
  it('is left alone with growing waits, then used again by itself, in order', async () => {
    const queue = await openQueue({ backoff: { jitter: 0 }, maxParallel: 2 });
    const far = new NotedTarget();
    let well = false;
    far.before = () => {
      if (!well) throw gone();
    };
    queue.start([far]);
    for (let i = 0; i < 5; i++) await queue.blob('far', nth(i));
    await queue.settled();
    const first = far.begun.length;
    expect(first).toBeLessThanOrEqual(2);
    await time.advance(999);
    expect(far.begun.length).toBe(first);
    await time.advance(1);
    await queue.settled();
    expect(far.begun.length).toBe(first + 1);
    await time.advance(1999);
    expect(far.begun.length).toBe(first + 1);
    well = true;
    await time.advance(1);
    await queue.settled();
    expect(far.sent).toEqual([0, 1, 2, 3, 4].map((i) => String(nth(i))));
    expect(queue.stats()).toMatchObject([{ depth: 0, dropped: 0, paused: false }]);
  });

  it('is left alone for as long as its breaker is open, or it asked for', async () => {
    const errors = [
      new TierUnavailableError('far', 'it is given a rest', { cause: new CircuitOpenError(45_000, 'far') }),
      new RemoteStoreError('far', 'exhausted', 'slowly', { retryAfterMs: 20_000 }),
      new RemoteStoreError('far', 'exhausted', 'next year', { retryAfterMs: 1e12 }),
      new TierUnavailableError('far', 'no answer', { cause: new Error('reset') }),
    ];
    const waits = [45_000, 20_000, 600_000, 8000];
    const queue = await openQueue({ backoff: { jitter: 0 } });
    const far = new NotedTarget();
    far.before = () => {
      const error = errors[far.begun.length - 1];
      if (error) throw error;
    };
    queue.start([far]);
    await queue.blob('far', nth(1));
    for (const [i, wait] of waits.entries()) {
      await queue.settled();
      expect(far.begun).toHaveLength(i + 1);
      await time.advance(wait - 1);
      expect(far.begun).toHaveLength(i + 1);
      await time.advance(1);
    }
    await queue.settled();
    expect(far.sent).toHaveLength(1);
  });

  it('loses nothing of it, however often it fails, but what it refuses again and again is given up', async () => {
    const dropped: string[] = [];
    const queue = await openQueue({
      maxRefusals: 3,
      onDropped: (_, what, reason) => dropped.push(`${what} ${reason}`),
    });
    const far = new NotedTarget();
    const odd = String(nth(0));
    let failures = 20;
    far.before = (what) => {
      if (what === odd) throw new RemoteStoreError('far', 'invalid', 'what is this?');
      if (failures-- > 0) throw gone();
    };
    queue.start([far]);
    for (let i = 0; i < 4; i++) await queue.blob('far', nth(i));
    for (let i = 0; i < 60; i++) await time.advance(35_000);
    await queue.settled();
    expect([...far.sent].sort()).toEqual([1, 2, 3].map((i) => String(nth(i))).sort());
    expect(dropped).toEqual([`${odd} refused`]);
    expect(far.begun.filter((what) => what === odd)).toHaveLength(3);
  });

  it.each([
    ['is too large for it', new BlobTooLargeError(100, 10)],
    ['it never takes', new RemoteStoreError('far', 'refused', 'no BLAKE3 here', { unfit: true })],
  ])('keeps nothing waiting for what %s, which is given up at once', async (_, refusal) => {
    const dropped: string[] = [];
    const queue = await openQueue({
      maxParallel: 2,
      onDropped: (_, what, reason) => dropped.push(`${what} ${reason}`),
    });
    const far = new NotedTarget();
    const unfit = Array.from({ length: 10 }, (_, i) => String(nth(i)));
    far.before = (what) => {
      if (unfit.includes(what)) throw refusal;
    };
    queue.start([far]);
    for (let i = 0; i < 11; i++) await queue.blob('far', nth(i));
    await queue.settled();
    expect(far.sent).toEqual([String(nth(10))]);
    expect(far.begun).toHaveLength(11);
    expect(dropped.sort()).toEqual(unfit.map((what) => `${what} refused`).sort());
    expect(queue.stats()).toMatchObject([{ depth: 0, bytes: 0, dropped: 10, paused: false }]);
  });

  it('is given time when it refuses everything, so that a wrong password does not empty the queue', async () => {
    const queue = await openQueue({ maxParallel: 2, maxRefusals: 10, backoff: { jitter: 0 } });
    const far = new NotedTarget();
    far.before = () => {
      throw new RemoteStoreError('far', 'refused', 'who are you?');
    };
    queue.start([far]);
    for (let i = 0; i < 10; i++) await queue.blob('far', nth(i));
    await time.advance(60_000);
    expect(far.begun.length).toBeLessThan(15);
    expect(queue.stats()).toMatchObject([{ depth: 10, dropped: 0 }]);
    far.before = () => {};
    await time.advance(60_000);
    await queue.settled();
    expect(far.sent).toHaveLength(10);
  });

  it('gives up what is not here any more', async () => {
    const dropped: string[] = [];
    const queue = await openQueue({ onDropped: (_, what, reason) => dropped.push(`${what} ${reason}`) });
    const far = new NotedTarget();
    far.before = () => false;
    queue.start([far]);
    await queue.actionResult('far', 'key');
    await queue.settled();
    expect(dropped).toEqual(['the result of key gone']);
    expect(queue.stats()).toMatchObject([{ depth: 0, dropped: 1 }]);
  });
});

describe('a restart', () => {
  it('goes on with what waited, in order, and pins it from the first moment', async () => {
    const directory = join(await stores.folder(), 'queue');
    const first = await openQueue({ directory });
    for (let i = 0; i < 5; i++) await first.blob('far', nth(i));
    await first.actionResult('far', 'key');
    await first.close();
    await first.close();
    await expect(first.blob('far', nth(7))).rejects.toThrow(StoreClosedError);
    const pins = new EntryPins();
    const second = await openQueue({ directory, pins, maxParallel: 1 });
    expect(pins.count).toBe(6);
    expect(pins.isPinned(blobPin(nth(3)))).toBe(true);
    const far = new NotedTarget();
    second.start([far]);
    await second.settled();
    expect(far.sent).toEqual([...[0, 1, 2, 3, 4].map((i) => String(nth(i))), 'key']);
    expect(pins.count).toBe(0);
    await second.close();
    const third = await openQueue({ directory });
    expect(third.stats()).toEqual([]);
  });

  it('drops what waits for a tier that is no more', async () => {
    const directory = join(await stores.folder(), 'queue');
    const first = await openQueue({ directory });
    await first.blob('former', nth(1));
    await first.close();
    const dropped: string[] = [];
    const second = await openQueue({ directory, onDropped: (tier, _, reason) => dropped.push(`${tier} ${reason}`) });
    second.start([]);
    expect(dropped).toEqual(['former no-tier']);
    await second.close();
    expect((await openQueue({ directory })).stats()).toEqual([]);
  });

  it('keeps what was being written, and what is left when the time to close is over', async () => {
    const directory = join(await stores.folder(), 'queue');
    const first = await openQueue({ directory, maxParallel: 1 });
    const far = new NotedTarget();
    let sent = 0;
    far.before = (_, signal) => {
      if (sent++ < 3) return;
      return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    };
    first.start([far]);
    for (let i = 0; i < 8; i++) await first.blob('far', nth(i));
    await vi.waitFor(() => expect(far.begun).toHaveLength(4));
    const closing = first.close(5000);
    await time.advance(5001);
    await closing;
    const second = await openQueue({ directory });
    expect(second.stats()).toMatchObject([{ depth: 5 }]);
  });

  it('writes what can be written before it closes, and does not wait for a tier that is gone', async () => {
    const queue = await openQueue({ maxParallel: 1 });
    const [far, near] = [new NotedTarget('far'), new NotedTarget('near')];
    far.before = () => {
      throw gone();
    };
    near.before = turn;
    queue.start([far, near]);
    for (let i = 0; i < 5; i++) await Promise.all([queue.blob('far', nth(i)), queue.blob('near', nth(i))]);
    await queue.close(60_000);
    expect(near.sent).toHaveLength(5);
    expect(time.pending).toBe(0);
  });

  it('does not wait for a write that cannot be stopped', async () => {
    const queue = await openQueue();
    const far = new NotedTarget();
    let finish = () => {};
    far.before = () => new Promise<void>((resolve) => (finish = resolve));
    queue.start([far]);
    await queue.blob('far', nth(1));
    await vi.waitFor(() => expect(far.begun).toHaveLength(1));
    const closing = queue.close();
    await time.advance(1001);
    await closing;
    finish();
    await turn();
  });

  it('passes over what it can not read, and refuses what is no queue', async () => {
    const directory = join(await stores.folder(), 'queue');
    const first = await openQueue({ directory });
    await first.blob('far', nth(1));
    await first.close();
    const root = open<Buffer, Buffer>({ path: directory, encoding: 'binary', keyEncoding: 'binary', maxDbs: 2 });
    const writes = root.openDB<Buffer, Buffer>({ name: 'writes', encoding: 'binary', keyEncoding: 'binary' });
    const garbage = [
      '{',
      '{"tier":1}',
      '{"tier":"far","since":1,"blob":["sha256","zz",3]}',
      '{"tier":"far","since":1}',
    ];
    for (const [i, text] of garbage.entries()) {
      await writes.put(Buffer.from([0, 0, 0, 0, 0, 0, 9, i]), Buffer.from(text));
    }
    await writes.put(Buffer.from('short'), Buffer.from('{"tier":"far","since":1,"result":"key"}'));
    await root.close();
    const second = await openQueue({ directory });
    expect(second.stats()).toMatchObject([{ depth: 1 }]);
    await expect(WriteBehindQueue.open({ directory })).rejects.toMatchObject({ code: 'STORE_LOCKED' });
    await second.close();
    const other = await stores.folder();
    await mkdir(join(other, 'queue'));
    await writeFile(join(other, 'queue', 'data.mdb'), 'this is no database');
    await expect(WriteBehindQueue.open({ directory: join(other, 'queue') })).rejects.toMatchObject({
      code: 'STORE_FAILED',
    });
    await mkdir(join(other, 'locked', 'lock.mdb'), { recursive: true });
    await expect(WriteBehindQueue.open({ directory: join(other, 'locked') })).rejects.toMatchObject({
      code: 'STORE_FAILED',
    });
    await expect(openQueue({ directory, maxParallel: 0 })).rejects.toThrow('maxParallel must be');
    await openQueue({ directory });
  });
});

describe('a process that is killed', () => {
  it('has lost nothing that it said to keep', { timeout: 60_000 }, async () => {
    const directory = await stores.folder();
    const kept = new Set<string>();
    const sent = new Set<string>();
    for (let round = 0; round < 4; round++) {
      const script = fileURLToPath(new URL('../../../dist/testing/killed-queue-writer.js', import.meta.url));
      const child = spawn(process.execPath, [script, directory, String(round)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const most = 100 + Math.floor(Math.random() * 200);
      let output = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        output += text;
        if (output.split('\n').length > most) child.kill('SIGKILL');
      });
      expect(await new Promise((resolve) => child.on('close', (_, by) => resolve(by)))).toBe('SIGKILL');
      for (const line of output.slice(0, output.lastIndexOf('\n')).split('\n')) {
        const [what, ...rest] = line.split(' ');
        (what === 'kept' ? kept : sent).add(rest.join(' '));
      }
    }
    const queue = await openQueue({ directory: join(directory, 'queue') });
    const far = new NotedTarget();
    queue.start([far]);
    await queue.settled();
    for (const what of far.sent) sent.add(what);
    expect(kept.size).toBeGreaterThan(100);
    expect([...kept].filter((what) => !sent.has(what))).toEqual([]);
  });
});

describe('with the tiered stores', () => {
  it('brings blobs and results to the tier, the blobs first, and opens nothing before its turn', async () => {
    const queue = await openQueue();
    const far = new ScriptedStore({ name: 'far', maxBytes: 2 ** 26 });
    const farResults = new MemoryActionResultStore();
    const tier = {
      name: 'far',
      mode: 'write-behind' as const,
      required: false,
      blobs: far,
      actionResults: farResults,
      check: async () => {},
      close: async () => {},
    };
    const local = new MemoryBlobStore();
    const localResults = new MemoryActionResultStore();
    const blobs = new TieredBlobStore({ local, tiers: [tier], writeBehind: queue });
    const [small, large] = [blobOf(10), blobOf(1_000_000)];
    const results = new TieredActionResultStore({
      local: localResults,
      tiers: [tier],
      blobs,
      referencesOf: () => [small.digest, large.digest],
      writeBehind: queue,
    });
    const opening = vi.spyOn(local, 'read');
    await blobs.write(small.digest, small.bytes);
    await blobs.write(large.digest, large.bytes);
    await results.set('key', Buffer.from('value'));
    await results.set('lost', Buffer.from('value'));
    await results.delete('lost');
    expect(opening).not.toHaveBeenCalled();
    expect(far.calls).toEqual([]);
    let order: string[] = [];
    const set = farResults.set.bind(farResults);
    farResults.set = async (key, value) => {
      order = far.findMissing([small.digest, large.digest]).map(String);
      await set(key, value);
    };
    queue.start(writeBehindTargets(blobs, results));
    await queue.settled();
    expect(String(farResults.get('key'))).toBe('value');
    expect(farResults.get('lost')).toBeUndefined();
    expect(order).toEqual([]);
    expect(queue.stats()).toMatchObject([{ depth: 0, dropped: 1 }]);
    await blobs.write(blobOf(20).digest, blobOf(20).bytes);
    await queue.close(10_000);
    expect(far.findMissing([blobOf(20).digest])).toEqual([]);
    await blobs.close();
  });
});
