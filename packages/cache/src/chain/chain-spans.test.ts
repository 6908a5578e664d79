import { ManualTime } from '@granary/resilience/testing';
import { noopTracer, type Tracer } from '@granary/telemetry';
import { RecordingTracer } from '@granary/telemetry/testing';
import { describe, expect, it, vi } from 'vitest';
import { MemoryLayer } from '../layers/memory-layer.js';
import { ChaosLayer } from '../testing/chaos-layer.js';
import { createChain } from './chain.js';
import type { ChainOptions } from './options/chain-options.js';
import type { LoadContext } from './options/load-options.js';

/** Memory in front of a layer that isn't. */
function setUp(options: Omit<ChainOptions<string>, 'layers'> = {}) {
  const time = new ManualTime();
  const tracer = new RecordingTracer();
  const memory = new MemoryLayer<string>({ name: 'memory', clock: time.clock });
  const far = new ChaosLayer(new MemoryLayer<string>({ name: 'far', clock: time.clock }), { timers: time });
  const chain = createChain<string>({ layers: [memory, far], clock: time.clock, timers: time, tracer, ...options });
  return { time, tracer, memory, far, chain };
}

const events = (span: { readonly events: readonly unknown[] }) => span.events;

describe('a look-up', () => {
  it('has no span as long as memory has the value', async () => {
    const { tracer, chain } = setUp();
    await chain.set('key', 'value');
    expect(chain.get('key')).toBe('value');
    expect(await chain.getOrLoad('key', () => 'other')).toBe('value');
    expect(tracer.started).toBe(0);
  });

  it('has a span where it leaves memory, with an event for each layer and what came of it', async () => {
    const { tracer, far, chain } = setUp();
    await far.set('key', 'value');
    await chain.get('key');
    await chain.get('absent');
    const [hit, miss] = tracer.named('cache.get');
    expect(hit).toMatchObject({
      attributes: { 'cache.hit': true, 'cache.layer': 'far' },
      status: 'unset',
      ended: true,
    });
    expect(hit?.events).toEqual([{ name: 'cache.lookup', attributes: { 'cache.layer': 'far', 'cache.hit': true } }]);
    expect(miss).toMatchObject({ attributes: { 'cache.hit': false }, ended: true });
    expect(tracer.spans).toHaveLength(2);
  });

  it('is one span for all who wait for it, and those who look through the layers again get another', async () => {
    const { time, tracer, far, chain } = setUp();
    far.plan('getEntry', { kind: 'slow', ms: 5 });
    const signal = new AbortController().signal;
    const all = [chain.get('key'), chain.get('key'), chain.get('key', { signal })];
    await time.advance(5);
    expect(await Promise.all(all)).toEqual([undefined, undefined, undefined]);
    expect(tracer.only('cache.get').ended).toBe(true);
  });

  it('ends its span when nobody waits for it any more', async () => {
    const { time, tracer, far, chain } = setUp();
    far.plan('getEntry', { kind: 'slow', ms: 5 });
    const controller = new AbortController();
    const got = Promise.resolve(chain.get('key', { signal: controller.signal })).catch((error: unknown) => error);
    controller.abort(new Error('gone'));
    expect(await got).toEqual(new Error('gone'));
    await time.advance(5);
    expect(tracer.only('cache.get').ended).toBe(true);
  });

  it('tells of a layer that failed, and of one that is spared by its breaker', async () => {
    const { time, tracer, far, chain } = setUp({ resilience: { breaker: { maxFailures: 1, timeoutMs: 1000 } } });
    far.plan('getEntry', { kind: 'throws' }, 2);
    await chain.get('key');
    await chain.get('key');
    const [failed, spared] = tracer.named('cache.get').map(events);
    const lookup = { name: 'cache.lookup', attributes: { 'cache.layer': 'far', 'cache.hit': false } };
    const failure = { 'cache.layer': 'far', 'error.type': 'error' };
    expect(failed).toEqual([{ name: 'cache.layer_failed', attributes: failure }, lookup]);
    expect(spared).toEqual([{ name: 'circuit_breaker.rejected', attributes: { 'cache.layer': 'far' } }, lookup]);
    expect(time.pending).toBe(0);
  });

  it('is part of the span that it is given, which is told what came of it', async () => {
    const { tracer, far, chain } = setUp();
    await far.set('key', 'value');
    const span = tracer.startSpan('request');
    await chain.get('key', { span });
    await chain.get('key', { span });
    await chain.getOrLoad('key', () => 'other', { span });
    await chain.getOrLoad('new', () => 'loaded', { span });
    expect(tracer.paths()).toEqual(['request', 'request > cache.get', 'request > cache.get', 'request > cache.load']);
    const hitIn = (layer: string) => ({
      name: 'cache.lookup',
      attributes: { 'cache.hit': true, 'cache.layer': layer },
    });
    expect(tracer.only('request').events).toEqual([
      hitIn('far'),
      hitIn('memory'),
      hitIn('memory'),
      { name: 'cache.lookup', attributes: { 'cache.hit': false, 'cache.layer': undefined } },
    ]);
  });

  it('hands its span to the layers, also through their protection', async () => {
    for (const resilience of [undefined, {}]) {
      const { tracer, far, chain } = setUp({ resilience });
      const getEntry = vi.spyOn(far, 'getEntry');
      const signal = new AbortController().signal;
      await chain.get('key', { signal });
      const options = getEntry.mock.lastCall?.[1];
      expect(options?.span?.spanId).toBe(tracer.only('cache.get').spanId);
      expect(options?.signal?.aborted).toBe(false);
    }
  });

  it('for many keys is one span', async () => {
    const { tracer, far, chain } = setUp();
    await far.set('a', '1');
    const span = tracer.startSpan('request');
    await chain.getMany(['a', 'b'], { span });
    expect(tracer.only('cache.getMany')).toMatchObject({
      parentId: span.spanId,
      attributes: { 'cache.hits': 1, 'cache.keys': 2 },
      events: [{ name: 'cache.lookup', attributes: { 'cache.layer': 'far', 'cache.hits': 1 } }],
      ended: true,
    });
    await chain.getMany(['a'], { span });
    expect(tracer.spans).toHaveLength(2);
  });
});

