import { ManualTime } from '@granary/resilience/testing';
import { MemoryCollector, PrometheusCollector } from '@granary/telemetry';
import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { MemoryLayer } from '../layers/memory-layer.js';
import { ChaosLayer } from '../testing/chaos-layer.js';
import { AsyncWriter } from '../writer/async-writer.js';
import { ResilientLayer } from './resilient-layer.js';

describe('a resilient layer behind a writer', () => {
  const setup = (metrics: MemoryCollector | PrometheusCollector) => {
    const time = new ManualTime();
    const chaos = new ChaosLayer(new MemoryLayer<string>({ name: 'L2' }), { timers: time });
    const breaker = { maxFailures: 2, timeoutMs: 1000, clock: time.clock };
    const layer = new ResilientLayer(chaos, { metrics, timers: time, breaker });
    const writer = new AsyncWriter<string>(layer, { metrics, timers: time, maxEntries: 3, maxWaitMs: 0, workers: 1 });
    return { time, chaos, writer };
  };

  it('shows in a memory collector what goes wrong, and that it is over', async () => {
    const metrics = new MemoryCollector();
    const { time, chaos, writer } = setup(metrics);
    chaos.plan('set', { kind: 'hangs' }).plan('set', { kind: 'throws' });
    for (const key of ['a', 'b', 'c', 'd']) writer.set(key, '1');
    expect(metrics.snapshot().layerMetrics['L2']).toMatchObject({ queueDepth: 3, droppedWrites: 1, failedWrites: 0 });
    const flushed = writer.flush(5000);
    await time.advance(1000);
    expect(await flushed).toBe(false);
    expect(metrics.snapshot().layerMetrics['L2']).toMatchObject({
      queueDepth: 0,
      failedWrites: 3,
      circuitState: 'open',
      circuitOpens: 1,
    });
    await time.advance(1000);
    writer.set('a', '1');
    await writer.flush(100);
    expect(metrics.snapshot().layerMetrics['L2']).toMatchObject({
      circuitState: 'closed',
      circuitOpens: 1,
      failedWrites: 3,
    });
    await writer.close();
  });

  it('shows in a registry of Prometheus', async () => {
    const registry = new Registry();
    const { chaos, writer } = setup(new PrometheusCollector().register(registry));
    chaos.plan('set', { kind: 'throws' }, 2);
    for (const key of ['a', 'b', 'c', 'd']) writer.set(key, '1');
    expect(await registry.metrics()).toContain('cache_chain_queue_depth{layer="L2"} 3');
    await writer.flush(100);
    const text = await registry.metrics();
    for (const line of [
      'cache_chain_circuit_state{layer="L2"} 1',
      'cache_chain_circuit_opens_total{layer="L2"} 1',
      'cache_chain_writes_dropped_total{layer="L2"} 1',
      'cache_chain_async_writes_total{layer="L2",status="failure"} 3',
      'cache_chain_queue_depth{layer="L2"} 0',
    ]) {
      expect(text).toContain(line);
    }
    await writer.close();
  });
});
