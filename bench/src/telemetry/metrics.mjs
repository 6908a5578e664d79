// What metrics cost: to count, to observe and to be scraped, beside prom-client.
import { performance } from 'node:perf_hooks';
import { MetricRegistry, PrometheusCollector } from '@granary/telemetry';
import { do_not_optimize } from 'mitata';
import { Counter, Histogram, Registry } from 'prom-client';
import { asFastAs, costs, median } from '../contest.mjs';

const LABELS = ['layer', 'operation'];
/** As `operation_duration_seconds` has them. */
const BUCKETS = [
  0.000001, 0.00001, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10,
];
/** Durations in seconds from a microsecond to a second, in no order. */
const DURATIONS = Array.from({ length: 1024 }, (_, i) => 10 ** (-6 + (6 * ((i * 617) % 1024)) / 1024));

export const CONTENDERS = {
  'counter, add': () => {
    const counter = new MetricRegistry().counter('hits_total', 'Hits.', LABELS).with('L1', 'get');
    return () => {
      counter.add();
      do_not_optimize(counter);
    };
  },
  'histogram, observe': () => {
    const histogram = new MetricRegistry().histogram('seconds', 'Seconds.', LABELS, BUCKETS).with('L1', 'get');
    const next = inTurn();
    return () => {
      histogram.observe(next());
      do_not_optimize(histogram);
    };
  },
  'histogram, observe with exemplar': () => {
    const histogram = new MetricRegistry().histogram('seconds', 'Seconds.', LABELS, BUCKETS).with('L1', 'get');
    const next = inTurn();
    const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
    return () => histogram.observeWithExemplar(next(), traceId, '00f067aa0ba902b7');
  },
  'Prometheus collector, recordWriteDropped': () => {
    const collector = new PrometheusCollector();
    return () => collector.recordWriteDropped('L1');
  },
  'Prometheus collector, recordSet': () => {
    const collector = new PrometheusCollector();
    const next = inTurn();
    return () => collector.recordSet('L1', true, next() * 1000);
  },
  'Prometheus collector, recordGet': () => {
    const collector = new PrometheusCollector();
    const next = inTurn();
    return () => collector.recordGet('L1', true, next() * 1000);
  },
  'prom-client counter, inc with labels': () => {
    const counter = new Counter({ name: 'hits_total', help: 'Hits.', labelNames: LABELS, registers: [] });
    return () => counter.inc({ layer: 'L1', operation: 'get' });
  },
  'prom-client counter, inc of a child': () => {
    const counter = new Counter({ name: 'hits_total', help: 'Hits.', labelNames: LABELS, registers: [] });
    const child = counter.labels('L1', 'get');
    return () => child.inc();
  },
  'prom-client histogram, observe of a child': () => {
    const histogram = new Histogram({
      name: 'seconds',
      help: 'Seconds.',
      labelNames: LABELS,
      buckets: BUCKETS,
      registers: [],
    });
    const child = histogram.labels('L1', 'get');
    const next = inTurn();
    return () => child.observe(next());
  },
};

function inTurn() {
  let next = 0;
  return () => DURATIONS[next++ & 1023];
}

export const ROWS = [
  { row: 'counter increment', ...costs('counter, add', 15) },
  {
    row: 'counter increment through the Prometheus collector',
    ...costs('Prometheus collector, recordWriteDropped', 15),
  },
  { row: 'histogram observation', ...costs('histogram, observe', 40) },
  { row: 'histogram observation through the Prometheus collector', ...costs('Prometheus collector, recordSet', 40) },
  {
    row: 'counter increment, as fast as a child of prom-client',
    ...asFastAs('prom-client counter, inc of a child', 'counter, add', 5),
  },
  {
    row: 'histogram observation, as fast as a child of prom-client',
    ...asFastAs('prom-client histogram, observe of a child', 'histogram, observe', 3),
  },
];

/** More rows: how long a scrape of 5,000 series keeps the event loop from anything else. */
export async function scrapeRows(scrapes = 15) {
  const { counters, histograms, theirs } = registries();
  const block = async (scrape) => {
    await longestBlock(scrape);
    const blocks = [];
    for (let i = 0; i < scrapes; i++) blocks.push(await longestBlock(scrape));
    return median(blocks);
  };
  const ours = await block(() => counters.scrape());
  const ofTheirs = await block(() => theirs.metrics());
  const atMost = { unit: 'ms', atMost: 10 };
  const openMetrics = 'application/openmetrics-text';
  return [
    { row: 'scrape of 5,000 counters, longest block', ...atMost, value: ours },
    { row: 'the same in OpenMetrics', ...atMost, value: await block(() => counters.scrape(openMetrics)) },
    { row: 'scrape of 5,000 histograms, longest block', ...atMost, value: await block(() => histograms.scrape()) },
    { row: "5,000 counters, prom-client's longest block beside ours", unit: '×', atLeast: 5, value: ofTheirs / ours },
  ];
}

function registries() {
  const [counters, histograms, theirs] = [new MetricRegistry(), new MetricRegistry(), new Registry()];
  const names = ['route', 'code'];
  const requests = counters.counter('requests_total', 'Requests.', names, { maxSeries: 5000 });
  const latency = histograms.histogram('seconds', 'Seconds.', names, BUCKETS, { maxSeries: 5000 });
  const theirRequests = new Counter({ name: 'requests_total', help: 'R.', labelNames: names, registers: [theirs] });
  for (let i = 0; i < 5000; i++) {
    const labels = [`/some/route/${i >> 2}`, String(200 + (i & 3))];
    requests.with(...labels).add(i);
    theirRequests.labels(...labels).inc(i);
    for (let n = 0; n < 20; n++) latency.with(...labels).observe(DURATIONS[(i * n) & 1023]);
  }
  return { counters, histograms, theirs };
}

/** The longest time, in ms, in which nothing else got a turn between the start of the work and its end. */
async function longestBlock(work) {
  let longest = 0;
  let last = performance.now();
  let isOver = false;
  const turn = () => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
    if (!isOver) setImmediate(turn);
  };
  setImmediate(turn);
  await new Promise((resolve) => setImmediate(resolve));
  await work();
  isOver = true;
  await new Promise((resolve) => setImmediate(resolve));
  return longest;
}
