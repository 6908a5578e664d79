import { type Metric, Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { loadProcessMetrics, ProcessMetrics } from './process-metrics.js';

/** A registry with one family of one series, as prom-client tells of it. */
function registryWith(name: string, value: number): Registry {
  const registry = new Registry();
  const get = async () => ({ name, help: 'Help.', type: 'gauge', aggregator: 'sum', values: [{ value, labels: {} }] });
  registry.registerMetric({ name, help: 'Help.', labelNames: [], get } as unknown as Metric);
  return registry;
}

describe('the lag of the event loop', () => {
  it.each([
    ['min', 0.1, 0],
    ['mean', 0.099, 0],
    ['max', 0.35, 0.25],
    ['p50', 0.101, 0.001],
    ['p99', 0.2, 0.1],
  ])('is how late a look was, not the time between two (%s)', async (statistic, between, late) => {
    const metrics = new ProcessMetrics(registryWith(`granary_nodejs_eventloop_lag_${statistic}_seconds`, between));
    const [family] = await metrics.read();
    expect(family?.values[0]?.value).toBeCloseTo(late, 9);
  });

  it('is none where nobody has looked since the last scrape', async () => {
    const metrics = await loadProcessMetrics('granary_');
    // All in one turn of the event loop, in which nobody looks.
    const [, second] = await Promise.all([metrics.read(), metrics.read()]);
    const lags = second?.filter(({ name }) => /_lag_(?:min|max|mean|p\d\d)_/.test(name)) ?? [];
    expect(lags).toHaveLength(6);
    for (const { name, values } of lags) expect(values, name).toMatchObject([{ value: 0 }]);
  });

  it('leaves other families as they are', async () => {
    const metrics = new ProcessMetrics(registryWith('granary_process_heap_bytes', 2 ** 40));
    expect((await metrics.read())[0]?.values[0]?.value).toBe(2 ** 40);
  });
});
