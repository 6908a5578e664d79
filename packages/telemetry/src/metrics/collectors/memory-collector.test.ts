import { describe, expect, it } from 'vitest';
import type { MetricsCollector } from './collector.js';
import { MemoryCollector } from './memory-collector.js';

describe('a memory collector', () => {
  it('keeps what it is told apart by layer', () => {
    const collector = new MemoryCollector();
    collector.recordGet('L1', false, 1);
    collector.recordGet('L2', true, 2);
    collector.recordSet('L1', true, 3);
    collector.recordSet('L1', false, 3);
    collector.recordDelete('L2', true, 1);
    collector.recordDelete('L2', false, 1);
    collector.recordError('L2', 'get', 'CACHE_TIMEOUT');
    collector.recordQueueDepth('L2', 5);
    collector.recordQueueDepth('L2', 3);
    collector.recordWriteDropped('L2');
    collector.recordAsyncWrite('L2', true, 1);
    collector.recordAsyncWrite('L2', false, 1);
    for (const state of ['open', 'half-open', 'open', 'half-open'] as const) collector.recordCircuitState('L2', state);
    const { L1, L2 } = collector.snapshot().layerMetrics;
    expect(L1).toMatchObject({ hits: 0, misses: 1, sets: 1, deletes: 0, errors: 0, circuitState: 'closed' });
    expect(L1?.setLatency).toMatchObject({ count: 2, max: 3 });
    expect(L2).toMatchObject({ hits: 1, misses: 0, sets: 0, deletes: 1, errors: 1 });
    expect(L2).toMatchObject({ queueDepth: 3, droppedWrites: 1, failedWrites: 1 });
    expect(L2).toMatchObject({ circuitState: 'half-open', circuitOpens: 2 });
    expect(L2?.getLatency).toEqual({ p50: 2, p95: 2, p99: 2, max: 2, count: 1 });
  });

  it('keeps what chains answer by the layer that had it', () => {
    const collector = new MemoryCollector();
    collector.recordChainGet(true, 2, 5);
    collector.recordChainGet(true, 0, 1);
    collector.recordChainGet(true, 2, 5);
    collector.recordChainGet(false, -1, 9);
    expect(collector.snapshot().chainMetrics).toMatchObject({
      totalHits: 3,
      totalMisses: 1,
      hitsByLayer: [1, 0, 2],
      latency: { count: 4, max: 9 },
    });
  });

  it('gives percentiles that are never too low and at most 4.5 % too high, of any range', () => {
    for (const scale of [0.001, 1, 300]) {
      const collector = new MemoryCollector();
      for (let i = 1; i <= 1000; i++) collector.recordGet('L1', true, ((i * 7919) % 1000) * scale + scale);
      const { p50, p95, p99, max, count } = collector.snapshot().layerMetrics['L1']!.getLatency;
      for (const [found, exact] of [
        [p50, 500],
        [p95, 950],
        [p99, 990],
      ] as const) {
        expect(found).toBeGreaterThanOrEqual(exact * scale * 0.999999);
        expect(found).toBeLessThanOrEqual(exact * scale * 1.045);
      }
      expect([max, count]).toEqual([1000 * scale, 1000]);
    }
  });

  it('gives percentiles that the few above them do not move, of few durations, too', () => {
    const latencyOf = (...durations: readonly (readonly [ms: number, times: number])[]) => {
      const collector = new MemoryCollector();
      for (const [ms, times] of durations) for (let i = 0; i < times; i++) collector.recordGet('L1', true, ms);
      const { p50, p95, p99, max } = collector.snapshot().layerMetrics['L1']!.getLatency;
      return [p50, p95, p99, max].map((ms) => Number(ms.toPrecision(1)));
    };
    expect(latencyOf([1, 500], [10, 450], [100, 40], [1000, 10])).toEqual([1, 10, 100, 1000]);
    expect(latencyOf([1, 499], [10, 450], [100, 40], [1000, 11])).toEqual([10, 100, 1000, 1000]);
    expect(latencyOf([1, 1], [10, 1], [100, 1])).toEqual([10, 100, 100, 100]);
  });

  it('takes durations of all sizes, and ignores what is none', () => {
    const collector = new MemoryCollector();
    for (const ms of [0, 1e-9, 1e12, Number.POSITIVE_INFINITY]) collector.recordGet('L1', true, ms);
    for (const ms of [-1, Number.NaN]) collector.recordGet('L1', true, ms);
    expect(collector.snapshot().layerMetrics['L1']?.getLatency).toMatchObject({
      count: 4,
      max: Number.POSITIVE_INFINITY,
    });
    expect(new MemoryCollector().snapshot().chainMetrics.latency).toEqual({ p50: 0, p95: 0, p99: 0, max: 0, count: 0 });
  });

  it('adds up what a layer in memory counts, however often it is read between', () => {
    const collector = new MemoryCollector();
    const gets = collector.memoryGets('L1')!;
    for (let i = 1; i <= 2; i++) {
      gets.hits += 3;
      gets.misses += 2;
      gets.took(i);
      gets.hits++;
      gets.misses++;
      const { layerMetrics, chainMetrics } = collector.snapshot();
      expect(layerMetrics['L1']).toMatchObject({ hits: 4 * i, misses: 3 * i, getLatency: { count: 7 * i, max: i } });
      expect(chainMetrics).toMatchObject({ totalHits: 4 * i, hitsByLayer: [4 * i], latency: { count: 4 * i, max: i } });
    }
  });

  it('is bounded, whatever it is told', () => {
    const collector = new MemoryCollector();
    for (let i = 0; i < 300; i++) collector.recordGet(`layer ${i}`, true, 1);
    for (let i = 0; i < 300; i++) collector.recordChainGet(true, i, 1);
    const { layerMetrics, chainMetrics } = collector.snapshot();
    expect(Object.keys(layerMetrics)).toHaveLength(101);
    expect(layerMetrics['other']?.hits).toBe(200);
    expect(chainMetrics.hitsByLayer).toHaveLength(101);
    expect(chainMetrics.totalHits).toBe(300);
  });

  it('gives snapshots that stay as they are, and begins anew when asked', () => {
    const collector = new MemoryCollector();
    collector.recordGet('constructor', true, 1);
    const before = collector.snapshot();
    collector.recordGet('constructor', true, 1);
    collector.recordChainGet(true, 0, 1);
    collector.recordChainGet(false, -1, 1);
    expect(before.layerMetrics['constructor']?.hits).toBe(1);
    collector.reset();
    expect(collector.snapshot().layerMetrics).toEqual({});
    expect(collector.snapshot().chainMetrics).toEqual({
      totalHits: 0,
      totalMisses: 0,
      hitsByLayer: [],
      latency: { p50: 0, p95: 0, p99: 0, max: 0, count: 0 },
    });
  });

  it('listens', () => {
    const collector: MetricsCollector = new MemoryCollector();
    expect(collector.enabled).not.toBe(false);
  });
});
