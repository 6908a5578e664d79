import { type FamilyDefinition, type LineSink, type Series, SeriesTable } from './family.js';

/** One series of a {@link GaugeFamily}. */
export class Gauge {
  readonly #table: SeriesTable<Gauge>;
  readonly #offset: number;

  constructor(table: SeriesTable<Gauge>, offset: number) {
    this.#table = table;
    this.#offset = offset;
  }

  set(value: number): void {
    this.#table.slots[this.#offset] = value;
  }

  /** Moves the gauge, up or down, by default up by 1. */
  add(amount = 1): void {
    (this.#table.slots[this.#offset] as number) += amount;
  }

  get value(): number {
    return this.#table.slots[this.#offset] as number;
  }
}

/**
 * Reads a gauge when it is scraped: the value, or one for each combination of label values; those that are no longer
 * told are no longer shown. Undefined leaves the gauge out of this scrape, and so does an error.
 */
export type GaugeReader = () => number | Iterable<readonly [labelValues: readonly string[], value: number]> | undefined;

/** A value that goes up and down, by its labels: set when it changes, or read when it is scraped. */
export class GaugeFamily {
  readonly type = 'gauge';
  readonly definition: FamilyDefinition;
  #table: SeriesTable<Gauge>;
  readonly #read: GaugeReader | undefined;

  constructor(definition: FamilyDefinition, read?: GaugeReader) {
    this.definition = definition;
    this.#read = read;
    this.#table = tableOf(definition);
  }

  with(...labelValues: readonly string[]): Gauge {
    return this.#table.handle(labelValues);
  }

  /** Sets all to 0, which is for tests: who scrapes takes it for a restart. */
  reset(): void {
    this.#table.reset();
  }

  get seriesCount(): number {
    return this.#table.series.length;
  }

  /** Whether there is something to show: one gauge that can't be read must not cost a scrape all the others. */
  refresh(): boolean {
    if (this.#read === undefined) return true;
    try {
      const now = this.#read();
      if (now === undefined) return false;
      if (typeof now === 'number') this.with().set(now);
      else this.#tell([...now]);
      return true;
    } catch {
      return false;
    }
  }

  #tell(told: readonly (readonly [labelValues: readonly string[], value: number])[]): void {
    this.#table.slots.fill(Number.NaN);
    for (const [labelValues, value] of told) this.with(...labelValues).set(value);
    // What is no longer told must not keep its place for ever: what is new would have none.
    if (!this.#table.isFull || !this.#table.slots.subarray(0, this.seriesCount).some(Number.isNaN)) return;
    this.#table = tableOf(this.definition);
    for (const [labelValues, value] of told) this.with(...labelValues).set(value);
  }

  emit(index: number, sink: LineSink): void {
    const value = this.#table.slots[index] as number;
    if (this.#read !== undefined && Number.isNaN(value)) return;
    sink.line(this.#table.series[index] as Series, '', undefined, value, undefined);
  }
}

function tableOf(definition: FamilyDefinition): SeriesTable<Gauge> {
  return new SeriesTable<Gauge>(definition, 1, (table, offset) => new Gauge(table, offset));
}
