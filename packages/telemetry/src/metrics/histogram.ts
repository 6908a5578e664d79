import { type FamilyDefinition, type Sample, SeriesTable } from './family.js';

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

  constructor(table: SeriesTable<Histogram>, bounds: Float64Array, offset: number) {
    this.#table = table;
    this.#bounds = bounds;
    this.#offset = offset;
  }

  /** Counts a value in its bucket. What is not a number is ignored. */
  observe(value: number): void {
    if (Number.isNaN(value)) return;
    const bounds = this.#bounds;
    // The first bucket whose bound is not below the value. Of what is fast, nearly everything is in the very first.
    let low = 0;
    let high = value > (bounds[0] as number) ? bounds.length : 0;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (value > (bounds[middle] as number)) low = middle + 1;
      else high = middle;
    }
    const slots = this.#table.slots;
    (slots[this.#offset + low] as number) += 1;
    (slots[this.#offset + bounds.length + 1] as number) += value;
  }
}

/** How values are distributed, by labels. Slots of a series: a count for each bucket, one for all above, the sum. */
export class HistogramFamily {
  readonly type = 'histogram';
  readonly definition: FamilyDefinition;
  readonly bounds: Float64Array;
  readonly #table: SeriesTable<Histogram>;

  constructor(definition: FamilyDefinition, buckets: readonly number[] = DURATION_BUCKETS) {
    const bounds = Float64Array.from(buckets);
    if (
      bounds.length === 0 ||
      bounds.some((bound, i) => !Number.isFinite(bound) || bound <= (bounds[i - 1] ?? -Infinity))
    ) {
      throw new RangeError(`${definition.name}: buckets must be finite and rise, but are [${buckets.join(', ')}]`);
    }
    this.definition = definition;
    this.bounds = bounds;
    this.#table = new SeriesTable<Histogram>(
      definition,
      bounds.length + 2,
      (table, offset) => new Histogram(table, bounds, offset),
    );
  }

  with(...labelValues: readonly string[]): Histogram {
    return this.#table.handle(labelValues);
  }

  samples(): Sample[] {
    const { name } = this.definition;
    const { slots } = this.#table;
    const samples: Sample[] = [];
    for (const { labels, offset } of this.#table.series()) {
      let count = 0;
      for (let i = 0; i <= this.bounds.length; i++) {
        count += slots[offset + i] as number;
        const le = i < this.bounds.length ? (this.bounds[i] as number) : '+Inf';
        samples.push({ metricName: `${name}_bucket`, value: count, labels: { le }, sharedLabels: labels });
      }
      const sum = slots[offset + this.bounds.length + 1] as number;
      samples.push({ metricName: `${name}_sum`, value: sum, labels: {}, sharedLabels: labels });
      samples.push({ metricName: `${name}_count`, value: count, labels: {}, sharedLabels: labels });
    }
    return samples;
  }
}
