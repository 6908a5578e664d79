import { performance } from 'node:perf_hooks';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { EventLoopWatch } from './event-loop-watch.js';
import { MetricRegistry } from './registry.js';

const block = (ms: number) => {
  const end = performance.now() + ms;
  while (performance.now() < end);
};

/** Turns of the event loop for so long, and two more: on a busy machine the time may be over before there was any. */
const turns = async (ms: number) => {
  for (const start = performance.now(); performance.now() < start + ms; ) await turn();
  await turn();
  await turn();
};

describe('a watch of the event loop', () => {
  it('sees a block, in full, and that the loop was busy', async () => {
    let now = 0;
    const watch = new EventLoopWatch(() => now);
    try {
      // Once it has looked for the first time it sees everything that lies between two looks.
      await turns(60);
      block(150);
      await turns(60);
      now = 10_000;
      expect(watch.p99).toBeGreaterThanOrEqual(0.1);
      expect(watch.utilization).toBeGreaterThan(0);
      expect(watch.utilization).toBeLessThanOrEqual(1);
      expect(watch.p50).toBeLessThan(watch.p99 ?? 0);
    } finally {
      watch.close();
    }
  });

  it('tells everyone of the same time, however many ask', () => {
    let now = 0;
    const watch = new EventLoopWatch(() => now);
    block(5);
    now = 10_000;
    const first = [watch.p50, watch.p99, watch.utilization];
    now = 15_000;
    block(5);
    expect([watch.p50, watch.p99, watch.utilization]).toEqual(first);
    watch.close();
  });

  it('shows nothing when it is closed', async () => {
    const registry = new MetricRegistry({ namespace: '' });
    registry.addProcessMetrics();
    expect(await registry.expose()).toContain('\nnodejs_eventloop_utilization_ratio ');
    registry.close();
    registry.close();
    expect(await registry.expose()).not.toContain('nodejs_eventloop_utilization_ratio');
    expect(await registry.expose()).toContain('nodejs_eventloop_lag_seconds');
  });
});
