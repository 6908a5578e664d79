import { runInNewContext } from 'node:vm';
import { describe, expect, it, vi } from 'vitest';
import type { Labels } from '../family.js';
import { MetricRegistry } from '../registry.js';
import { collectorContract, type ToldSeries } from '../testing/collector-contract.js';
import { parseExposition } from '../testing/parse-exposition.js';
import { CHAIN_METRICS, type CollectedMetric } from './chain-metrics.js';
import { noopCollector } from './collector.js';
import { CollectorBase } from './collector-base.js';
import { CompositeCollector } from './composite-collector.js';
import { MemoryCollector } from './memory-collector.js';
import { PrometheusCollector } from './prometheus-collector.js';

const runner = { describe, it, expect };
const SECONDS = Object.values(CHAIN_METRICS).filter(({ type }) => type === 'histogram') as readonly CollectedMetric[];

/** What an exposition tells, in the words of the contract. */
function toldBy(text: string): ToldSeries[] {
  return parseExposition(text, 'openmetrics').flatMap(({ type, samples, unit }) => {
    const counts = samples.filter(({ name }) => name.endsWith('_count'));
    if (type !== 'histogram') return samples.map(({ name, labels, value }) => ({ name, labels, value }));
    return samples
      .filter(({ name }) => name.endsWith('_sum'))
      .map(({ name, labels, value }, i) => {
        const count = counts[i]?.value ?? 0;
        return { name: name.slice(0, -'_sum'.length), labels, value, count, ...(unit === 'seconds' && { unit }) };
      });
  });
}

function prometheus() {
  const registry = new MetricRegistry({ namespace: '' });
  const collector = new PrometheusCollector(registry);
  return { collector, told: async () => toldBy(await registry.expose('openmetrics')) };
}

collectorContract('PrometheusCollector', prometheus, runner);

collectorContract(
  'CompositeCollector',
  () => {
    const { collector, told } = prometheus();
    const broken = new Proxy(noopCollector, {
      get: (_, name) => {
        if (name === 'enabled') return true;
        return () => {
          throw new Error('broken');
        };
      },
    });
    return { collector: new CompositeCollector([broken, noopCollector, collector, broken]), told };
  },
  runner,
);

collectorContract(
  'MemoryCollector',
  () => {
    const collector = new MemoryCollector();
    const told = async () => {
      const { layerMetrics, chainMetrics } = collector.snapshot();
      const series: ToldSeries[] = Object.entries(layerMetrics).flatMap(([layer, metrics]) => [
        { name: 'hits_total', labels: { layer }, value: metrics.hits },
        { name: 'misses_total', labels: { layer }, value: metrics.misses },
        { name: 'queue_depth', labels: { layer }, value: metrics.queueDepth },
        { name: 'writes_dropped_total', labels: { layer }, value: metrics.droppedWrites },
        { name: 'circuit_opens_total', labels: { layer }, value: metrics.circuitOpens },
      ]);
      const hits = chainMetrics.hitsByLayer.map((value, i) => {
        return { name: 'chain_gets_total', labels: { result: 'hit', layer: String(i) }, value };
      });
      const misses = { result: 'miss', layer: 'none' };
      return [...series, ...hits, { name: 'chain_gets_total', labels: misses, value: chainMetrics.totalMisses }];
    };
    return { collector, told };
  },
  runner,
  {
    metrics: [
      'hits_total',
      'misses_total',
      'queue_depth',
      'writes_dropped_total',
      'circuit_opens_total',
      'chain_gets_total',
    ],
  },
);

/** Keeps what it is told by the metric and the labels themselves, as the documentation allows. */
class OwnCollector extends CollectorBase {
  readonly told = new Map<CollectedMetric, Map<Labels, { value: number; count: number }>>();

  protected override count(metric: CollectedMetric, amount: number, labels: Labels): void {
    this.#series(metric, labels).value += amount;
  }

  protected override observe(metric: CollectedMetric, seconds: number, labels: Labels): void {
    const series = this.#series(metric, labels);
    series.value += seconds;
    series.count++;
  }

  protected override gauge(metric: CollectedMetric, value: number, labels: Labels): void {
    this.#series(metric, labels).value = value;
  }

  #series(metric: CollectedMetric, labels: Labels) {
    const ofMetric = this.told.get(metric) ?? new Map();
    this.told.set(metric, ofMetric);
    const series = ofMetric.get(labels) ?? { value: 0, count: 0 };
    ofMetric.set(labels, series);
    return series;
  }
}

