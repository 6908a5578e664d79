import { spawnSync } from 'node:child_process';
import { performance } from 'node:perf_hooks';
import fc from 'fast-check';
import { Registry } from 'prom-client';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { PrometheusCollector } from './collectors/prometheus-collector.js';
import { canonicalNumber, unitOf } from './exposition/text.js';
import { MetricRegistry } from './registry.js';
import { parseExposition } from './testing/parse-exposition.js';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';
const OPEN_METRICS = 'application/openmetrics-text;version=1.0.0';

const text = async (registry: MetricRegistry) => parseExposition(await registry.expose(), 'text');
const openMetrics = async (registry: MetricRegistry) =>
  parseExposition(await registry.expose('openmetrics'), 'openmetrics');

/** Waited for without a turn for anything else, so that no test's own time limit would end it. */
const runPromtool = (args: string[], input = '') =>
  spawnSync('promtool', args, { input, timeout: 20_000, killSignal: 'SIGKILL' });

/** One of everything, with whatever a label or a help may hold. */
function busyRegistry(labelValue = 'a\\b "c"\nd é', namespace?: string): MetricRegistry {
  const registry = new MetricRegistry(namespace === undefined ? {} : { namespace });
  new PrometheusCollector(registry).recordError('L1', 'get', labelValue);
  registry.counter('bytes_total', 'Says "bytes",\nand \\n.', ['who']).with(labelValue).addWithExemplar(3, TRACE, SPAN);
  const sizes = registry.histogram('size_bytes', 'Sizes.', ['who'], [1, 10, 2 ** 20]).with(labelValue);
  for (const size of [0.5, 10, 11, 2 ** 30]) sizes.observeWithExemplar(size, TRACE, SPAN);
  registry.histogram('change_ratio', 'Changes.', [], [-1, 0, 1]).with().observe(-0.5);
  const gauge = registry.gauge('odd', 'Odd numbers.', ['n']);
  for (const n of [Number.NaN, Infinity, -Infinity, 1e21, 5e-324, -0.1]) gauge.with(String(n)).set(n);
  return registry;
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe('the text format', () => {
  it('says what it was told, escaped', async () => {
    const families = await text(busyRegistry());
    const bytes = families.find(({ name }) => name === 'granary_bytes_total');
    expect(bytes).toMatchObject({ type: 'counter', help: 'Says "bytes",\nand \\n.', unit: undefined });
    expect(bytes?.samples).toEqual([{ name: 'granary_bytes_total', labels: { who: 'a\\b "c"\nd é' }, value: 3 }]);
    const odd = families.find(({ name }) => name === 'granary_odd')?.samples.map(({ value }) => value);
    expect(odd).toEqual([Number.NaN, Infinity, -Infinity, 1e21, 5e-324, -0.1]);
  });

  it('has no exemplars', async () => {
    expect(await busyRegistry().expose()).not.toContain(TRACE);
  });
});

describe('OpenMetrics', () => {
  it('names counters without their suffix, and says units', async () => {
    const families = await openMetrics(busyRegistry());
    expect(families.find(({ name }) => name === 'granary_bytes')).toMatchObject({ type: 'counter', unit: 'bytes' });
    expect(families.find(({ name }) => name === 'granary_errors')?.unit).toBeUndefined();
    const duration = families.find(({ name }) => name === 'granary_operation_duration_seconds');
    expect(duration).toMatchObject({ type: 'histogram', unit: 'seconds' });
  });

  it('shows as exemplar of each bucket and counter the last trace, with its value and time', async () => {
    const now = vi.spyOn(Date, 'now').mockReturnValue(1_700_000_000_250);
    const registry = new MetricRegistry();
    const latency = registry.histogram('latency_seconds', 'Latency.', ['op'], [0.1, 1]).with('get');
    latency.observeWithExemplar(0.05, TRACE, SPAN);
    latency.observeWithExemplar(0.07, TRACE.replace('4b', 'ff'));
    latency.observeWithExemplar(7, TRACE, SPAN);
    latency.observe(0.5);
    now.mockReturnValue(1_700_000_001_000);
    const requests = registry.counter('requests_total', 'Requests.').with();
    requests.addWithExemplar(1, TRACE, SPAN);
    requests.addWithExemplar(0, SPAN);
    const exposed = (await registry.expose('openmetrics')).split('\n').filter((line) => line.startsWith('granary'));
    expect(exposed).toEqual([
      `granary_latency_seconds_bucket{le="0.1",op="get"} 2 # {trace_id="${TRACE.replace('4b', 'ff')}"} 0.07 1700000000.250`,
      'granary_latency_seconds_bucket{le="1.0",op="get"} 3',
      `granary_latency_seconds_bucket{le="+Inf",op="get"} 4 # {trace_id="${TRACE}",span_id="${SPAN}"} 7 1700000000.250`,
      'granary_latency_seconds_sum{op="get"} 7.62',
      'granary_latency_seconds_count{op="get"} 4',
      `granary_requests_total 1 # {trace_id="${TRACE}",span_id="${SPAN}"} 1 1700000001.000`,
    ]);
  });

  it('counts what comes with ids that are none, and shows no such id', async () => {
    const registry = new MetricRegistry();
    const latency = registry.histogram('latency_seconds', 'Latency.').with();
    for (const id of ['', 'x', `${TRACE}"`, TRACE.toUpperCase()]) latency.observeWithExemplar(1, id, SPAN);
    for (const id of [undefined, null, 5] as never[]) latency.observeWithExemplar(1, id);
    latency.observeWithExemplar(2, TRACE, 'no span');
    latency.observeWithExemplar(Number.NaN, TRACE, SPAN);
    registry.counter('a_total', 'A.').with().addWithExemplar(Number.NaN, TRACE, SPAN);
    const samples = (await openMetrics(registry)).flatMap((family) => family.samples);
    expect(samples.flatMap(({ exemplar }) => (exemplar ? [exemplar.labels] : []))).toEqual([{ trace_id: TRACE }]);
    expect(samples.find(({ name }) => name.endsWith('_count'))?.value).toBe(8);
  });

  it('writes bounds as Prometheus does, whose text is part of a series', () => {
    const bounds = [0, 1, 10, 0.25, 1e-4, 1e-5, 2.5e-7, 999_999, 1e6, 2 ** 20, 1e21, -1, -0.5, Infinity];
    expect(bounds.map(canonicalNumber)).toEqual([
      '0.0',
      '1.0',
      '10.0',
      '0.25',
      '0.0001',
      '1e-05',
      '2.5e-07',
      '999999.0',
      '1e+06',
      '1.048576e+06',
      '1e+21',
      '-1.0',
      '-0.5',
      '+Inf',
    ]);
  });

  it('knows units by the end of a name only', () => {
    expect(['a_seconds', 'a_bytes_total', 'a_ratio', 'seconds', 'bytes_in', 'a_total'].map(unitOf)).toEqual([
      'seconds',
      'bytes',
      'ratio',
      undefined,
      undefined,
      undefined,
    ]);
  });
});

describe('both formats', () => {
  it('read back, whatever labels, help and numbers are', async () => {
    const string = fc.string({ unit: 'binary', maxLength: 20 }).map((value) => Buffer.from(value).toString());
    await fc.assert(
      fc.asyncProperty(
        string,
        string,
        fc.double(),
        fc.array(fc.double(), { maxLength: 5 }),
        async (label, help, set, seen) => {
          const registry = new MetricRegistry();
          const described = `Help: ${help}`;
          registry.gauge('set', described, ['l']).with(label).set(set);
          const histogram = registry.histogram('seen', described, ['l'], [-1, 0, 1.5]).with(label);
          for (const value of seen) histogram.observe(value);
          for (const families of [await text(registry), await openMetrics(registry)]) {
            expect(families.map((family) => family.help)).toEqual([described, described]);
            expect(families[0]?.samples[0]).toMatchObject({ labels: { l: label } });
            expect(Object.is(families[0]?.samples[0]?.value, set) || families[0]?.samples[0]?.value === set).toBe(true);
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  it('have the metrics of Node and of the process', async () => {
    for (const namespace of [undefined, '']) {
      using registry = busyRegistry('x', namespace);
      registry.addProcessMetrics();
      registry.addProcessMetrics();
      await registry.prepare();
      const prefix = namespace === undefined ? 'granary_' : '';
      const names = (await text(registry)).map(({ name }) => name);
      const open = (await openMetrics(registry)).map(({ name }) => name);
      const counters = ['process_cpu_seconds_total', 'process_cpu_user_seconds_total'].map((name) => prefix + name);
      const others = [
        'process_resident_memory_bytes',
        'process_start_time_seconds',
        'nodejs_heap_size_used_bytes',
        'nodejs_active_handles',
        'nodejs_active_handles_total',
        'nodejs_version_info',
        'nodejs_gc_duration_seconds',
        'nodejs_eventloop_lag_p99_seconds',
        'nodejs_eventloop_delay_p50_seconds',
        'nodejs_eventloop_delay_p99_seconds',
        'nodejs_eventloop_utilization_ratio',
      ].map((name) => prefix + name);
      expect(names).toEqual(expect.arrayContaining([...counters, ...others]));
      expect(open).toEqual(expect.arrayContaining([...counters.map((name) => name.slice(0, -6)), ...others]));
      expect(registry.families().map(({ name }) => name)).toEqual(expect.arrayContaining([...counters, ...others]));
    }
  });

  it('have the same families and numbers as prom-client shows', async () => {
    const ours = new PrometheusCollector('x');
    const theirs = new Registry();
    ours.register(theirs);
    ours.recordGet('L1', true, 3);
    ours.recordQueueDepth('L"1', 3);
    ours.recordChainGet(true, 0, 12);
    const sorted = (exposed: string) =>
      exposed
        .split('\n')
        .filter((line) => line !== '')
        .sort();
    expect(sorted(await ours.expose())).toEqual(sorted(await theirs.metrics()));
  });

  const promtool = runPromtool(['--version']).status === 0;
  it.skipIf(!promtool)('satisfy promtool (skipped where it is not installed)', async () => {
    using registry = busyRegistry();
    registry.addProcessMetrics();
    registry.gauge('build_info', 'Build.', ['version']).with('1').set(1);
    const { status, stdout, stderr } = runPromtool(['check', 'metrics'], await registry.expose());
    expect({ status, said: `${stdout}${stderr}` }).toEqual({ status: 0, said: '' });
  });
});

describe('a scrape', () => {
  it('is in the format that is asked for, and says so', async () => {
    const registry = busyRegistry();
    const [plain, open] = await Promise.all([registry.scrape(), registry.scrape(OPEN_METRICS)]);
    expect(plain.contentType).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(open.contentType).toBe('application/openmetrics-text; version=1.0.0; charset=utf-8');
    parseExposition(plain.body.toString(), 'text');
    parseExposition(open.body.toString(), 'openmetrics');
  });

  it('of 5,000 series gives others their turn in between', async () => {
    const registry = new MetricRegistry();
    const requests = registry.counter('requests_total', 'Requests.', ['a', 'b'], { maxSeries: 5000 });
    const latency = registry.histogram('latency_seconds', 'Latency.', ['a', 'b'], undefined, { maxSeries: 5000 });
    for (let i = 0; i < 5000; i++) {
      requests.with(`some label ${i}`, 'GET').add(i);
      latency.with(`some label ${i}`, 'GET').observe(i / 1000);
    }
    // Of a count of turns a slow machine makes nothing else, unlike of a time.
    let turns = 0;
    let isOver = false;
    const turn = () => {
      turns++;
      if (!isOver) setImmediate(turn);
    };
    setImmediate(turn);
    const { body } = await registry.scrape();
    isOver = true;
    const lines = body.toString().split('\n').length;
    expect(lines).toBeGreaterThan(100_000);
    expect(turns).toBeGreaterThanOrEqual(100);
  });

  it('shows each histogram whole, and every series that is there, while it goes on', async () => {
    const registry = new MetricRegistry();
    const latency = registry.histogram('latency_seconds', 'Latency.', ['n'], [1, 2, 3], { maxSeries: 5000 });
    for (let i = 0; i < 2000; i++) latency.with(String(i)).observe(1);
    const scrape = registry.expose('openmetrics');
    let isOver = false;
    const observe = () => {
      for (let i = 0; i < 2000; i += 7) latency.with(String(i)).observe(i % 4);
      latency.with(`new ${performance.now()}`).observe(1);
      if (!isOver) setImmediate(observe);
    };
    setImmediate(observe);
    const families = parseExposition(await scrape, 'openmetrics');
    isOver = true;
    expect(families[0]?.samples.length).toBeGreaterThanOrEqual(2000 * 6);
  });
});

describe('label values from outside', () => {
  it('are counted under `other` when they are not known', async () => {
    const registry = new MetricRegistry({ namespace: '' });
    const requests = registry.counter('requests_total', 'Requests.', ['method', 'host'], {
      values: { method: ['GET', 'PUT'] },
      maxSeries: 4,
    });
    for (const method of ['GET', 'PUT', 'BREW', 'constructor', 'GET']) requests.with(method, 'a').add();
    expect(requests.with('BREW', 'a')).toBe(requests.with('other', 'a'));
    for (const host of ['b', 'c', 'd']) requests.with('GET', host).add();
    const [family] = await text(registry);
    expect(family?.samples.map(({ labels, value }) => [labels['method'], labels['host'], value])).toEqual([
      ['GET', 'a', 2],
      ['PUT', 'a', 1],
      ['other', 'a', 2],
      ['GET', 'b', 1],
      ['other', 'other', 2],
    ]);
  });

  it('are restricted for gauges and histograms too', async () => {
    const registry = new MetricRegistry({ namespace: '' });
    registry
      .gauge('g', 'G.', ['x'], { values: { x: [] } })
      .with('anything')
      .set(1);
    registry
      .histogram('h', 'H.', ['x'], [1], { values: { x: ['a'] } })
      .with('b')
      .observe(1);
    const labels = (await text(registry)).flatMap(({ samples }) => samples.map((sample) => sample.labels['x']));
    expect(new Set(labels)).toEqual(new Set(['other']));
  });

  it('can only be restricted for labels that are there', () => {
    const registry = new MetricRegistry();
    expect(() => registry.counter('a_total', 'A.', ['x'], { values: { y: [] } })).toThrow(/'y', which is no label/);
    expect(() => registry.counter('a_total', 'A.', ['x', 'y', 'x'])).toThrow(/the label x is there twice/);
    expect(() => registry.histogram('a', 'A.', ['le'])).toThrow(/label le/);
  });
});

describe('names', () => {
  it('that would clash in one of the formats are refused', () => {
    const registry = new MetricRegistry();
    registry.counter('requests_total', 'Requests.');
    expect(() => registry.gauge('requests', 'Requests.')).toThrow(
      'granary_requests and granary_requests_total would both be shown as granary_requests',
    );
    registry.histogram('latency', 'Latency.');
    expect(() => registry.gauge('latency_count', 'Count.')).toThrow(/shown as granary_latency_count/);
  });
});

describe('a gauge that is read', () => {
  it('has room for what is new when what was there before is no longer told', async () => {
    const registry = new MetricRegistry();
    let hosts: string[] = [];
    registry.gauge('open', 'Open circuits.', ['host'], {
      maxSeries: 3,
      read: () => hosts.map((host) => [[host], 1] as const),
    });
    const shown = async () => [...(await registry.expose()).matchAll(/host="(\w+)"/g)].map(([, host]) => host);
    for (let i = 0; i < 20; i++) {
      hosts = [`a${i}`, `b${i}`];
      expect(await shown()).toEqual(hosts);
    }
    hosts = ['a', 'b', 'c', 'd', 'e'];
    expect(await shown()).toEqual(['a', 'b', 'c', 'other']);
    hosts = ['e'];
    expect(await shown()).toEqual(['e']);
  });

  it('shows no more what its reader no longer tells', async () => {
    const registry = new MetricRegistry({ namespace: '' });
    let values = [
      [['a'], 1],
      [['b'], 2],
    ] as [string[], number][];
    registry.gauge('tokens', 'Tokens.', ['source'], { read: () => values });
    await registry.expose();
    values = [[['b'], 3]];
    const [family] = await text(registry);
    expect(family?.samples.map(({ labels, value }) => [labels['source'], value])).toEqual([['b', 3]]);
  });
});
