import {
  AggregationTemporality,
  DataPointType,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import { describe, expect, it } from 'vitest';
import { CHAIN_METRICS } from '../metrics/collectors/chain-metrics.js';
import { collectorContract, type ToldSeries } from '../metrics/testing/collector-contract.js';
import { OtelCollector, type OtelCollectorOptions } from './index.js';

/** A collector on an SDK whose reader is only read by hand. */
function setup(options?: OtelCollectorOptions) {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
  const provider = new MeterProvider({ readers: [reader] });
  const collector = new OtelCollector(provider.getMeter('test'), options);
  const read = async () => {
    const { resourceMetrics, errors } = await reader.collect();
    expect(errors).toEqual([]);
    return resourceMetrics.scopeMetrics.flatMap(({ metrics }) => metrics);
  };
  const close = async () => {
    collector.close();
    await provider.shutdown();
  };
  return { collector, read, close };
}

const NAMES: Readonly<Record<string, string>> = {
  'cache_chain.hits': 'hits_total',
  'cache_chain.misses': 'misses_total',
  'cache_chain.errors': 'errors_total',
  'cache_chain.operation.duration': 'operation_duration_seconds',
  'cache_chain.queue.depth': 'queue_depth',
  'cache_chain.writes.dropped': 'writes_dropped_total',
  'cache_chain.async_writes': 'async_writes_total',
  'cache_chain.circuit.state': 'circuit_state',
  'cache_chain.circuit.opens': 'circuit_opens_total',
  'cache_chain.chain.gets': 'chain_gets_total',
  'cache_chain.chain.get.duration': 'chain_get_duration_seconds',
};

collectorContract(
  'OtelCollector',
  () => {
    const { collector, read, close } = setup();
    const told = async () =>
      (await read()).flatMap(({ descriptor, dataPointType, dataPoints }) =>
        dataPoints.map(({ attributes, value }): ToldSeries => {
          const { 'error.type': errorType, ...others } = attributes as Record<string, string>;
          const labels = { ...others, ...(errorType !== undefined && { error_type: errorType }) };
          const name = NAMES[descriptor.name] ?? descriptor.name;
          if (dataPointType !== DataPointType.HISTOGRAM) return { name, labels, value: value as number };
          const { sum = 0, count } = value as { sum?: number; count: number };
          return { name, labels, value: sum, count, ...(descriptor.unit === 's' && { unit: 'seconds' }) };
        }),
      );
    return { collector, told, close };
  },
  { describe, it, expect },
);

describe('a collector for OpenTelemetry', () => {
  it('makes instruments with names, units and descriptions by its conventions', async () => {
    const { collector, read, close } = setup({ prefix: 'shop.cache' });
    collector.recordGet('L1', true, 0.5);
    collector.recordError('L1', 'get', 'CACHE_TIMEOUT');
    collector.recordQueueDepth('L1', 4);
    const metrics = await read();
    await close();
    const found = metrics.map(({ descriptor: { name, unit } }) => `${name} ${unit}`);
    expect(found.sort()).toEqual([
      'shop.cache.errors {error}',
      'shop.cache.hits {hit}',
      'shop.cache.operation.duration s',
      'shop.cache.queue.depth {write}',
    ]);
    expect(metrics.map(({ descriptor }) => descriptor.description)).toContain(CHAIN_METRICS.hits.help);
    const errors = metrics.find(({ descriptor }) => descriptor.name === 'shop.cache.errors');
    expect(errors?.dataPoints[0]?.attributes).toEqual({ layer: 'L1', operation: 'get', 'error.type': 'CACHE_TIMEOUT' });
    const duration = metrics.find(({ descriptor }) => descriptor.name === 'shop.cache.operation.duration');
    expect(duration?.dataPoints[0]?.value).toMatchObject({
      buckets: { boundaries: expect.arrayContaining([0.000001]) },
    });
  });

  it.each([
    ['when it is closed', (collector: OtelCollector) => collector.close()],
    ['when it is disposed of', (collector: OtelCollector) => collector[Symbol.dispose]()],
  ])('tells nothing more %s, and is no longer asked', async (_, end) => {
    const { collector, read, close } = setup();
    collector.recordQueueDepth('L1', 4);
    collector.recordGet('L1', true, 1);
    end(collector);
    end(collector);
    collector.recordGet('L1', true, 1);
    const metrics = await read();
    await close();
    expect(metrics.find(({ descriptor }) => descriptor.name === 'cache_chain.hits')?.dataPoints[0]?.value).toBe(1);
    expect(metrics.some(({ descriptor }) => descriptor.name === 'cache_chain.queue.depth')).toBe(false);
  });
});
