import type { Registry } from 'prom-client';
import type { Counter, CounterFamily } from '../counter.js';
import { OVERFLOW_LABEL } from '../family.js';
import type { Gauge, GaugeFamily } from '../gauge.js';
import type { Histogram, HistogramFamily } from '../histogram.js';
import { promClientMetric } from '../prom-client-metric.js';
import { MetricRegistry } from '../registry.js';
import { CHAIN_BUCKETS, CHAIN_METRICS, CIRCUIT_STATES, type CollectedMetric, MAX_LAYERS } from './chain-metrics.js';
import type { CollectedCircuitState, MetricsCollector } from './collector.js';
import { MemoryGets } from './memory-gets.js';

interface Families {
  readonly hits: CounterFamily;
  readonly misses: CounterFamily;
  readonly errors: CounterFamily;
  readonly durations: HistogramFamily;
  readonly queueDepth: GaugeFamily;
  readonly writesDropped: CounterFamily;
  readonly asyncWrites: CounterFamily;
  readonly circuitState: GaugeFamily;
  readonly circuitOpens: CounterFamily;
  readonly chainGets: CounterFamily;
  readonly chainDurations: HistogramFamily;
}

/**
 * Counts in typed arrays what Prometheus asks for, some 30 ns for a get; text is made when somebody scrapes.
 *
 * | family | labels | |
 * | --- | --- | --- |
 * | `hits_total`, `misses_total` | `layer` | gets by layer |
 * | `errors_total` | `layer`, `operation`, `error_type` | operations that failed |
 * | `operation_duration_seconds` | `layer`, `operation` | histogram: `get`, `set`, `delete` |
 * | `queue_depth` | `layer` | writes that wait or are under way |
 * | `writes_dropped_total` | `layer` | writes that were given up: without room in the queue, or refused |
 * | `async_writes_total` | `layer`, `status` | writes in the background: `success`, `failure` |
 * | `circuit_state` | `layer` | 0 closed, 1 open, 2 half-open |
 * | `circuit_opens_total` | `layer` | times that the circuit opened |
 * | `chain_gets_total` | `result`, `layer` | `hit` with the place of the layer from 0, `miss` with `none` |
 * | `chain_get_duration_seconds` | | histogram |
 *
 * Layers from the 61st on, and label values beyond a family's bound, are counted under `other`.
 */
export class PrometheusCollector implements MetricsCollector {
  readonly #registry: MetricRegistry;
  readonly #families: Families;
  readonly #layers = new Map<string, LayerSeries>();
  /** The layer that was told of last: most of the time the next is the same, and a look-up would be a third of the cost. */
  #lastName: string | undefined;
  #lastLayer: LayerSeries | undefined;
  readonly #chainHits: Counter[] = [];
  readonly #chainMisses: Counter;
  readonly #chainDurations: Histogram;
  readonly #memory = new Map<string, MemoryGets>();

