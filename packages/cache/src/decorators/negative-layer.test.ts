import { ManualTime } from '@granary/resilience/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Layer } from '../layer.js';
import { MemoryLayer } from '../layers/memory-layer.js';
import { ChaosLayer } from '../testing/chaos-layer.js';
import { NegativeLayer } from './negative-layer.js';

function setup(options = {}) {
  const time = new ManualTime();
  const inner = new ChaosLayer(new MemoryLayer<string>({ clock: time.clock }), { timers: time });
  const layer = new NegativeLayer(inner, { clock: time.clock, ttlMs: 100, ...options });
  return { time, inner, layer };
}

/** Acts at once and answers later, reads later than writes, as a network does that is slow on the way back. */
function lateAnswers(memory: MemoryLayer<string>, time: ManualTime): Layer<string> {
  const later = <T>(answer: T, ms = 5) => new Promise<T>((resolve) => time.setTimeout(() => resolve(answer), ms));
  return {
    name: 'late',
    get: (key) => later(memory.get(key)),
    getEntry: (key) => later(memory.getEntry(key)),
    getMany: (keys) => later(memory.getMany(keys)),
    set: (key, value) => later(memory.set(key, value), 1),
    setMany: (values) => later(memory.setMany(values), 1),
    delete: (key) => later(memory.delete(key), 1),
    close: () => memory.close(),
  };
}

