import { ignoreLater } from '../../ignore-later.js';
import { DEFAULT_MAX_SERIES, type Labels, OVERFLOW_LABEL } from '../family.js';
import { CHAIN_METRICS, CIRCUIT_STATES, type CollectedMetric, MAX_LAYERS } from './chain-metrics.js';
import type { CollectedCircuitState, MetricsCollector } from './collector.js';

/**
 * Makes a collector of your own a matter of three methods: {@link count}, {@link observe} and {@link gauge}; leave out
 * what you don't want to hear of. Each is told the metric, a number in the metric's unit (durations are seconds), and
 * labels.
 *
 * Metrics are always the same objects, and so are the labels of one series, so that both can be keys of a `Map`. Their
 * number is bounded: layers from the 61st on, and types of errors from the 201st on, are told as `other`.
 */
export abstract class CollectorBase implements MetricsCollector {
  readonly #layers = new Map<string, LayerLabels>();
  readonly #errors = new Map<string, Labels>();
  readonly #chainHits: Labels[] = [];

  /** Something happened, `amount` times. */
  protected count(_metric: CollectedMetric, _amount: number, _labels: Labels): void {}

  /** Something took so many seconds. */
  protected observe(_metric: CollectedMetric, _seconds: number, _labels: Labels): void {}

  /** Something is at this value now. */
  protected gauge(_metric: CollectedMetric, _value: number, _labels: Labels): void {}

  recordGet(layer: string, hit: boolean, durationMs: number): void {
    const labels = this.#layer(layer);
    this.#count(hit ? CHAIN_METRICS.hits : CHAIN_METRICS.misses, 1, labels.layer);
    this.#observe(CHAIN_METRICS.durations, durationMs, labels.get);
  }

  recordSet(layer: string, _success: boolean, durationMs: number): void {
    this.#observe(CHAIN_METRICS.durations, durationMs, this.#layer(layer).set);
  }

  recordDelete(layer: string, _success: boolean, durationMs: number): void {
    this.#observe(CHAIN_METRICS.durations, durationMs, this.#layer(layer).delete);
  }

  recordError(layer: string, operation: string, errorType: string): void {
    this.#count(
      CHAIN_METRICS.errors,
      1,
      this.#error(this.#layer(layer).layer['layer'] as string, operation, errorType),
    );
  }

  recordCircuitState(layer: string, state: CollectedCircuitState): void {
    const labels = this.#layer(layer).layer;
    this.#gauge(CHAIN_METRICS.circuitState, CIRCUIT_STATES[state], labels);
    if (state === 'open') this.#count(CHAIN_METRICS.circuitOpens, 1, labels);
  }

  recordQueueDepth(layer: string, depth: number): void {
    this.#gauge(CHAIN_METRICS.queueDepth, depth, this.#layer(layer).layer);
  }

  recordWriteDropped(layer: string): void {
    this.#count(CHAIN_METRICS.writesDropped, 1, this.#layer(layer).layer);
  }

  recordAsyncWrite(layer: string, success: boolean, _durationMs: number): void {
    const labels = this.#layer(layer);
    this.#count(CHAIN_METRICS.asyncWrites, 1, success ? labels.success : labels.failure);
  }

  recordChainGet(hit: boolean, layerIndex: number, totalDurationMs: number): void {
    this.#count(CHAIN_METRICS.chainGets, 1, hit ? this.#chainHit(layerIndex) : CHAIN_MISS);
    this.#observe(CHAIN_METRICS.chainDurations, totalDurationMs, NO_LABELS);
  }

  /** What is no duration is nobody's business. */
  #observe(metric: CollectedMetric, durationMs: number, labels: Labels): void {
    if (durationMs >= 0 && durationMs !== Number.POSITIVE_INFINITY)
      ignoreLater(this.observe(metric, durationMs / 1000, labels));
  }

  #count(metric: CollectedMetric, amount: number, labels: Labels): void {
    ignoreLater(this.count(metric, amount, labels));
  }

  #gauge(metric: CollectedMetric, value: number, labels: Labels): void {
    ignoreLater(this.gauge(metric, value, labels));
  }

  #layer(name: string): LayerLabels {
    return this.#layers.get(name) ?? this.#newLayer(this.#layers.size < MAX_LAYERS ? name : OVERFLOW_LABEL);
  }

  #newLayer(name: string): LayerLabels {
    let labels = this.#layers.get(name);
    if (labels === undefined) {
      labels = new LayerLabels(name);
      this.#layers.set(name, labels);
    }
    return labels;
  }

  #error(layer: string, operation: string, errorType: string): Labels {
    const key = `${layer}\u0000${operation}\u0000${errorType}`;
    let labels = this.#errors.get(key);
    if (labels === undefined) {
      if (this.#errors.size >= DEFAULT_MAX_SERIES) return OTHER_ERROR;
      labels = Object.freeze({ layer, operation, error_type: errorType });
      this.#errors.set(key, labels);
    }
    return labels;
  }

  #chainHit(index: number): Labels {
    if (!(Number.isSafeInteger(index) && index >= 0 && index < MAX_LAYERS)) return CHAIN_HIT_ELSEWHERE;
    for (let i = this.#chainHits.length; i <= index; i++) {
      this.#chainHits.push(Object.freeze({ result: 'hit', layer: String(i) }));
    }
    return this.#chainHits[index] as Labels;
  }
}

const NO_LABELS: Labels = Object.freeze({});
const CHAIN_MISS: Labels = Object.freeze({ result: 'miss', layer: 'none' });
const CHAIN_HIT_ELSEWHERE: Labels = Object.freeze({ result: 'hit', layer: OVERFLOW_LABEL });
const OTHER_ERROR: Labels = Object.freeze({
  layer: OVERFLOW_LABEL,
  operation: OVERFLOW_LABEL,
  error_type: OVERFLOW_LABEL,
});

/** All labels that a layer has, made once. */
class LayerLabels {
  readonly layer: Labels;
  readonly get: Labels;
  readonly set: Labels;
  readonly delete: Labels;
  readonly success: Labels;
  readonly failure: Labels;

  constructor(layer: string) {
    this.layer = Object.freeze({ layer });
    this.get = Object.freeze({ layer, operation: 'get' });
    this.set = Object.freeze({ layer, operation: 'set' });
    this.delete = Object.freeze({ layer, operation: 'delete' });
    this.success = Object.freeze({ layer, status: 'success' });
    this.failure = Object.freeze({ layer, status: 'failure' });
  }
}