describe('a load', () => {
  it('has a span that is active in the loader and given to it', async () => {
    const { tracer, chain } = setUp();
    let context: LoadContext<string> | undefined;
    await chain.getOrLoad('key', async (given) => {
      context = given;
      tracer.startSpan('fetch').end();
      return 'value';
    });
    expect(tracer.paths()).toEqual(['cache.get', 'cache.load', 'cache.load > fetch']);
    expect(context?.span?.spanId).toBe(tracer.only('cache.load').spanId);
    expect(tracer.only('cache.load')).toMatchObject({ ended: true, errors: [] });
  });

  it('records why it failed, at once or later', async () => {
    const { tracer, chain } = setUp();
    const error = new Error('down');
    const loaders = [
      () => Promise.reject(error),
      () => {
        throw error;
      },
    ];
    for (const loader of loaders) await expect(async () => chain.getOrLoad('key', loader)).rejects.toThrow('down');
    for (const span of tracer.named('cache.load')) {
      expect(span).toMatchObject({ errors: [error], status: 'error', ended: true });
    }
  });

  it('that takes too long ends its span with the time, and says that it was answered for', async () => {
    const { time, tracer, memory, chain } = setUp({ softTimeoutMs: 5, hardTimeoutMs: 20 });
    await memory.set('key', 'old', { ttlMs: 1, graceMs: 1000 });
    await time.advance(2);
    const answer = chain.getOrLoad('key', () => new Promise<string>(() => {}));
    await time.advance(5);
    expect(await answer).toBe('old');
    const span = tracer.only('cache.load');
    expect(span.events).toEqual([{ name: 'cache.stale_answer', attributes: {} }]);
    expect(span.ended).toBe(false);
    await time.advance(15);
    expect(span).toMatchObject({ errors: [{ code: 'CACHE_TIMEOUT' }], ended: true });
  });

  it('ends its span when the chain is closed', async () => {
    const { tracer, chain } = setUp();
    const loaded = Promise.resolve(chain.getOrLoad('key', () => new Promise<string>(() => {}))).catch(() => 'closed');
    await Promise.resolve();
    await chain.close();
    expect(await loaded).toBe('closed');
    expect(tracer.only('cache.load').ended).toBe(true);
  });
});

describe('a tracer', () => {
  it('that is off is asked for nothing', async () => {
    const startSpan = vi.fn(noopTracer.startSpan);
    const { chain } = setUp({ tracer: { ...noopTracer, startSpan } });
    let context: LoadContext<string> | undefined;
    await chain.getOrLoad('key', (given) => {
      context = given;
      return 'value';
    });
    expect(startSpan).not.toHaveBeenCalled();
    expect(context?.span).toBeUndefined();
  });

  it('that does not sample is told nothing', async () => {
    const { tracer, far, chain } = setUp();
    tracer.sampled = false;
    far.plan('getEntry', { kind: 'throws' });
    expect(await chain.getOrLoad('key', (context) => String(context.span?.sampled))).toBe('false');
    await chain.getMany(['key', 'other']);
    expect(tracer.spans).toEqual([]);
  });

  it('that throws breaks nothing', async () => {
    const broken = () => {
      throw new Error('tracer');
    };
    const span = new RecordingTracer().startSpan('request');
    const brokenSpan = Object.assign(Object.create(span), { addEvent: broken, setAttributes: broken, end: broken });
    const tracers: Tracer[] = [
      { ...noopTracer, enabled: true, startSpan: broken },
      { ...noopTracer, enabled: true, startSpan: () => brokenSpan },
      { ...noopTracer, enabled: true, startSpan: () => brokenSpan, runWith: broken },
    ];
    for (const tracer of tracers) {
      const { chain } = setUp({ tracer });
      expect(await chain.getOrLoad('a', () => 'value')).toBe('value');
      await expect(async () => chain.getOrLoad('b', () => Promise.reject(new Error('down')))).rejects.toThrow('down');
      expect(await chain.get('c', { span: brokenSpan })).toBeUndefined();
      expect((await chain.getMany(['a', 'd'])).size).toBe(1);
    }
  });
});
