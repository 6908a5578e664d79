import type {
  Attributes,
  BatchObservableCallback,
  Counter,
  Histogram,
  Meter,
  ObservableGauge,
} from '@opentelemetry/api';
import {
  CHAIN_BUCKETS,
  CHAIN_METRICS,
  type ChainMetricName,
  type CollectedMetric,
} from '../metrics/collectors/chain-metrics.js';
import { CollectorBase } from '../metrics/collectors/collector-base.js';
import type { Labels } from '../metrics/family.js';

export interface OtelCollectorOptions {
  /** Put in front of every name, with a dot. Default `cache_chain`. */
  readonly prefix?: string | undefined;
}

/** Names and units by OpenTelemetry's conventions: dots between the parts, no unit and no `total` in the name. */
const INSTRUMENTS: Readonly<Record<ChainMetricName, readonly [name: string, unit: string]>> = {
  hits_total: ['hits', '{hit}'],
  misses_total: ['misses', '{miss}'],
  errors_total: ['errors', '{error}'],
  operation_duration_seconds: ['operation.duration', 's'],
  queue_depth: ['queue.depth', '{write}'],
  writes_dropped_total: ['writes.dropped', '{write}'],
  async_writes_total: ['async_writes', '{write}'],
  circuit_state: ['circuit.state', '1'],
  circuit_opens_total: ['circuit.opens', '{open}'],
  chain_gets_total: ['chain.gets', '{get}'],
  chain_get_duration_seconds: ['chain.get.duration', 's'],
};

/**
 * Tells a meter of OpenTelemetry, and so whatever its SDK exports to. The instruments are those of
 * {@link PrometheusCollector} under OpenTelemetry's names: `cache_chain.hits` (`{hit}`), `cache_chain.operation.duration`
 * (`s`), …; the label `error_type` is the attribute `error.type`. What a get costs is mostly the SDK's: about a
 * microsecond.
 *
 * The meter stays its owner's. {@link close} lets go of it.
 */
export class OtelCollector extends CollectorBase implements Disposable {
  readonly #counters = new Map<CollectedMetric, Counter>();
  readonly #histograms = new Map<CollectedMetric, Histogram>();
  readonly #gauges = new Map<CollectedMetric, Map<Labels, number>>();
  readonly #observables: ObservableGauge[] = [];
  readonly #observeGauges: BatchObservableCallback;
  readonly #meter: Meter;
  readonly #errorAttributes = new WeakMap<Labels, Attributes>();
  #closed = false;

  constructor(meter: Meter, { prefix = 'cache_chain' }: OtelCollectorOptions = {}) {
    super();
    this.#meter = meter;
    const observables = new Map<CollectedMetric, ObservableGauge>();
    for (const metric of Object.values(CHAIN_METRICS)) {
      const [suffix, unit] = INSTRUMENTS[metric.name];
      const name = `${prefix}.${suffix}`;
      const options = { unit, description: metric.help };
      if (metric.type === 'counter') this.#counters.set(metric, meter.createCounter(name, options));
      else if (metric.type === 'histogram') {
        const advice = { explicitBucketBoundaries: [...CHAIN_BUCKETS] };
        this.#histograms.set(metric, meter.createHistogram(name, { ...options, advice }));
      } else {
        this.#gauges.set(metric, new Map());
        observables.set(metric, meter.createObservableGauge(name, options));
      }
    }
    this.#observables.push(...observables.values());
    this.#observeGauges = (result) => {
      for (const [metric, instrument] of observables) {
        for (const [labels, value] of this.#gauges.get(metric) ?? []) result.observe(instrument, value, labels);
      }
    };
    meter.addBatchObservableCallback(this.#observeGauges, this.#observables);
  }

  protected override count(metric: CollectedMetric, amount: number, labels: Labels): void {
    if (this.#closed) return;
    const attributes = metric === CHAIN_METRICS.errors ? this.#attributesOfError(labels) : labels;
    this.#counters.get(metric)?.add(amount, attributes);
  }

  protected override observe(metric: CollectedMetric, seconds: number, labels: Labels): void {
    if (!this.#closed) this.#histograms.get(metric)?.record(seconds, labels);
  }

  protected override gauge(metric: CollectedMetric, value: number, labels: Labels): void {
    this.#gauges.get(metric)?.set(labels, value);
  }

  /** Tells nothing more, and is no longer asked by the meter. Can be called again. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#meter.removeBatchObservableCallback(this.#observeGauges, this.#observables);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #attributesOfError(labels: Labels): Attributes {
    let attributes = this.#errorAttributes.get(labels);
    if (attributes === undefined) {
      const { error_type: type, ...others } = labels;
      attributes = { ...others, 'error.type': type };
      this.#errorAttributes.set(labels, attributes);
    }
    return attributes;
  }
}
