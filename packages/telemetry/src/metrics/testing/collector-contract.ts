import { CHAIN_METRICS, type CollectedMetric } from '../collectors/chain-metrics.js';
import type { MetricsCollector } from '../collectors/collector.js';

/** The functions of a test runner, as vitest and jest have them: handed in, so that this package needs neither. */
export interface CollectorTestRunner {
  describe(name: string, body: () => void): unknown;
  it(name: string, body: () => Promise<void>): unknown;
  expect(actual: unknown): { toEqual(expected: unknown): unknown; toBeLessThanOrEqual(expected: number): unknown };
}

/** A series as it arrived where the collector tells it. */
export interface ToldSeries {
  /** As in {@link CHAIN_METRICS}. */
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Of a histogram the sum, in seconds. */
  readonly value: number;
  /** Of a histogram how many values it took. */
  readonly count?: number;
  readonly unit?: 'seconds';
}

export interface CollectorUnderTest {
  readonly collector: MetricsCollector;
  /** Everything that has arrived by now. */
  told(): Promise<readonly ToldSeries[]>;
  close?(): Promise<void> | void;
}

export interface CollectorContractOptions {
  /** Names of the metrics that the collector tells. Default: all. */
  readonly metrics?: readonly string[];
}

const counter = (metric: CollectedMetric, value: number, labels: ToldSeries['labels']): ToldSeries => {
  return { name: metric.name, labels, value };
};
const histogram = (metric: CollectedMetric, count: number, value: number, labels: ToldSeries['labels']): ToldSeries => {
  return { name: metric.name, labels, value, count, unit: 'seconds' };
};

/** What {@link tellAStory} must make arrive. */
const STORY: readonly ToldSeries[] = [
  counter(CHAIN_METRICS.hits, 2, { layer: 'L1' }),
  counter(CHAIN_METRICS.hits, 1, { layer: 'L2' }),
  counter(CHAIN_METRICS.misses, 1, { layer: 'L1' }),
  counter(CHAIN_METRICS.errors, 2, { layer: 'L2', operation: 'get', error_type: 'CACHE_TIMEOUT' }),
  counter(CHAIN_METRICS.errors, 1, { layer: 'L2', operation: 'set', error_type: 'error' }),
  histogram(CHAIN_METRICS.durations, 3, 0.007, { layer: 'L1', operation: 'get' }),
  histogram(CHAIN_METRICS.durations, 1, 0.008, { layer: 'L2', operation: 'get' }),
  histogram(CHAIN_METRICS.durations, 2, 0.009, { layer: 'L1', operation: 'set' }),
  histogram(CHAIN_METRICS.durations, 1, 0.016, { layer: 'L2', operation: 'delete' }),
  counter(CHAIN_METRICS.queueDepth, 3, { layer: 'L2' }),
  counter(CHAIN_METRICS.writesDropped, 1, { layer: 'L2' }),
  counter(CHAIN_METRICS.asyncWrites, 2, { layer: 'L2', status: 'success' }),
  counter(CHAIN_METRICS.asyncWrites, 1, { layer: 'L2', status: 'failure' }),
  counter(CHAIN_METRICS.circuitState, 0, { layer: 'L2' }),
  counter(CHAIN_METRICS.circuitState, 2, { layer: 'L1' }),
  counter(CHAIN_METRICS.circuitOpens, 2, { layer: 'L2' }),
  counter(CHAIN_METRICS.chainGets, 2, { result: 'hit', layer: '1' }),
  counter(CHAIN_METRICS.chainGets, 1, { result: 'hit', layer: '0' }),
  counter(CHAIN_METRICS.chainGets, 1, { result: 'miss', layer: 'none' }),
  histogram(CHAIN_METRICS.chainDurations, 4, 0.036, {}),
];

function tellAStory(collector: MetricsCollector): void {
  for (const [hit, ms] of [
    [true, 1],
    [false, 2],
    [true, 4],
  ] as const)
    collector.recordGet('L1', hit, ms);
  collector.recordGet('L2', true, 8);
  collector.recordSet('L1', true, 3);
  collector.recordSet('L1', false, 6);
  collector.recordDelete('L2', true, 16);
  for (let i = 0; i < 2; i++) collector.recordError('L2', 'get', 'CACHE_TIMEOUT');
  collector.recordError('L2', 'set', 'error');
  for (const depth of [5, 9, 3]) collector.recordQueueDepth('L2', depth);
  collector.recordWriteDropped('L2');
  for (const success of [true, false, true]) collector.recordAsyncWrite('L2', success, 7);
  for (const state of ['open', 'half-open', 'open', 'closed'] as const) collector.recordCircuitState('L2', state);
  collector.recordCircuitState('L1', 'half-open');
  for (const [index, ms] of [
    [1, 9],
    [0, 5],
    [1, 2],
    [-1, 20],
  ] as const)
    collector.recordChainGet(index >= 0, index, ms);
}

