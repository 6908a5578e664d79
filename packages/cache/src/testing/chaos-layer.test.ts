import { ManualTime } from '@granary/resilience/testing';
import { beforeEach, describe, expect, it } from 'vitest';
import { MemoryLayer } from '../layers/memory-layer.js';
import { ChaosLayer } from './chaos-layer.js';
import { layerContract } from './layer-contract.js';

layerContract({ describe, it, expect }, 'ChaosLayer without faults', () => {
  const time = new ManualTime();
  const layer = new ChaosLayer(new MemoryLayer<unknown>({ clock: time.clock }));
  return { layer, advance: (ms) => time.advance(ms), now: time.clock };
});

describe('a chaos layer', () => {
  let time: ManualTime;
  let layer: ChaosLayer<string>;

  beforeEach(() => {
    time = new ManualTime();
    layer = new ChaosLayer(new MemoryLayer<string>({ name: 'L1', clock: time.clock }), { timers: time });
    layer.set('a', '1');
  });

  it('throws or rejects, as planned and no longer', async () => {
    const error = new Error('mine');
    layer.plan('get', { kind: 'throws' }).plan('get', undefined).plan('get', { kind: 'rejects', error }, 2);
    expect(() => layer.get('a')).toThrow('L1: get fails, as the test wants it');
    expect(layer.get('a')).toBe('1');
    await expect(layer.get('a')).rejects.toBe(error);
    await expect(layer.get('a')).rejects.toBe(error);
    expect(layer.get('a')).toBe('1');
    expect(layer.calls.get).toBe(5);
  });

  it('hangs until it is released or aborted', async () => {
    layer.plan('get', { kind: 'hangs' }, 2);
    const caller = new AbortController();
    const [released, aborted] = [layer.get('a'), layer.get('a', { signal: caller.signal })];
    expect(layer.hanging).toBe(2);
    caller.abort('gone');
    await expect(aborted).rejects.toBe('gone');
    expect(layer.hanging).toBe(1);
    layer.release();
    expect(await released).toBe('1');
  });

  it('is slow by the timers that it was given', async () => {
    layer.plan('get', { kind: 'slow', ms: 50 });
    const caller = new AbortController();
    const slow = layer.get('a', { signal: caller.signal });
    await time.advance(50);
    expect(await slow).toBe('1');
    layer.plan('get', { kind: 'slow', ms: 50 });
    const aborted = layer.get('a', { signal: caller.signal });
    caller.abort('gone');
    await expect(aborted).rejects.toBe('gone');
    expect(time.pending).toBe(0);
  });

  it('lies: a wrong value, or the one that was there before', async () => {
    layer.set('a', '2');
    layer.plan('get', { kind: 'lies', value: 'wrong' }).plan('get', { kind: 'lies', stale: true });
    expect([layer.get('a'), layer.get('a'), layer.get('a')]).toEqual(['wrong', '1', '2']);
    layer.plan('getEntry', { kind: 'lies', stale: true }, 2).plan('getMany', { kind: 'lies', stale: true });
    expect(layer.getEntry?.('a')).toEqual({ value: '1', expiresAt: undefined });
    expect(layer.getEntry?.('b')).toBeUndefined();
    expect(layer.getMany?.(['a', 'b'])).toEqual(new Map([['a', { value: '1', expiresAt: undefined }]]));
    layer.plan('delete', { kind: 'lies', stale: true });
    expect(await layer.delete('a')).toBe(false);
    expect(layer.inner.get('a')).toBe('2');
  });

  it('loses writes and deletes that it acknowledges, and finds nothing', () => {
    layer.plan('set', { kind: 'loses' }).plan('delete', { kind: 'loses' }).plan('get', { kind: 'loses' });
    layer.plan('setMany', { kind: 'loses' }).plan('deleteMany', { kind: 'loses' }).plan('clear', { kind: 'loses' });
    layer.set('b', '1');
    layer.setMany?.(new Map([['c', '1']]));
    expect(layer.delete('a')).toBe(true);
    expect(layer.deleteMany?.(['a'])).toBe(0);
    layer.clear?.();
    expect(layer.get('a')).toBeUndefined();
    expect(['a', 'b', 'c'].map((key) => layer.inner.get(key))).toEqual(['1', undefined, undefined]);
  });

  it('goes wrong always, or for one operation, until it is healed', () => {
    layer.always({ kind: 'throws' }, 'set');
    expect(() => layer.set('a', '2')).toThrow();
    expect(layer.get('a')).toBe('1');
    layer.always({ kind: 'throws' });
    expect(() => layer.get('a')).toThrow();
    expect(() => layer.deleteMany?.(['a'])).toThrow();
    layer.heal();
    expect(layer.get('a')).toBe('1');
  });

  it('goes wrong at random, in the same way for the same seed', () => {
    const faults = (seed: number, rate: number) => {
      const random = {
        seed,
        rate,
        faults: [{ kind: 'throws' }, { kind: 'loses' }] as const,
        operations: ['get'] as const,
      };
      const chaos = new ChaosLayer(new MemoryLayer<string>(), { random });
      chaos.set('a', '1');
      return Array.from({ length: 400 }, () => {
        try {
          return chaos.get('a') ?? 'lost';
        } catch {
          return 'threw';
        }
      });
    };
    expect(faults(1, 0.5)).toEqual(faults(1, 0.5));
    expect(faults(1, 0.5)).not.toEqual(faults(2, 0.5));
    expect(new Set(faults(3, 0))).toEqual(new Set(['1']));
    for (const outcome of ['1', 'lost', 'threw']) {
      const share = faults(7, 0.5).filter((each) => each === outcome).length / 400;
      expect(share).toBeGreaterThan(0.15);
    }
  });

  it('lets go what hangs when it is closed', async () => {
    layer.plan('get', { kind: 'hangs' });
    const hanging = layer.get('a');
    await layer.close();
    expect(await hanging).toBeUndefined();
  });
});