describe('a negative layer', () => {
  it('asks for what isn’t there once in a while, not each time', async () => {
    const { time, inner, layer } = setup();
    for (let i = 0; i < 5; i++) expect(layer.get('a')).toBeUndefined();
    expect(inner.calls.get).toBe(1);
    await time.advance(101);
    layer.get('a');
    expect(inner.calls.get).toBe(2);
    expect(layer.stats()).toEqual({ remembered: 1, avoided: 4 });
  });

  it.each([0, 0.5, 1_800_000_000_000])('asks again when the time is over that began at %d', (start) => {
    let now = start;
    const { inner, layer } = setup({ clock: () => now, ttlMs: 1.5 });
    layer.get('a');
    now = start + 1;
    layer.get('a');
    expect(inner.calls.get).toBe(1);
    now = start + 1.5;
    layer.get('a');
    expect(inner.calls.get).toBe(2);
  });

  it('asks again when its clock was set back, so that nothing is hidden for longer', () => {
    let now = 1_800_000_000_000;
    const { inner, layer } = setup({ clock: () => now });
    layer.get('a');
    now -= 3_600_000;
    layer.get('a');
    layer.get('a');
    expect(inner.calls.get).toBe(2);
  });

  it('sees a write at once, be it of one or of many', () => {
    const { inner, layer } = setup();
    for (const key of ['a', 'b']) layer.get(key);
    layer.set('a', '1');
    layer.setMany?.(new Map([['b', '2']]));
    expect([layer.get('a'), layer.get('b')]).toEqual(['1', '2']);
    expect(inner.calls.get).toBe(4);
  });

  it('doesn’t remember a miss that a write has overtaken', async () => {
    const { inner, layer } = setup();
    // The layer looks after the write, but finds what was deleted behind the decorator's back.
    inner.plan('get', { kind: 'hangs' });
    const early = layer.get('a');
    layer.set('a', '1');
    inner.delete('a');
    inner.release();
    expect(await early).toBeUndefined();
    inner.set('a', '1');
    expect(layer.get('a')).toBe('1');
  });

  it('doesn’t remember a miss from while a write was under way', async () => {
    const { inner, layer } = setup();
    inner.plan('set', { kind: 'hangs' });
    const written = layer.set('a', '1');
    expect(layer.get('a')).toBeUndefined();
    inner.release();
    await written;
    expect(layer.get('a')).toBe('1');
  });

  it('forgets after a write that failed, too, since it may have been done', async () => {
    const { inner, layer } = setup();
    inner.plan('set', { kind: 'throws' }).plan('set', { kind: 'rejects' });
    layer.get('a');
    expect(() => layer.set('a', '1')).toThrow();
    inner.inner.set('a', '1');
    expect(layer.get('a')).toBe('1');
    layer.get('b');
    await expect(layer.set('b', '1')).rejects.toThrow();
    inner.inner.set('b', '1');
    expect(layer.get('b')).toBe('1');
  });

  it('remembers no failures', async () => {
    const { inner, layer } = setup();
    inner.set('a', '1');
    inner.plan('get', { kind: 'throws' }).plan('get', { kind: 'rejects' }).plan('getMany', { kind: 'rejects' });
    expect(() => layer.get('a')).toThrow();
    await expect(layer.get('a')).rejects.toThrow();
    await expect(layer.getMany?.(['a'])).rejects.toThrow();
    expect(layer.get('a')).toBe('1');
    expect(layer.stats().remembered).toBe(0);
  });

  it('still gives what is stale to who asks for entries, after a get found nothing fresh', async () => {
    const { time, layer } = setup();
    layer.set('a', '1', { ttlMs: 10, graceMs: 1000 });
    await time.advance(20);
    expect(layer.get('a')).toBeUndefined();
    expect(layer.getEntry?.('a')).toMatchObject({ value: '1' });
    expect(layer.getEntry?.('b')).toBeUndefined();
    expect(layer.get('b')).toBeUndefined();
    expect(layer.stats().avoided).toBe(1);
  });

  it('asks for the rest of many only', () => {
    const { inner, layer } = setup();
    inner.set('b', '1');
    expect(layer.getMany?.(['a', 'b'])).toEqual(new Map([['b', { value: '1', expiresAt: undefined }]]));
    expect(layer.getMany?.(['a'])).toEqual(new Map());
    expect(layer.getEntry?.('a')).toBeUndefined();
    expect([inner.calls.getMany, inner.calls.getEntry]).toEqual([1, 0]);
  });

  it('remembers a bounded number of keys, and forgets what it is told to', () => {
    const { inner, layer } = setup({ maxEntries: 10 });
    for (let i = 0; i < 100; i++) layer.get(`k${i}`);
    expect(layer.stats().remembered).toBe(10);
    inner.set('k99', 'from elsewhere');
    expect(layer.get('k99')).toBeUndefined();
    layer.forget('k99');
    expect(layer.get('k99')).toBe('from elsewhere');
    layer.forget();
    expect(layer.stats().remembered).toBe(0);
  });

  it('never hides a value that was written through it, whatever interleaves', async () => {
    const step = fc.oneof(
      fc.record({ do: fc.constantFrom('get', 'getEntry', 'getMany', 'set', 'setMany', 'delete'), slow: fc.nat(3) }),
      fc.record({ do: fc.constant('wait'), slow: fc.nat(4) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const time = new ManualTime();
        const truth = new MemoryLayer<string>();
        const inner = new ChaosLayer(lateAnswers(truth, time), { timers: time });
        const layer = new NegativeLayer<string>(inner, { clock: time.clock, ttlMs: 1_000_000 });
        const written: Promise<unknown>[] = [];
        for (const { do: operation, slow } of steps) {
          if (operation === 'wait') {
            await time.advance(slow);
            continue;
          }
          inner.plan(operation as 'get', slow === 0 ? undefined : { kind: 'slow', ms: slow });
          if (operation === 'get') layer.get('a');
          else if (operation === 'getEntry') layer.getEntry?.('a');
          else if (operation === 'getMany') layer.getMany?.(['a', 'b']);
          else if (operation === 'delete') written.push(Promise.resolve(layer.delete('a')));
          else if (operation === 'set') written.push(Promise.resolve(layer.set('a', '1')));
          else written.push(Promise.resolve(layer.setMany?.(new Map([['a', '2']]))));
          inner.heal();
        }
        await time.advance(10);
        await Promise.all(written);
        const left = truth.get('a');
        const found = layer.get('a');
        await time.advance(10);
        expect(await found).toBe(left);
      }),
      { numRuns: 300 },
    );
  });

  it.each([
    ['ttlMs', 0],
    ['ttlMs', '30000'],
    ['maxEntries', 0.5],
  ])('refuses a %s that makes no sense', (option, value) => {
    expect(() => setup({ [option]: value })).toThrow(new RegExp(`^${option} must be`));
  });
});
