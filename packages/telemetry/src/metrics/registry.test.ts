import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { MetricRegistry } from './registry.js';

const lines = async (registry: MetricRegistry) =>
  (await registry.expose()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));

describe('a metric registry', () => {
  it('exposes counters under its namespace, with help, type and labels', async () => {
    const registry = new MetricRegistry();
    const requests = registry.counter('requests_total', 'Requests by method.', ['method', 'code']);
    requests.with('Read', 'OK').add();
    requests.with('Read', 'OK').add(2);
    requests.with('Write', 'a "quoted"\nvalue').add();
    expect(await registry.expose()).toBe(
      [
        '# HELP granary_requests_total Requests by method.',
        '# TYPE granary_requests_total counter',
        'granary_requests_total{method="Read",code="OK"} 3',
        'granary_requests_total{method="Write",code="a \\"quoted\\"\\nvalue"} 1',
        '',
      ].join('\n'),
    );
    expect(registry.contentType).toBe(new Registry().contentType);
  });

  it('shows a family without labels before it was ever counted', async () => {
    const registry = new MetricRegistry({ namespace: '' });
    registry.counter('evictions_total', 'Evictions.');
    expect(await lines(registry)).toEqual(['evictions_total 0']);
  });

  it('never counts down, and ignores what is infinite or not a number', () => {
    const counter = new MetricRegistry().counter('a_total', 'A.').with();
    counter.add(5);
    counter.add(-3);
    counter.add(Number.NaN);
    counter.add(Infinity);
    counter.addWithExemplar(Infinity, 'a'.repeat(32));
    expect(counter.value).toBe(5);
  });

  it('gives the same handle for the same label values, and keeps old handles valid while the family grows', async () => {
    const registry = new MetricRegistry({ namespace: 'x' });
    const family = registry.counter('a_total', 'A.', ['n']);
    const first = family.with('0');
    for (let i = 1; i < 100; i++) family.with(String(i)).add(i);
    first.add(7);
    expect(family.with('0')).toBe(first);
    const exposed = await lines(registry);
    expect(exposed).toHaveLength(100);
    expect(exposed).toContain('x_a_total{n="0"} 7');
    expect(exposed).toContain('x_a_total{n="99"} 99');
  });

  it('shows `other` once, for what is not known and for what is beyond the limit', async () => {
    const registry = new MetricRegistry();
    const family = registry.counter('a_total', 'A.', ['who'], { maxSeries: 2, values: { who: ['x', 'y'] } });
    for (const who of ['stranger', 'x', 'y', 'y']) family.with(who).add();
    const lines = (await registry.expose()).split('\n').filter((line) => line.startsWith('granary_a_total{'));
    expect(lines).toEqual(['granary_a_total{who="other"} 3', 'granary_a_total{who="x"} 1']);
  });

  it('counts series beyond the limit under `other`', async () => {
    const registry = new MetricRegistry();
    const family = registry.counter('a_total', 'A.', ['who', 'what'], { maxSeries: 2 });
    for (const who of ['ann', 'bob', 'eve', 'mal', 'ann']) family.with(who, 'x').add();
    expect(await lines(registry)).toEqual([
      'granary_a_total{who="ann",what="x"} 2',
      'granary_a_total{who="bob",what="x"} 1',
      'granary_a_total{who="other",what="other"} 2',
    ]);
  });

  it('sorts observations into cumulative buckets, bounds included', async () => {
    const registry = new MetricRegistry();
    const latency = registry.histogram('latency_seconds', 'Latency.', ['op'], [0.1, 1, 10]).with('get');
    for (const seconds of [0.05, 0.1, 0.5, 1.5, 100, Number.NaN, Infinity, -Infinity]) latency.observe(seconds);
    expect(await lines(registry)).toEqual([
      'granary_latency_seconds_bucket{le="0.1",op="get"} 2',
      'granary_latency_seconds_bucket{le="1",op="get"} 3',
      'granary_latency_seconds_bucket{le="10",op="get"} 4',
      'granary_latency_seconds_bucket{le="+Inf",op="get"} 5',
      'granary_latency_seconds_sum{op="get"} 102.15',
      'granary_latency_seconds_count{op="get"} 5',
    ]);
  });

  it('sets and moves gauges, or reads them when it is scraped', async () => {
    const registry = new MetricRegistry();
    const set = registry.gauge('set', 'Set.').with();
    set.set(3);
    set.add(-1);
    let disk = 10;
    registry.gauge('disk_bytes', 'Disk.', [], { read: () => disk });
    registry.gauge('tiers', 'Tiers.', ['tier'], {
      read: () => [
        [['memory'], 1],
        [['disk'], disk],
      ],
    });
    disk = 20;
    expect(await lines(registry)).toEqual([
      'granary_set 2',
      'granary_disk_bytes 20',
      'granary_tiers{tier="memory"} 1',
      'granary_tiers{tier="disk"} 20',
    ]);
  });

  it('leaves a gauge out of the scrape when its reader fails or has nothing', async () => {
    const registry = new MetricRegistry();
    registry.gauge('broken', 'Broken.', [], {
      read: () => {
        throw new Error('the store is closed');
      },
    });
    registry.gauge('absent', 'Absent.', [], { read: () => undefined });
    registry.gauge('fine', 'Fine.', [], { read: () => 1 });
    expect(await lines(registry)).toEqual(['granary_fine 1']);
  });

  it('shares a family that is defined twice alike, and refuses another one of that name', () => {
    const registry = new MetricRegistry();
    const family = registry.counter('a_total', 'A.', ['x']);
    expect(registry.counter('a_total', 'A.', ['x'])).toBe(family);
    expect(() => registry.counter('a_total', 'A.', ['y'])).toThrow(/exists already/);
    registry.gauge('b', 'B.');
    expect(() => registry.histogram('b', 'B.')).toThrow(/exists already/);
    expect(() => registry.gauge('b', 'B.', [], { read: () => 1 })).toThrow(/second reader/);
  });

  it('refuses what would be wrong later, when the family is defined', () => {
    const registry = new MetricRegistry();
    expect(() => registry.counter('requests', 'No suffix.')).toThrow(/_total/);
    expect(() => registry.counter('requests_total_seen', 'Another suffix.')).toThrow(/_total/);
    expect(() => registry.gauge('with-dash', 'Bad name.')).toThrow(/not a metric/);
    expect(() => registry.gauge('a', 'Bad label.', ['a b'])).toThrow(/label name/);
    expect(() => registry.gauge('b', 'Bad limit.', [], { maxSeries: 0 })).toThrow(/maxSeries/);
    expect(() => registry.histogram('c', 'Falling.', [], [2, 1])).toThrow(/must be finite and rise/);
    expect(() => registry.counter('d_total', 'D.', ['x']).with()).toThrow(/labels \(x\)/);
  });

  it('lists its families', () => {
    const registry = new MetricRegistry();
    registry.counter('a_total', 'A.', ['x'], { maxSeries: 5 });
    expect(registry.families()).toEqual([
      { name: 'granary_a_total', help: 'A.', labelNames: ['x'], maxSeries: 5, type: 'counter' },
    ]);
  });

  it('exposes what is defined after a scrape in the next one', async () => {
    const registry = new MetricRegistry({ namespace: '' });
    registry.gauge('early', 'Early.').with().set(1);
    expect(await lines(registry)).toEqual(['early 1']);
    registry.gauge('late', 'Late.').with().set(2);
    expect(await lines(registry)).toEqual(['early 1', 'late 2']);
  });

  it('exposes the same to all who scrape at once, and what is defined while it is prepared', async () => {
    const registry = new MetricRegistry({ namespace: '' });
    const scrapes = [registry.prepare(), lines(registry), lines(registry)];
    registry.gauge('late', 'Late.').with().set(2);
    expect(await Promise.all(scrapes)).toEqual([undefined, ['late 2'], ['late 2']]);
  });

  it('adds the metrics of the process under the namespace', async () => {
    const registry = new MetricRegistry();
    registry.addProcessMetrics();
    const exposed = await registry.expose();
    expect(() => registry.addProcessMetrics()).toThrow(/before the registry is prepared/);
    expect(exposed).toMatch(/^granary_process_cpu_seconds_total \d/m);
    expect(exposed).toMatch(/^granary_nodejs_heap_size_used_bytes \d/m);
    expect(registry.families()).toContainEqual({
      name: 'granary_nodejs_gc_duration_seconds',
      help: expect.stringMatching(/./),
      labelNames: ['kind'],
      type: 'histogram',
      unit: 'seconds',
    });
    registry.close();
  });
});