  /** @param to the namespace of the names, where {@link register} takes them to your registry; or a registry of ours */
  constructor(to: string | MetricRegistry = 'cache_chain') {
    this.#registry = typeof to === 'string' ? new MetricRegistry({ namespace: to }) : to;
    this.#families = define(this.#registry);
    this.#chainMisses = this.#families.chainGets.with('miss', 'none');
    this.#chainDurations = this.#families.chainDurations.with();
    const { hits, misses, durations, chainGets, chainDurations } = this.#families;
    for (const family of [hits, misses, durations, chainGets, chainDurations]) {
      family.beforeRead(() => {
        for (const gets of this.#memory.values()) gets.settle();
      });
    }
  }

  /**
   * Puts all families into a prom-client registry, which shows their present numbers at each scrape.
   * @throws when the registry has one of these names already; then it gets none of them
   */
  register(registry: Registry): this {
    const families = Object.values(this.#families);
    const taken = families.find(({ definition: { name } }) => registry.getSingleMetric(name) !== undefined);
    if (taken !== undefined) {
      throw new Error(`${taken.definition.name} has already been registered: the collector needs another namespace`);
    }
    for (const family of families) registry.registerMetric(promClientMetric(family));
    return this;
  }

  /** Everything in Prometheus' text format, for those without a registry. */
  expose(): Promise<string> {
    return this.#registry.expose();
  }

  recordGet(layer: string, hit: boolean, durationMs: number): void {
    const series = this.#layer(layer);
    if (hit) series.hits.add();
    else series.misses.add();
    series.gets.observe(durationMs / 1000);
  }

  recordSet(layer: string, _success: boolean, durationMs: number): void {
    this.#layer(layer).sets.observe(durationMs / 1000);
  }

  recordDelete(layer: string, _success: boolean, durationMs: number): void {
    this.#layer(layer).deletes.observe(durationMs / 1000);
  }

  recordError(layer: string, operation: string, errorType: string): void {
    this.#families.errors.with(this.#layer(layer).name, operation, errorType).add();
  }

  recordCircuitState(layer: string, state: CollectedCircuitState): void {
    const series = this.#layer(layer);
    series.circuitState.set(CIRCUIT_STATES[state]);
    series.circuitOpens.add(state === 'open' ? 1 : 0);
  }

  recordQueueDepth(layer: string, depth: number): void {
    this.#layer(layer).queueDepth.set(depth);
  }

  recordWriteDropped(layer: string): void {
    this.#layer(layer).writesDropped.add();
  }

  recordAsyncWrite(layer: string, success: boolean, _durationMs: number): void {
    const series = this.#layer(layer);
    if (success) series.writesDone.add();
    else series.writesFailed.add();
  }

  recordChainGet(hit: boolean, layerIndex: number, totalDurationMs: number): void {
    if (hit) (this.#chainHits[layerIndex] ?? this.#newChainHits(layerIndex)).add();
    else this.#chainMisses.add();
    this.#chainDurations.observe(totalDurationMs / 1000);
  }

  memoryGets(layer: string): MemoryGets | undefined {
    const known = this.#memory.get(layer);
    if (known !== undefined || this.#memory.size >= MAX_LAYERS) return known;
    const series = this.#layer(layer);
    const chainHits = this.#newChainHits(0);
    const gets = new MemoryGets((hits, misses, durationMs) => {
      const seconds = durationMs / 1000;
      series.hits.add(hits);
      series.misses.add(misses);
      series.gets.observe(seconds, hits + misses);
      chainHits.add(hits);
      this.#chainDurations.observe(seconds, hits);
    });
    this.#memory.set(layer, gets);
    return gets;
  }

  #layer(name: string): LayerSeries {
    if (name === this.#lastName) return this.#lastLayer as LayerSeries;
    this.#lastLayer = this.#layers.get(name) ?? this.#newLayer(name);
    this.#lastName = name;
    return this.#lastLayer;
  }

  #newLayer(name: string): LayerSeries {
    const label = this.#layers.size < MAX_LAYERS ? name : OVERFLOW_LABEL;
    let series = this.#layers.get(label);
    if (series === undefined) {
      series = new LayerSeries(label, this.#families);
      this.#layers.set(label, series);
    }
    return series;
  }

  #newChainHits(index: number): Counter {
    if (!(Number.isSafeInteger(index) && index >= 0 && index < MAX_LAYERS)) {
      return this.#families.chainGets.with('hit', OVERFLOW_LABEL);
    }
    const counter = this.#families.chainGets.with('hit', String(index));
    for (let i = this.#chainHits.length; i < index; i++) this.#newChainHits(i);
    this.#chainHits[index] = counter;
    return counter;
  }
}

/** The series of one layer. Those of gets are there from the start; others when there is something to tell. */
class LayerSeries {
  readonly name: string;
  readonly hits: Counter;
  readonly misses: Counter;
  readonly gets: Histogram;
  readonly #families: Families;
  #sets: Histogram | undefined;
  #deletes: Histogram | undefined;
  #queueDepth: Gauge | undefined;
  #writesDropped: Counter | undefined;
  #writesDone: Counter | undefined;
  #writesFailed: Counter | undefined;

  constructor(name: string, families: Families) {
    this.name = name;
    this.#families = families;
    this.hits = families.hits.with(name);
    this.misses = families.misses.with(name);
    this.gets = families.durations.with(name, 'get');
  }

  get sets(): Histogram {
    this.#sets ??= this.#families.durations.with(this.name, 'set');
    return this.#sets;
  }

  get deletes(): Histogram {
    this.#deletes ??= this.#families.durations.with(this.name, 'delete');
    return this.#deletes;
  }

  get queueDepth(): Gauge {
    if (this.#queueDepth === undefined) {
      this.#queueDepth = this.#families.queueDepth.with(this.name);
      // From 0 on: in a series that begins with what was lost nobody sees that something was.
      this.#writesDropped = this.#families.writesDropped.with(this.name);
    }
    return this.#queueDepth;
  }

  get writesDropped(): Counter {
    this.#writesDropped ??= this.#families.writesDropped.with(this.name);
    return this.#writesDropped;
  }

  get writesDone(): Counter {
    this.#writesDone ??= this.#families.asyncWrites.with(this.name, 'success');
    return this.#writesDone;
  }

  get writesFailed(): Counter {
    this.#writesFailed ??= this.#families.asyncWrites.with(this.name, 'failure');
    return this.#writesFailed;
  }

  get circuitState(): Gauge {
    return this.#families.circuitState.with(this.name);
  }

  get circuitOpens(): Counter {
    return this.#families.circuitOpens.with(this.name);
  }
}

function define(registry: MetricRegistry): Families {
  const counter = ({ name, help, labelNames }: CollectedMetric) => registry.counter(name, help, labelNames);
  const gauge = ({ name, help, labelNames }: CollectedMetric) => registry.gauge(name, help, labelNames);
  const histogram = ({ name, help, labelNames }: CollectedMetric) =>
    registry.histogram(name, help, labelNames, CHAIN_BUCKETS);
  return {
    hits: counter(CHAIN_METRICS.hits),
    misses: counter(CHAIN_METRICS.misses),
    errors: counter(CHAIN_METRICS.errors),
    durations: histogram(CHAIN_METRICS.durations),
    queueDepth: gauge(CHAIN_METRICS.queueDepth),
    writesDropped: counter(CHAIN_METRICS.writesDropped),
    asyncWrites: counter(CHAIN_METRICS.asyncWrites),
    circuitState: gauge(CHAIN_METRICS.circuitState),
    circuitOpens: counter(CHAIN_METRICS.circuitOpens),
    chainGets: counter(CHAIN_METRICS.chainGets),
    chainDurations: histogram(CHAIN_METRICS.chainDurations),
  };
}
