import { exemplarOf } from './exemplar.js';
import type { ExpositionFormat } from './exposition/format.js';
import { canonicalNumber } from './exposition/text.js';
import { type FamilyDefinition, type LineSink, type Series, SeriesTable } from './family.js';

/** Upper bounds in seconds that suit requests: 0.1 ms to 60 s. */
export const DURATION_BUCKETS: readonly number[] = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
];

/** Upper bounds in bytes that suit blobs: 256 B to 4 GiB, in steps of four. */
export const SIZE_BUCKETS: readonly number[] = Array.from({ length: 13 }, (_, i) => 256 * 4 ** i);

/** One series of a {@link HistogramFamily}. */
export class Histogram {
  readonly #table: SeriesTable<Histogram>;
  readonly #bounds: Float64Array;
  readonly #offset: number;
  readonly #series: Series;

  constructor(table: SeriesTable<Histogram>, bounds: Float64Array, offset: number, series: Series) {
    this.#table = table;
    this.#bounds = bounds;
    this.#offset = offset;
    this.#series = series;
  }

  /** Counts a value in its bucket, by default once. What is infinite or not a number is ignored. */
  observe(value: number, times = 1): void {
    if (!Number.isFinite(value)) return;
    const bounds = this.#bounds;
    const bucket = bucketOf(bounds, value);
    const slots = this.#table.slots;
    (slots[this.#offset + bucket] as number) += times;
    (slots[this.#offset + bounds.length + 1] as number) += value * times;
  }

  /**
   * As {@link observe}, and keeps the trace as the exemplar of its bucket, in place of the one before. For requests that
   * are traced: it costs some 200 ns.
   *
   * @param traceId 32 hexadecimal digits; with others the value is only observed
   */
  observeWithExemplar(value: number, traceId: string, spanId?: string): void {
    if (!Number.isFinite(value)) return;
    this.observe(value);
    const exemplar = exemplarOf(value, traceId, spanId);
    if (exemplar === undefined) return;
    this.#series.exemplars ??= new Array(this.#bounds.length + 1).fill(undefined);
    this.#series.exemplars[bucketOf(this.#bounds, value)] = exemplar;
  }
}

/**
 * The first bucket whose bound is not below the value. Most values are small: the search doubles its steps from the first
 * bound on, and halves them between the two that it ends with.
 */
function bucketOf(bounds: Float64Array, value: number): number {
  const { length } = bounds;
  let low = 0;
  let high = 0;
  for (let step = 1; high < length && value > (bounds[high] as number); step *= 2) {
    low = high + 1;
    high += step;
  }
  if (high > length) high = length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (value > (bounds[middle] as number)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** How values are distributed, by labels. Slots of a series: a count for each bucket, one for all above, the sum. */
export class HistogramFamily {
  readonly type = 'histogram';
  readonly definition: FamilyDefinition;
  readonly bounds: Float64Array;
  readonly #table: SeriesTable<Histogram>;
  readonly #les: Readonly<Record<ExpositionFormat, readonly string[]>>;

  constructor(definition: FamilyDefinition, buckets: readonly number[] = DURATION_BUCKETS) {
    const bounds = Float64Array.from(buckets);
    if (
      bounds.length === 0 ||
      bounds.some((bound, i) => !Number.isFinite(bound) || bound <= (bounds[i - 1] ?? -Infinity))
    ) {
      throw new RangeError(`${definition.name}: buckets must be finite and rise, but are [${buckets.join(', ')}]`);
    }
    if (definition.labelNames.includes('le'))
      throw new TypeError(`${definition.name}: the label le is for its buckets`);
    this.definition = definition;
    this.bounds = bounds;
    this.#les = {
      text: [...Array.from(bounds, String), '+Inf'],
      openmetrics: [...Array.from(bounds, canonicalNumber), '+Inf'],
    };
    this.#table = new SeriesTable<Histogram>(
      definition,
      bounds.length + 2,
      (table, offset, series) => new Histogram(table, bounds, offset, series),
    );
  }

  with(...labelValues: readonly string[]): Histogram {
    return this.#table.handle(labelValues);
  }

  /** @see CounterFamily.beforeRead */
  beforeRead(settle: () => void): void {
    this.#table.beforeRead(settle);
  }

  /** Brings its numbers up to date; true, as there is always something to show. */
  refresh(): boolean {
    return this.#table.refresh();
  }

  /** Sets all to 0, which is for tests: who scrapes takes it for a restart. */
  reset(): void {
    this.#table.reset();
  }

  get seriesCount(): number {
    return this.#table.series.length;
  }

  emit(index: number, sink: LineSink): void {
    const { slots } = this.#table;
    const series = this.#table.series[index] as Series;
    const offset = this.#table.offsetOf(index);
    const les = this.#les[sink.format];
    let count = 0;
    for (let i = 0; i < les.length; i++) {
      count += slots[offset + i] as number;
      sink.line(series, '_bucket', les[i], count, series.exemplars?.[i]);
    }
    // With bounds below zero a sum would not only rise, so that OpenMetrics has neither it nor the count.
    if (sink.format === 'openmetrics' && (this.bounds[0] as number) < 0) return;
    sink.line(series, '_sum', undefined, slots[offset + les.length] as number, undefined);
    sink.line(series, '_count', undefined, count, undefined);
  }
}
