import { type ActionResultStore, RemoteStoreError, TierUnavailableError } from '@granary/blobs';
import { CircuitBreaker } from '@granary/resilience';
import { MemoryCollector } from '@granary/telemetry';
import { describe, expect, it, vi } from 'vitest';
import { withResultMetrics } from './result-metrics.js';

describe('the metrics of action results', () => {
  it.each([
    ['TIMEOUT', new RemoteStoreError('far', 'timeout', 'no answer')],
    ['UNAVAILABLE', new RemoteStoreError('far', 'unavailable', 'nobody listens')],
    ['REFUSED', new RemoteStoreError('far', 'refused', 'status 401')],
    [
      'CIRCUIT_OPEN',
      new TierUnavailableError('far', 'it is given a rest', { cause: new CircuitBreaker().rejection() }),
    ],
    ['TIER_UNAVAILABLE', new TierUnavailableError('far', 'it is gone')],
    ['EIO', Object.assign(new Error('the disk'), { code: 'EIO' })],
    ['error', new Error('something')],
  ])('say of a failure what it was: %s', async (type, failure) => {
    const collector = new MemoryCollector();
    const recordError = vi.spyOn(collector, 'recordError');
    const failing = { name: 'far', get: () => Promise.reject(failure) } as unknown as ActionResultStore;
    const results = withResultMetrics(failing, collector);
    await expect(Promise.resolve(results.get('key'))).rejects.toBe(failure);
    expect(recordError.mock.calls).toEqual([['far', 'get', type]]);
  });

  it('have the durations of writes that fail, as chains do, and nothing of callers who went away', async () => {
    const collector = new MemoryCollector();
    const told: unknown[][] = [];
    for (const method of ['recordSet', 'recordDelete', 'recordError'] as const)
      vi.spyOn(collector, method).mockImplementation((...values: unknown[]) => void told.push(values));
    const fail = () => Promise.reject(new Error('no'));
    const results = withResultMetrics(
      { name: 'far', set: fail, delete: fail } as unknown as ActionResultStore,
      collector,
    );
    await expect(results.set('key', Buffer.alloc(1), { signal: AbortSignal.abort() })).rejects.toThrow('no');
    expect(told).toEqual([]);
    await expect(results.set('key', Buffer.alloc(1))).rejects.toThrow('no');
    await expect(results.delete('key')).rejects.toThrow('no');
    expect(told).toEqual([
      ['far', 'set', 'error'],
      ['far', false, expect.any(Number)],
      ['far', 'delete', 'error'],
      ['far', false, expect.any(Number)],
    ]);
  });
});
