import type { Span } from '@granary/telemetry';
import { RecordingTracer } from '@granary/telemetry/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NoSpaceError } from '../errors.js';
import { blobOf, inChunks } from '../testing/content.js';
import { FaultyFileSystem, systemError } from '../testing/faulty-file-system.js';
import { TemporaryStores } from '../testing/temporary-stores.js';
import type { OpenFile } from './files/file-system.js';

const MIB = 1024 * 1024;
const small = blobOf(100);
const large = blobOf(3 * MIB);

const stores = new TemporaryStores();
let tracer: RecordingTracer;
let span: Span;
beforeEach(() => {
  tracer = new RecordingTracer();
  span = tracer.startSpan('request', { parent: null });
});
afterEach(() => stores.dispose());

/** Spans since the last look, without the request's. */
function paths(): string[] {
  expect(tracer.spans.slice(1).every(({ ended }) => ended)).toBe(true);
  const seen = tracer.paths().slice(1);
  tracer.spans.length = 1;
  return seen;
}

/** A file system whose syncs end when a test lets them. */
class SlowSyncs extends FaultyFileSystem {
  readonly waiting: (() => void)[] = [];

  override async create(path: string): Promise<OpenFile> {
    const file = await super.create(path);
    const datasync = () => new Promise<void>((resolve) => this.waiting.push(resolve));
    return { ...file, datasync };
  }
}

describe('the trace of a write', () => {
  it('tells writing, syncing and committing apart', async () => {
    const store = await stores.open({ tracer });
    await store.write(small.digest, small.bytes, { span });
    expect(paths()).toEqual(['request > store.Commit']);
    await store.write(large.digest, inChunks(large.bytes, 64 * 1024), { span });
    expect(tracer.only('store.Write').attributes['store.waited_ms']).toBeGreaterThanOrEqual(0);
    expect(paths()).toEqual(['request > store.Write', 'request > store.Write > store.Sync', 'request > store.Commit']);
    await store.actionResults.set('key', Buffer.from('value'), { span });
    expect(paths()).toEqual(['request > store.Commit']);
    await store.write(small.digest, small.bytes, { span });
    expect(paths()).toEqual([]);
  });

  it('shows what full durability costs, and what none spares', async () => {
    const full = await stores.open({ tracer, durability: 'full' });
    await full.write(small.digest, small.bytes, { span });
    expect(paths()).toEqual(['request > store.Commit']);
    await full.write(large.digest, large.bytes, { span });
    expect(paths().slice(-2)).toEqual(['request > store.Commit', 'request > store.Commit > store.Sync']);
    await full.actionResults.set('key', Buffer.from('value'), { span });
    expect(paths()).toEqual(['request > store.Commit']);
    const none = await stores.open({ tracer, durability: 'none' });
    await none.write(large.digest, large.bytes, { span });
    expect(paths()).toEqual(['request > store.Write', 'request > store.Commit']);
  });

  it('shows that it waited for another upload of the same blob', async () => {
    const store = await stores.open({ tracer });
    const key = Buffer.from('value');
    await Promise.all([
      store.write(small.digest, small.bytes),
      store.write(small.digest, small.bytes, { span }),
      store.actionResults.set('key', key),
      store.actionResults.set('key', key, { span }),
    ]);
    expect(tracer.named('store.Wait').map(({ attributes }) => attributes)).toEqual([
      { 'store.waits_for': 'lock' },
      { 'store.waits_for': 'lock' },
    ]);
    expect(paths()).toHaveLength(4);
  });

  it('shows that it waited for a turn to sync', async () => {
    const fileSystem = new SlowSyncs();
    const store = await stores.open({ tracer, fileSystem });
    const writes = [1, 2, 3].map((seed) => {
      const { digest, bytes } = blobOf(100_000, seed);
      return store.write(digest, bytes, { span });
    });
    await expect.poll(() => tracer.named('store.Wait')).toHaveLength(1);
    expect(tracer.only('store.Wait')).toMatchObject({ ended: false, attributes: { 'store.waits_for': 'sync' } });
    await expect.poll(() => fileSystem.waiting.length).toBe(2);
    fileSystem.waiting.shift()?.();
    await expect.poll(() => tracer.only('store.Wait').ended).toBe(true);
    for (let resolve = fileSystem.waiting.shift(); resolve; resolve = fileSystem.waiting.shift()) {
      resolve();
      await new Promise(setImmediate);
    }
    await Promise.all(writes);
    expect(paths()).toHaveLength(10);
  });

  it('shows that it waited for room, in vain', async () => {
    const store = await stores.open({ tracer, maxBytes: 4 * MIB, spaceWaitMs: 1 });
    await store.write(large.digest, large.bytes);
    const other = blobOf(3 * MIB, 'other');
    await expect(store.write(other.digest, other.bytes, { span })).rejects.toBeInstanceOf(NoSpaceError);
    const wait = tracer.only('store.Wait');
    expect(wait).toMatchObject({ status: 'error', ended: true, attributes: { 'store.waits_for': 'space' } });
  });

  it('records what failed', async () => {
    const fileSystem = new FaultyFileSystem();
    fileSystem.fault = (operation) => (operation === 'write' ? systemError('EIO') : undefined);
    const store = await stores.open({ tracer, fileSystem });
    await expect(store.write(large.digest, large.bytes, { span })).rejects.toThrow('cannot write');
    expect(tracer.only('store.Write')).toMatchObject({ status: 'error', ended: true });
  });
});

