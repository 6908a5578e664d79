import { type FamilyDefinition, type Sample, SeriesTable } from './family.js';

/** One series of a {@link CounterFamily}. Keep it where it is used often: to look it up costs more than to add. */
export class Counter {
  readonly #table: SeriesTable<Counter>;
  readonly #offset: number;

  constructor(table: SeriesTable<Counter>, offset: number) {
    this.#table = table;
    this.#offset = offset;
  }

  /** Adds to the counter, by default 1. Counters only go up: what is negative or not a number is ignored. */
  add(amount = 1): void {
    if (amount > 0) (this.#table.slots[this.#offset] as number) += amount;
  }

  get value(): number {
    return this.#table.slots[this.#offset] as number;
  }
}

/** A count of something by its labels. */
export class CounterFamily {
  readonly type = 'counter';
  readonly definition: FamilyDefinition;
  readonly #table: SeriesTable<Counter>;

  constructor(definition: FamilyDefinition) {
    if (!definition.name.endsWith('_total')) {
      throw new TypeError(`${definition.name}: a counter's name ends with _total`);
    }
    this.definition = definition;
    this.#table = new SeriesTable<Counter>(definition, 1, (table, offset) => new Counter(table, offset));
  }

  /** The series of these label values, in the order of the label names. */
  with(...labelValues: readonly string[]): Counter {
    return this.#table.handle(labelValues);
  }

  samples(): Sample[] {
    return Array.from(this.#table.series(), ({ labels, offset }) => ({
      value: this.#table.slots[offset] as number,
      labels: {},
      sharedLabels: labels,
    }));
  }
}
