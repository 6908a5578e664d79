import { AggregatorRegistry, Gauge, Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { MetricRegistry } from '../registry.js';
import { PrometheusCollector } from './prometheus-collector.js';

function scraped(namespace?: string) {
  const registry = new Registry();
  const collector = new PrometheusCollector(namespace).register(registry);
  const lines = async () => (await registry.metrics()).split('\n').filter((line) => line !== '' && line[0] !== '#');
  return { registry, collector, lines };
}

describe('a Prometheus collector', () => {
  it('shows of a queue that nothing of it was dropped yet, so that the first loss is seen to rise', async () => {
    const collector = new PrometheusCollector('app');
    collector.recordGet('L1', true, 1);
    collector.recordQueueDepth('L2', 3);
    const dropped = async () => (await collector.expose()).match(/^app_writes_dropped_total.*$/gm);
    expect(await dropped()).toEqual(['app_writes_dropped_total{layer="L2"} 0']);
    collector.recordWriteDropped('L2');
    expect(await dropped()).toEqual(['app_writes_dropped_total{layer="L2"} 1']);
  });

  it('counts hits, misses and durations by layer', async () => {
    const { collector, lines } = scraped();
    collector.recordGet('L1', false, 10);
    collector.recordGet('L2', true, 50);
    collector.recordGet('L2', true, 0.002);
    collector.recordSet('L1', true, 1);
    collector.recordSet('L1', false, 1);
    collector.recordDelete('L1', true, 1);
    const found = await lines();
    expect(found).toEqual(
      expect.arrayContaining([
        'cache_chain_hits_total{layer="L1"} 0',
        'cache_chain_misses_total{layer="L1"} 1',
        'cache_chain_hits_total{layer="L2"} 2',
        'cache_chain_operation_duration_seconds_bucket{le="0.000001",layer="L2",operation="get"} 0',
        'cache_chain_operation_duration_seconds_bucket{le="0.00001",layer="L2",operation="get"} 1',
        'cache_chain_operation_duration_seconds_bucket{le="0.05",layer="L2",operation="get"} 2',
        'cache_chain_operation_duration_seconds_count{layer="L2",operation="get"} 2',
        'cache_chain_operation_duration_seconds_count{layer="L1",operation="set"} 2',
        'cache_chain_operation_duration_seconds_count{layer="L1",operation="delete"} 1',
      ]),
    );
  });

  it('counts errors, background writes, drops and what chains answer', async () => {
    const { collector, lines } = scraped('app');
    collector.recordError('L2', 'get', 'CACHE_TIMEOUT');
    collector.recordQueueDepth('L2', 42);
    collector.recordWriteDropped('L2');
    collector.recordAsyncWrite('L2', true, 1);
    collector.recordAsyncWrite('L2', false, 1);
    collector.recordChainGet(true, 1, 5);
    collector.recordChainGet(false, -1, 5);
    expect(await lines()).toEqual(
      expect.arrayContaining([
        'app_errors_total{layer="L2",operation="get",error_type="CACHE_TIMEOUT"} 1',
        'app_queue_depth{layer="L2"} 42',
        'app_writes_dropped_total{layer="L2"} 1',
        'app_async_writes_total{layer="L2",status="success"} 1',
        'app_async_writes_total{layer="L2",status="failure"} 1',
        'app_chain_gets_total{result="miss",layer="none"} 1',
        'app_chain_gets_total{result="hit",layer="0"} 0',
        'app_chain_gets_total{result="hit",layer="1"} 1',
        'app_chain_get_duration_seconds_count 2',
      ]),
    );
  });

  it('shows a circuit closing again, and how often it opened', async () => {
    const { collector, lines } = scraped();
    const shown: string[] = [];
    for (const state of ['open', 'half-open', 'open', 'half-open', 'closed'] as const) {
      collector.recordCircuitState('L2', state);
      shown.push(...(await lines()).filter((line) => line.startsWith('cache_chain_circuit_state')));
    }
    expect(shown.map((line) => Number(line.split(' ')[1]))).toEqual([1, 2, 1, 2, 0]);
    expect(await lines()).toContain('cache_chain_circuit_opens_total{layer="L2"} 2');
  });

  it('is shown in OpenMetrics by a registry that speaks it', async () => {
    const registry = new Registry<typeof Registry.OPENMETRICS_CONTENT_TYPE>();
    registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
    const collector = new PrometheusCollector().register(registry as unknown as Registry);
    collector.recordGet('L1', true, 1);
    for (let scrape = 0; scrape < 2; scrape++) {
      const lines = (await registry.metrics()).split('\n');
      expect(lines).toContain('# TYPE cache_chain_hits counter');
      expect(lines).toContain('cache_chain_hits_total{layer="L1"} 1');
      expect(lines).toContain('cache_chain_operation_duration_seconds_count{layer="L1",operation="get"} 1');
    }
  });

  it('is added up where a cluster of processes is', async () => {
    const processes = await Promise.all(
      ['L1', 'L1'].map(async (layer) => {
        const { registry, collector } = scraped();
        registry.setDefaultLabels({ app: 'test' });
        collector.recordGet(layer, true, 1);
        collector.recordCircuitState(layer, 'open');
        return registry.getMetricsAsJSON();
      }),
    );
    const lines = (await AggregatorRegistry.aggregate(processes).metrics()).split('\n');
    expect(lines).toContain('cache_chain_hits_total{layer="L1",app="test"} 2');
    expect(lines).toContain(
      'cache_chain_operation_duration_seconds_bucket{le="0.001",layer="L1",operation="get",app="test"} 2',
    );
    expect(lines).toContain('cache_chain_circuit_opens_total{layer="L1",app="test"} 2');
    expect(lines).toContain('cache_chain_circuit_state{layer="L1",app="test"} 1');
  });

  it('begins anew when its registry is reset', async () => {
    const { registry, collector, lines } = scraped();
    collector.recordGet('L1', true, 1);
    const memory = collector.memoryGets('L1');
    if (memory !== undefined) memory.hits = 7;
    registry.resetMetrics();
    expect(new Set((await lines()).map((line) => line.split(' ').at(-1)))).toEqual(new Set(['0']));
    collector.recordGet('L1', true, 1);
    expect(await lines()).toContain('cache_chain_hits_total{layer="L1"} 1');
  });

  it('keeps the number of series bounded', async () => {
    const { collector, lines } = scraped();
    for (let i = 0; i < 500; i++) {
      collector.recordGet(`layer ${i}`, true, 1);
      collector.recordSet(`layer ${i}`, true, 1);
      collector.recordDelete(`layer ${i}`, true, 1);
      collector.recordError('layer 0', 'get', `type ${i}`);
      collector.recordChainGet(true, i, 1);
    }
    const found = await lines();
    const of = (family: string) => found.filter((line) => line.startsWith(`cache_chain_${family}{`));
    expect(of('hits_total')).toHaveLength(61);
    expect(of('hits_total')).toContain('cache_chain_hits_total{layer="other"} 440');
    expect(of('operation_duration_seconds_count')).toHaveLength(3 * 61);
    expect(of('errors_total').length).toBeLessThanOrEqual(201);
    expect(of('chain_gets_total')).toHaveLength(62);
    expect(of('chain_gets_total')).toContain('cache_chain_chain_gets_total{result="hit",layer="other"} 440');
  });

  it('has every family in the registry from the start, with help and type', async () => {
    const { registry } = scraped();
    const families = (await registry.getMetricsAsJSON()).map(({ name, type }) => `${name} ${type}`);
    expect(families).toEqual([
      'cache_chain_hits_total counter',
      'cache_chain_misses_total counter',
      'cache_chain_errors_total counter',
      'cache_chain_operation_duration_seconds histogram',
      'cache_chain_queue_depth gauge',
      'cache_chain_writes_dropped_total counter',
      'cache_chain_async_writes_total counter',
      'cache_chain_circuit_state gauge',
      'cache_chain_circuit_opens_total counter',
      'cache_chain_chain_gets_total counter',
      'cache_chain_chain_get_duration_seconds histogram',
    ]);
  });

  it('can count into a registry that has other metrics too, or show its own text', async () => {
    const ours = new MetricRegistry();
    new PrometheusCollector(ours).recordGet('L1', true, 1);
    expect(await ours.expose()).toContain('granary_hits_total{layer="L1"} 1');
    const alone = new PrometheusCollector();
    alone.recordGet('L1', true, 1);
    expect(await alone.expose()).toContain('cache_chain_hits_total{layer="L1"} 1');
  });

  it('refuses a registry that has one of its names already, and leaves it as it is', async () => {
    const { registry, collector } = scraped();
    expect(() => new PrometheusCollector().register(registry)).toThrow(/hits_total has already been registered/);
    const other = new Registry();
    new Gauge({ name: 'cache_chain_circuit_state', help: 'of somebody else', registers: [other] });
    expect(() => collector.register(other)).toThrow('cache_chain_circuit_state has already been registered');
    expect(other.getMetricsAsArray()).toHaveLength(1);
  });
});