describe('the trace of a read', () => {
  it('shows how long the disk was read, of values, files and streams', async () => {
    const store = await stores.open({ tracer });
    for (const { digest, bytes } of [small, large]) await store.write(digest, bytes);
    await store.actionResults.set('key', Buffer.from('value'));
    for (const { digest, bytes } of [small, large]) {
      expect((await store.get(digest, { span }))?.equals(bytes)).toBe(true);
      const reader = await store.read(digest, { span });
      let read = 0;
      for await (const chunk of reader ?? []) read += chunk.length;
      expect(read).toBe(bytes.length);
      expect(tracer.named('store.Read')[1]?.attributes).toMatchObject({
        'cache.bytes_read': bytes.length,
        'cache.waited_ms': expect.any(Number),
      });
      expect(paths()).toEqual(['request > store.Read', 'request > store.Read']);
    }
    expect(store.actionResults.get('key', { span })).toEqual(Buffer.from('value'));
    expect(paths()).toEqual(['request > store.Read']);
  });

  it('has nothing to show of what is not there', async () => {
    const store = await stores.open({ tracer });
    expect(store.get(small.digest, { span })).toBeUndefined();
    expect(await store.read(small.digest, { span })).toBeUndefined();
    expect(store.actionResults.get('key', { span })).toBeUndefined();
    expect(paths()).toEqual([]);
  });

  it('ends when the reader is closed early', async () => {
    const store = await stores.open({ tracer });
    await store.write(large.digest, large.bytes);
    const reader = await store.read(large.digest, { span });
    await reader?.next();
    expect(tracer.only('store.Read').ended).toBe(false);
    await reader?.close();
    expect(paths()).toEqual(['request > store.Read']);
  });
});

describe('an operation that nobody traces', () => {
  it('makes no span below a request that is not recorded, or below none', async () => {
    const store = await stores.open({ tracer });
    tracer.sampled = false;
    const unsampled = tracer.startSpan('request', { parent: null });
    const { started } = tracer;
    for (const options of [{}, { span: unsampled }]) {
      const { digest, bytes } = blobOf(100_000, options.span ? 'unsampled' : 'none');
      await store.write(digest, bytes, options);
      await store.get(digest, options);
      await (await store.read(digest, options))?.close();
      await store.actionResults.set('key', bytes, options);
      await store.actionResults.get('key', options);
    }
    expect(tracer.started).toBe(started);
  });
});

describe('the janitor', () => {
  it('has traces of its own, with what it evicted', async () => {
    let now = Date.now();
    const store = await stores.open({ tracer, maxBytes: 4 * MIB, minAgeMs: 0, clock: () => now });
    await store.maintain();
    expect(tracer.named('janitor.Run')).toEqual([]);
    for (let i = 0; i < 4; i++) {
      const { digest, bytes } = blobOf(MIB, i);
      await store.write(digest, bytes, { span });
      now += 1000;
      await store.maintain();
    }
    const runs = tracer.named('janitor.Run');
    const { evictions, evictedBytes } = store.stats();
    expect(evictions).toBeGreaterThan(0);
    const sum = (name: string) => runs.reduce((total, { attributes }) => total + Number(attributes[name]), 0);
    expect([sum('janitor.evicted'), sum('janitor.evicted_bytes')]).toEqual([evictions, evictedBytes]);
    for (const run of runs)
      expect(run).toMatchObject({ parentId: undefined, ended: true, attributes: { 'cache.tier': 'disk' } });
    expect(runs[0]?.traceId).not.toBe(span.traceId);
  });

  it('records why it failed', async () => {
    const fileSystem = new FaultyFileSystem();
    const store = await stores.open({ tracer, fileSystem, maxBytes: 4 * MIB, minAgeMs: 0 });
    await store.maintain();
    fileSystem.fault = (operation) => (operation === 'unlink' ? systemError('EIO') : undefined);
    await store.write(large.digest, large.bytes);
    const { digest, bytes } = blobOf(900_000);
    await store.write(digest, bytes).catch(() => {});
    await store.maintain();
    expect(tracer.named('janitor.Run').some(({ status, ended }) => status === 'error' && ended)).toBe(true);
    fileSystem.fault = () => undefined;
  });
});
