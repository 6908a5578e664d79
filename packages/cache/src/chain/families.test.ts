import { ManualTime } from '@granary/resilience/testing';
import { PrometheusCollector } from '@granary/telemetry';
import { parseExposition } from '@granary/telemetry/testing';
import { expect, it } from 'vitest';
import { MemoryLayer } from '../layers/memory-layer.js';
import { ChaosLayer } from '../testing/chaos-layer.js';
import { Chain } from './chain.js';

it('a chain moves every metric that there is of chains', async () => {
  const time = new ManualTime();
  const metrics = new PrometheusCollector();
  const slow = new ChaosLayer(new MemoryLayer<string>({ name: 'L2' }), { timers: time });
  const chain = new Chain<string>({
    layers: [
      new MemoryLayer<string>({ name: 'L1' }),
      {
        layer: slow,
        writeBehind: { maxEntries: 2, maxWaitMs: 0, workers: 1 },
        resilience: { breaker: { maxFailures: 2 } },
      },
    ],
    ttlMs: 60_000,
    metrics,
    timers: time,
  });
  const value = async (name: string, labels: Readonly<Record<string, string>> = {}) =>
    parseExposition(await metrics.expose(), 'text')
      .flatMap(({ samples }) => samples)
      .filter((one) => one.name === `cache_chain_${name}`)
      .filter((one) => Object.entries(labels).every(([key, wanted]) => one.labels[key] === wanted))
      .reduce((sum, one) => sum + one.value, 0);

  await chain.set('a', '1');
  await chain.flush();
  await chain.get('a');
  await chain.get('nowhere');
  await chain.delete('a');
  await chain.flush();
  slow.plan('getEntry', { kind: 'throws' }, 2);
  await chain.get('b');
  await chain.get('c');
  for (const key of ['d', 'e', 'f']) await chain.set(key, '1');

  const [L1, L2] = [{ layer: 'L1' }, { layer: 'L2' }];
  expect(await value('hits_total', L1)).toBe(1);
  expect([await value('misses_total', L1), await value('misses_total', L2)]).toEqual([3, 1]);
  expect(await value('errors_total', { ...L2, operation: 'get' })).toBe(2);
  for (const [operation, layer] of [
    ['get', L1],
    ['set', L1],
    ['delete', L1],
  ] as const)
    expect(await value('operation_duration_seconds_count', { ...layer, operation }), operation).toBeGreaterThan(0);
  expect(await value('async_writes_total', { ...L2, status: 'success' })).toBe(2);
  expect(await value('circuit_state', L2)).toBe(1);
  expect(await value('circuit_opens_total', L2)).toBe(1);
  expect(await value('queue_depth', L2)).toBe(2);
  expect(await value('writes_dropped_total', L2)).toBe(1);
  expect(await value('chain_gets_total', { result: 'hit', layer: '0' })).toBe(1);
  expect(await value('chain_gets_total', { result: 'miss', layer: 'none' })).toBe(3);
  expect(await value('chain_get_duration_seconds_count')).toBe(4);
  await chain.close();
});