collectorContract(
  'CollectorBase',
  () => {
    const collector = new OwnCollector();
    const told = async () =>
      [...collector.told].flatMap(([metric, byLabels]) =>
        Array.from(byLabels, ([labels, { value, count }]): ToldSeries => {
          const { name, unit } = metric;
          return { name, labels, value, ...(SECONDS.includes(metric) && { count }), ...(unit && { unit }) };
        }),
      );
    return { collector, told };
  },
  runner,
);

describe('a collector of your own', () => {
  it('may leave out what it does not want to hear', () => {
    const names: string[] = [];
    class Counts extends CollectorBase {
      protected override count({ name }: CollectedMetric): void {
        names.push(name);
      }
    }
    const collector = new Counts();
    collector.recordGet('L1', true, 1);
    collector.recordQueueDepth('L1', 1);
    expect(names).toEqual(['hits_total']);
  });

  it('may be asynchronous and reject, which nobody hears of', async () => {
    const unheard = vi.fn();
    process.on('unhandledRejection', unheard);
    try {
      class Rejecting extends CollectorBase {
        override count = async () => Promise.reject(new Error('count'));
        override observe = async () => Promise.reject(new Error('observe'));
        override gauge = async () => Promise.reject(new Error('gauge'));
      }
      const collector = new Rejecting();
      collector.recordGet('L1', true, 1);
      collector.recordQueueDepth('L1', 1);
      await new Promise((resolve) => setImmediate(resolve));
      expect(unheard).not.toHaveBeenCalled();
    } finally {
      process.off('unhandledRejection', unheard);
    }
  });

  it('is told each metric with help, type and the names of its labels', () => {
    const told: CollectedMetric[] = [];
    class Metrics extends CollectorBase {
      protected override count(metric: CollectedMetric, _: number, labels: Labels): void {
        expect(Object.keys(labels)).toEqual(metric.labelNames);
        told.push(metric);
      }
    }
    new Metrics().recordError('L1', 'get', 'error');
    expect(told).toEqual([CHAIN_METRICS.errors]);
    expect(told[0]?.help).toMatch(/^[A-Z].*\.$/);
  });
});

describe('several collectors together', () => {
  it('listen when any of them does, and tell none that does not', () => {
    const switchable = { ...noopCollector, enabled: false, recordGet: vi.fn() };
    const composite = new CompositeCollector([noopCollector, switchable]);
    expect(composite.enabled).toBe(false);
    composite.recordGet('L1', true, 1);
    switchable.enabled = true;
    expect(composite.enabled).toBe(true);
    composite.recordGet('L1', true, 2);
    expect(switchable.recordGet.mock.calls).toEqual([['L1', true, 2]]);
    expect(new CompositeCollector([]).enabled).toBe(false);
  });

  it('are counted when they reject, and go unnoticed by who tells', async () => {
    const later = { ...noopCollector, enabled: true, recordGet: () => Promise.reject(new Error('later')) };
    const composite = new CompositeCollector([later]);
    composite.recordGet('L1', true, 1);
    await new Promise(setImmediate);
    expect(composite.errors).toBe(1);
  });

  it('are counted when they reject with a promise of another realm, and go unnoticed too', async () => {
    const answered: Promise<void> = runInNewContext('Promise').reject(new Error('later'));
    const later = { ...noopCollector, enabled: true, recordGet: () => answered };
    const composite = new CompositeCollector([later]);
    composite.recordGet('L1', true, 1);
    await new Promise(setImmediate);
    expect(composite.errors).toBe(1);
  });

  it('may throw when they are asked whether they listen', () => {
    const broken = Object.defineProperty({ ...noopCollector }, 'enabled', {
      get() {
        throw new Error('broken');
      },
    });
    expect(new CompositeCollector([broken]).enabled).toBe(false);
    const memory = new MemoryCollector();
    const composite = new CompositeCollector([broken, memory]);
    expect(composite.enabled).toBe(true);
    composite.recordGet('L1', true, 1);
    expect(memory.snapshot().layerMetrics['L1']?.hits).toBe(1);
    expect(composite.errors).toBe(1);
  });

  it('are counted when they throw, and called as methods', () => {
    class Own extends MemoryCollector {
      override recordWriteDropped(layer: string): never {
        super.recordWriteDropped(layer);
        throw new Error('broken');
      }
    }
    const own = new Own();
    const composite = new CompositeCollector([own]);
    composite.recordWriteDropped('L1');
    composite.recordGet('L1', true, 1);
    expect(composite.errors).toBe(1);
    expect(own.snapshot().layerMetrics['L1']).toMatchObject({ droppedWrites: 1, hits: 1 });
  });
});
