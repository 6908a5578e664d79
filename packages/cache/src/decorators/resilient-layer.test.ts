import { isTimeout as isPolicyTimeout } from '@granary/resilience';
import { ManualTime } from '@granary/resilience/testing';
import { noopCollector } from '@granary/telemetry';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { CacheTimeoutError, InvalidValueError, isCircuitOpen, isTimeout, LayerUnavailableError } from '../errors.js';
import type { Layer } from '../layer.js';
import { MemoryLayer } from '../layers/memory-layer.js';
import { ChaosLayer } from '../testing/chaos-layer.js';
import { ResilientLayer, type ResilientLayerOptions } from './resilient-layer.js';

const errorOf = async (operation: () => unknown): Promise<unknown> => {
  try {
    await operation();
  } catch (error) {
    return error;
  }
  return undefined;
};

describe('a resilient layer', () => {
  let time: ManualTime;
  let chaos: ChaosLayer<string>;
  const unhandled = vi.fn();
  const broken = new Error('broken');

  const resilient = (options: ResilientLayerOptions = {}, layer: Layer<string> = chaos) =>
    new ResilientLayer<string>(layer, {
      timeoutMs: 100,
      timers: time,
      ...options,
      breaker: { maxFailures: 2, timeoutMs: 1000, clock: time.clock, ...options.breaker },
    });

  beforeEach(() => {
    time = new ManualTime();
    chaos = new ChaosLayer(new MemoryLayer<string>({ name: 'L2', clock: time.clock }), { timers: time });
    unhandled.mockReset();
    process.on('unhandledRejection', unhandled);
  });

  afterEach(async () => {
    chaos.release();
    await new Promise((resolve) => setImmediate(resolve));
    process.off('unhandledRejection', unhandled);
    expect(unhandled).not.toHaveBeenCalled();
    expect(time.pending).toBe(0);
  });

  it('answers at once what the layer answers at once', () => {
    const layer = resilient();
    expect(layer.set('a', '1')).toBeUndefined();
    expect(layer.get('a')).toBe('1');
    expect(layer.getEntry?.('a')).toEqual({ value: '1', expiresAt: undefined });
    expect(layer.delete('a')).toBe(true);
  });

  it('has the optional methods that the layer has, and no others', () => {
    const plain: Layer<string> = { name: 'L2', get() {}, set() {}, delete: () => false, close() {} };
    expect(resilient({}, plain)).toMatchObject({ name: 'L2', getMany: undefined, clear: undefined });
    expect(resilient().getMany).toBeTypeOf('function');
  });

  it('gives up what hangs when its time is up, and tells it', async () => {
    const layer = resilient();
    chaos.plan('get', { kind: 'hangs' });
    const outcome = errorOf(() => layer.get('a'));
    await time.advance(99);
    expect(chaos.hanging).toBe(1);
    await time.advance(1);
    expect(chaos.hanging).toBe(0);
    const error = await outcome;
    expect(error).toBeInstanceOf(CacheTimeoutError);
    expect(isTimeout(error)).toBe(true);
    expect(isPolicyTimeout((error as Error).cause)).toBe(true);
    expect((error as Error).message).toBe('L2: get gave no answer within 100 ms');
  });

  it('passes what the layer throws or rejects with through unchanged', async () => {
    const layer = resilient();
    chaos.plan('get', { kind: 'throws', error: broken }).plan('set', { kind: 'rejects', error: broken });
    expect(await errorOf(() => layer.get('a'))).toBe(broken);
    expect(await errorOf(() => layer.set('a', '1'))).toBe(broken);
  });

  it.each([
    { kind: 'throws' as const, error: broken },
    { kind: 'rejects' as const, error: broken },
    { kind: 'hangs' as const },
  ])('asks a layer no more that $kind too often, of all operations together', async (fault) => {
    const layer = resilient();
    chaos.always(fault);
    const failures = [errorOf(() => layer.get('a')), errorOf(() => layer.set('a', '1'))];
    await time.advance(100);
    await Promise.all(failures);
    expect(() => layer.get('a')).toThrow(LayerUnavailableError);
    for (const operation of [() => layer.getMany?.(['a']), () => layer.delete('a'), () => layer.clear?.()]) {
      expect(isCircuitOpen(await errorOf(operation))).toBe(true);
    }
    expect([chaos.calls.get, chaos.calls.getMany, chaos.calls.delete, chaos.calls.clear]).toEqual([1, 0, 0, 0]);
  });

  it('asks again after the breaker’s time, and goes on when that goes well', async () => {
    const layer = resilient();
    chaos.plan('get', { kind: 'throws', error: broken }, 3);
    for (let i = 0; i < 2; i++) await errorOf(() => layer.get('a'));
    await time.advance(1000);
    expect(await errorOf(() => layer.get('a'))).toBe(broken);
    expect(isCircuitOpen(await errorOf(() => layer.get('a')))).toBe(true);
    await time.advance(1000);
    expect(await layer.get('a')).toBeUndefined();
    expect(layer.breaker.state).toBe('closed');
  });

  it('says when it may be asked again, right to a hundredth of a second', async () => {
    const layer = resilient({ breaker: { maxFailures: 1 } });
    chaos.plan('get', { kind: 'throws', error: broken });
    await errorOf(() => layer.get('a'));
    for (const passed of [0, 5, 300, 691]) {
      await time.advance(passed);
      const { cause } = (await errorOf(() => layer.get('a'))) as { cause: { retryAfterMs: number } };
      const exact = 1000 - (time.clock() - 1_000_000);
      expect(cause.retryAfterMs).toBeGreaterThanOrEqual(exact);
      expect(cause.retryAfterMs).toBeLessThanOrEqual(exact + 10);
    }
  });

  it('takes a miss for a success', async () => {
    const layer = resilient();
    for (let i = 0; i < 5; i++) {
      chaos.plan('get', { kind: 'throws', error: broken });
      await errorOf(() => layer.get('a'));
      expect(layer.get('nothing')).toBeUndefined();
    }
    expect(layer.breaker.state).toBe('closed');
  });

  it('holds nothing against a layer that refuses a value, or whose caller goes away', async () => {
    const layer = resilient();
    chaos.plan('set', { kind: 'throws', error: new InvalidValueError('too large') }, 3);
    for (let i = 0; i < 3; i++) await errorOf(() => layer.set('a', '1'));
    for (let i = 0; i < 3; i++) {
      const caller = new AbortController();
      chaos.plan('get', { kind: 'hangs' });
      const outcome = errorOf(() => layer.get('a', { signal: caller.signal }));
      caller.abort('gone');
      expect(await outcome).toBe('gone');
      expect(chaos.hanging).toBe(0);
      expect(await errorOf(() => layer.get('a', { signal: caller.signal }))).toBe('gone');
    }
    expect(layer.breaker.stats()).toMatchObject({ state: 'closed', failures: 0 });
    expect(chaos.calls.get).toBe(3);
  });

  it('counts what was a failure by the caller’s own rule', async () => {
    const layer = resilient({ breaker: { isFailure: () => false } });
    chaos.always({ kind: 'throws', error: broken });
    for (let i = 0; i < 5; i++) expect(await errorOf(() => layer.get('a'))).toBe(broken);
  });

  it('tells each change of its circuit once, and lives with listeners that throw', async () => {
    const states: string[] = [];
    const changes: string[] = [];
    const metrics = {
      ...noopCollector,
      enabled: true,
      recordCircuitState: (layer: string, state: string) => {
        states.push(`${layer} ${state}`);
        throw new Error('from a collector');
      },
    };
    const onStateChange = ({ to }: { to: string }) => changes.push(to);
    const layer = resilient({ metrics, breaker: { onStateChange } });
    chaos.plan('get', { kind: 'throws', error: broken }, 2);
    for (let i = 0; i < 5; i++) await errorOf(() => layer.get('a'));
    await time.advance(1000);
    for (let i = 0; i < 3; i++) await layer.get('a');
    expect(states).toEqual(['L2 open', 'L2 half-open', 'L2 closed']);
    expect(changes).toEqual(['open', 'half-open', 'closed']);
  });

  it('ignores what comes after the time was up', async () => {
    const layer = resilient({ breaker: { maxFailures: 1 } });
    chaos.plan('get', { kind: 'slow', ms: 150 });
    const deaf = { ...chaos, name: 'deaf', get: (key: string) => chaos.get(key) } as unknown as Layer<string>;
    const around = resilient({ breaker: { maxFailures: 1 } }, deaf);
    const outcome = errorOf(() => around.get('a'));
    await time.advance(100);
    expect(isTimeout(await outcome)).toBe(true);
    await time.advance(100);
    expect(around.breaker.state).toBe('open');
    expect(layer.breaker.state).toBe('closed');
  });

  it('gives clear more time, and closes whatever the circuit says', async () => {
    const layer = resilient({ longTimeoutMs: 5000 });
    chaos.plan('clear', { kind: 'slow', ms: 4000 });
    const cleared = layer.clear?.();
    await time.advance(4000);
    await cleared;
    chaos.always({ kind: 'throws' });
    for (let i = 0; i < 2; i++) await errorOf(() => layer.get('a'));
    const close = vi.spyOn(chaos, 'close');
    await layer.close();
    expect(close).toHaveBeenCalled();
    close.mockImplementationOnce(() => new Promise(() => {}));
    const hung = errorOf(() => layer.close());
    await time.advance(5000);
    expect(isTimeout(await hung)).toBe(true);
  });

  it.each(['timeoutMs', 'longTimeoutMs'])('refuses a %s that makes no sense', (option) => {
    for (const wrong of [0, Number.NaN, '200']) {
      expect(() => resilient({ [option]: wrong })).toThrow(new RegExp(`^${option} must be`));
    }
  });
});