/** What every {@link MetricsCollector} must do: run it with the functions of your test runner. */
export function collectorContract(
  name: string,
  make: () => Promise<CollectorUnderTest> | CollectorUnderTest,
  { describe, it, expect }: CollectorTestRunner,
  options: CollectorContractOptions = {},
): void {
  const { metrics = Object.values(CHAIN_METRICS).map((metric) => metric.name as string) } = options;
  const withCollector = (body: (under: CollectorUnderTest) => Promise<void>) => async () => {
    const under = await make();
    try {
      await body(under);
    } finally {
      await under.close?.();
    }
  };
  const ofLayers = (told: readonly ToldSeries[], layers: readonly string[]) =>
    told.filter(({ labels }) => layers.includes(labels['layer'] ?? ''));

  describe(`${name}, as a collector`, () => {
    it(
      'lets everything arrive with its name, its labels and its unit',
      withCollector(async ({ collector, told }) => {
        tellAStory(collector);
        const wanted = STORY.filter((series) => metrics.includes(series.name));
        expect(comparable(await told())).toEqual(comparable(wanted));
      }),
    );

    it(
      'goes on where it stood',
      withCollector(async ({ collector, told }) => {
        tellAStory(collector);
        await told();
        tellAStory(collector);
        const wanted = STORY.filter((series) => metrics.includes(series.name)).map((series) => {
          const isGauge =
            series.name === CHAIN_METRICS.queueDepth.name || series.name === CHAIN_METRICS.circuitState.name;
          if (isGauge) return series;
          const twice = { ...series, value: series.value * 2 };
          return series.count === undefined ? twice : { ...twice, count: series.count * 2 };
        });
        expect(comparable(await told())).toEqual(comparable(wanted));
      }),
    );

    it(
      'is told of look-ups in memory when it is read, if it lets others count them',
      withCollector(async ({ collector, told }) => {
        const gets = collector.memoryGets?.('L1');
        if (gets === undefined) return;
        collector.recordGet('L1', true, 2);
        collector.recordChainGet(true, 0, 2);
        gets.hits++;
        gets.took(4);
        gets.hits += 2;
        gets.misses++;
        expect(collector.memoryGets?.('L1') === gets).toEqual(true);
        const wanted = [
          counter(CHAIN_METRICS.hits, 4, { layer: 'L1' }),
          counter(CHAIN_METRICS.misses, 1, { layer: 'L1' }),
          histogram(CHAIN_METRICS.durations, 5, 0.018, { layer: 'L1', operation: 'get' }),
          counter(CHAIN_METRICS.chainGets, 4, { result: 'hit', layer: '0' }),
          histogram(CHAIN_METRICS.chainDurations, 4, 0.014, {}),
        ].filter((series) => metrics.includes(series.name));
        // A collector may know series from the start.
        const news = async () => comparable((await told()).filter(({ value, count }) => value > 0 || count));
        expect(await news()).toEqual(comparable(wanted));
        expect(await news()).toEqual(comparable(wanted));
      }),
    );

    it(
      'takes names and codes of any kind, and lets them disturb no other',
      withCollector(async ({ collector, told }) => {
        for (const odd of ['', 'a"b\\c\nd', 'x:1|c|#y:z,w', 'ünï ☃', '__proto__', 'constructor', '{}=']) {
          collector.recordGet(odd, true, 1);
          collector.recordError(odd, odd, odd);
          collector.recordQueueDepth(odd, 1);
        }
        tellAStory(collector);
        const wanted = STORY.filter((series) => metrics.includes(series.name));
        expect(comparable(ofLayers(await told(), ['L1', 'L2']))).toEqual(comparable(ofLayers(wanted, ['L1', 'L2'])));
      }),
    );

    it(
      'takes numbers that are none',
      withCollector(async ({ collector, told }) => {
        for (const ms of [Number.NaN, -1, Number.POSITIVE_INFINITY]) {
          collector.recordGet('odd', true, ms);
          collector.recordChainGet(true, ms, ms);
        }
        const hits = (await told()).filter((series) => series.name === CHAIN_METRICS.hits.name && series.value > 0);
        expect(hits.map(({ labels, value }) => [labels, value])).toEqual([[{ layer: 'odd' }, 3]]);
      }),
    );

    it(
      'is bounded, whatever it is told',
      withCollector(async ({ collector, told }) => {
        for (let i = 0; i < 300; i++) {
          collector.recordGet(`layer ${i}`, true, 1);
          collector.recordQueueDepth(`layer ${i}`, i);
          collector.recordError('L1', 'get', `type ${i}`);
          collector.recordChainGet(true, i, 1);
        }
        const byName = new Map<string, number>();
        for (const series of await told()) byName.set(series.name, (byName.get(series.name) ?? 0) + 1);
        for (const count of byName.values()) expect(count).toBeLessThanOrEqual(201);
        const total = (await told()).filter(({ name }) => name === CHAIN_METRICS.hits.name);
        expect(total.reduce((sum, { value }) => sum + value, 0)).toEqual(300);
      }),
    );

    it(
      'listens',
      withCollector(async ({ collector }) => {
        expect(collector.enabled ?? true).toEqual(true);
      }),
    );
  });
}

/** In one order, and without what is at zero because it never happened. */
function comparable(told: readonly ToldSeries[]): [series: string, value: number, count: number | undefined][] {
  return told
    .filter(({ name, value, count }) => value !== 0 || count !== undefined || name === CHAIN_METRICS.circuitState.name)
    .filter(({ count }) => count !== 0)
    .map(({ name, labels, value, count, unit }): [string, number, number | undefined] => {
      const labelText = JSON.stringify(Object.entries(labels).sort());
      return [`${name}${labelText}${unit ?? ''}`, Number(value.toFixed(9)), count];
    })
    .sort(([a], [b]) => (a < b ? -1 : 1));
}
