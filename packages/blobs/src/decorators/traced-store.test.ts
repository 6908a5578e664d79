import { noopTracer, type Span } from '@granary/telemetry';
import { RecordingTracer } from '@granary/telemetry/testing';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { BlobReader, BlobStore, GetOptions, ReadOptions, WriteOptions } from '../blob-store.js';
import { NoSpaceError } from '../errors.js';
import { MemoryBlobStore } from '../memory/memory-blob-store.js';
import { blobOf } from '../testing/content.js';
import { withTracing } from './traced-store.js';

const { digest, bytes } = blobOf(100);

let tracer: RecordingTracer;
let span: Span;
let inner: BlobStore;
beforeEach(() => {
  tracer = new RecordingTracer();
  span = tracer.startSpan('request');
  inner = new MemoryBlobStore();
});

describe('a traced store', () => {
  it('is the store itself when tracing is off', () => {
    expect(withTracing(inner, noopTracer)).toBe(inner);
    expect(withTracing(inner, tracer).name).toBe('memory');
  });

  it('hands on untouched what nobody traces', async () => {
    tracer.sampled = false;
    const store = withTracing(inner, tracer);
    for (const options of [undefined, { span: tracer.startSpan('request', { parent: null }) }]) {
      const { started } = tracer;
      const seen = (['findMissing', 'get', 'read', 'write'] as const).map((name) => vi.spyOn(inner, name));
      await store.findMissing([digest], options);
      await store.get(digest, options);
      await store.read(digest, options);
      await store.write(digest, bytes, options);
      for (const { mock } of seen) expect(mock.lastCall?.at(-1)).toBe(options);
      expect(tracer.started).toBe(started);
    }
  });

  it('shows what was asked for and what came of it', async () => {
    const store = withTracing(inner, tracer);
    await store.findMissing([digest], { span });
    await store.write(digest, bytes, { span });
    await store.findMissing([digest, blobOf(1).digest], { span });
    await store.get(digest, { span });
    await store.read(blobOf(1).digest, { span });
    for await (const _ of (await store.read(digest, { span, offset: 10, limit: 20 })) ?? []);
    const { traceId, spanId } = span;
    for (const each of tracer.spans.slice(1)) expect(each).toMatchObject({ traceId, parentId: spanId, ended: true });
    const one = { 'cache.tier': 'memory', 'cache.digest': String(digest) };
    expect(tracer.spans.slice(1).map(({ name, attributes }) => ({ name, ...attributes }))).toEqual([
      { name: 'proxy.FindMissing', ...one, 'cache.digests': 1, 'cache.missing': 1, 'cache.hit': false },
      { name: 'proxy.Put', ...one, 'cache.size': 100 },
      { name: 'proxy.FindMissing', 'cache.tier': 'memory', 'cache.digests': 2, 'cache.missing': 1, 'cache.hit': false },
      { name: 'proxy.Get', ...one, 'cache.size': 100, 'cache.hit': true },
      {
        name: 'proxy.Get',
        'cache.tier': 'memory',
        'cache.digest': String(blobOf(1).digest),
        'cache.size': 1,
        'cache.hit': false,
      },
      {
        name: 'proxy.Get',
        ...one,
        'cache.size': 100,
        'cache.hit': true,
        'cache.bytes_read': 20,
        'cache.waited_ms': expect.any(Number),
      },
    ]);
  });

  it('answers at once when the store behind does, and later when it does later', async () => {
    const store = withTracing(inner, tracer);
    expect(store.get(digest, { span })).toBeUndefined();
    expect(store.findMissing([digest], { span })).toEqual([digest]);
    const late: BlobStore = Object.assign(new MemoryBlobStore(), { get: async () => bytes });
    expect(await withTracing(late, tracer).get(digest, { span })).toBe(bytes);
    expect(tracer.spans.at(-1)).toMatchObject({ ended: true, attributes: { 'cache.hit': true } });
  });

  it('passes options on with its own span, and makes no signal that nobody asks for', async () => {
    const store = withTracing(inner, tracer);
    const { signal } = new AbortController();
    const asked = vi.fn(() => signal);
    const allocate = (size: number) => Buffer.alloc(size);
    const observer = { onGrowing: () => {}, onVerified: () => {} };
    const options = Object.freeze({
      span,
      observer,
      allocate,
      offset: 3,
      limit: 4,
      get signal() {
        return asked();
      },
    });
    const get = vi.spyOn(inner, 'get');
    const read = vi.spyOn(inner, 'read').mockResolvedValue(undefined);
    const write = vi.spyOn(inner, 'write').mockResolvedValue();
    await store.get(digest, options);
    await store.read(digest, options);
    await store.write(digest, bytes, options);
    expect(asked).not.toHaveBeenCalled();
    const seen: (GetOptions & ReadOptions & WriteOptions)[] = [get, read, write].map(
      ({ mock }) => mock.lastCall?.at(-1) as GetOptions,
    );
    expect(seen.map((each) => each.signal)).toEqual([signal, signal, signal]);
    expect(seen.map((each) => each.span)).toEqual(tracer.spans.slice(1));
    expect([seen[0]?.allocate, seen[1]?.offset, seen[1]?.limit, seen[2]?.observer]).toEqual([allocate, 3, 4, observer]);
  });

  it('records errors and passes them on, once', async () => {
    const full = new NoSpaceError('full');
    const fail = () => Promise.reject(full);
    const failNow = () => {
      throw full;
    };
    const broken = Object.assign(new MemoryBlobStore(), {
      findMissing: failNow,
      get: failNow,
      read: fail,
      write: fail,
    });
    const store = withTracing(broken, tracer);
    expect(() => store.findMissing([digest], { span })).toThrow(full);
    expect(() => store.get(digest, { span })).toThrow(full);
    await expect(store.read(digest, { span })).rejects.toBe(full);
    await expect(store.write(digest, bytes, { span })).rejects.toBe(full);
    const reader: BlobReader = {
      length: 100,
      next: fail,
      close: async () => {},
      [Symbol.asyncIterator]: () => expect.fail(),
    };
    const breaking = withTracing(Object.assign(new MemoryBlobStore(), { read: async () => reader }), tracer);
    const opened = await breaking.read(digest, { span });
    await expect(opened?.next()).rejects.toBe(full);
    await opened?.close();
    expect(tracer.spans.slice(1)).toHaveLength(5);
    for (const each of tracer.spans.slice(1))
      expect(each).toMatchObject({ status: 'error', errors: [full], ended: true });
  });
});
