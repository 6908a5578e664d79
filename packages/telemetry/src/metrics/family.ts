/** The label value that stands for every series beyond a family's limit. */
export const OVERFLOW_LABEL = 'other';

/** Series that a family keeps when its definition doesn't say. */
export const DEFAULT_MAX_SERIES = 200;

export type Labels = Readonly<Record<string, string>>;

/** One line of the exposition: a value with its labels. */
export interface Sample {
  readonly value: number;
  /** Labels of this line alone, such as a bucket's `le`. */
  readonly labels: Readonly<Record<string, string | number>>;
  /** Labels of the series; one object per series, so that its text can be cached. */
  readonly sharedLabels: Labels;
  /** Where the line's name is not the family's: `_bucket`, `_sum`, `_count`. */
  readonly metricName?: string;
}

export interface FamilyDefinition {
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly string[];
  /** Most series with label values of their own; what comes later is counted under `other`. Default 200. */
  readonly maxSeries?: number | undefined;
}

const NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/;

/**
 * The series of one metric: a fixed number of slots for each combination of label values, all in one typed array, so
 * that to count is to add to a number in an array. The number of series is bounded, because label values come from
 * outside.
 */
export class SeriesTable<Handle> {
  readonly definition: FamilyDefinition;
  /** `slotsPerSeries` numbers for each series, in the order in which series were first seen. Replaced when it grows. */
  slots: Float64Array;
  readonly #slotsPerSeries: number;
  readonly #maxSeries: number;
  readonly #makeHandle: (table: SeriesTable<Handle>, offset: number) => Handle;
  readonly #handles = new Map<string, Handle>();
  readonly #labels: Labels[] = [];
  #overflow: Handle | undefined;

  constructor(
    definition: FamilyDefinition,
    slotsPerSeries: number,
    makeHandle: (table: SeriesTable<Handle>, offset: number) => Handle,
  ) {
    for (const name of [definition.name, ...definition.labelNames]) {
      if (!NAME.test(name)) throw new TypeError(`${definition.name}: '${name}' is not a metric or label name`);
    }
    const maxSeries = definition.maxSeries ?? DEFAULT_MAX_SERIES;
    if (!Number.isSafeInteger(maxSeries) || maxSeries < 1) {
      throw new RangeError(`${definition.name}: maxSeries is ${maxSeries}, but must be a whole number of at least 1`);
    }
    this.definition = definition;
    this.slots = new Float64Array(slotsPerSeries);
    this.#slotsPerSeries = slotsPerSeries;
    this.#maxSeries = maxSeries;
    this.#makeHandle = makeHandle;
    // Without labels there is one series, and it is there from the start: a counter at 0 is news too.
    if (definition.labelNames.length === 0) this.handle([]);
  }

  handle(values: readonly string[]): Handle {
    const key = values.length === 1 ? (values[0] as string) : values.join('\u0000');
    return this.#handles.get(key) ?? this.#add(key, values);
  }

  #add(key: string, values: readonly string[]): Handle {
    const { name, labelNames } = this.definition;
    if (values.length !== labelNames.length) {
      throw new TypeError(`${name} has the labels (${labelNames.join(', ')}), but got ${values.length} values`);
    }
    if (this.#handles.size >= this.#maxSeries) {
      this.#overflow ??= this.#append(labelNames.map(() => OVERFLOW_LABEL));
      return this.#overflow;
    }
    const handle = this.#append(values);
    this.#handles.set(key, handle);
    return handle;
  }

  #append(values: readonly string[]): Handle {
    const offset = this.#labels.length * this.#slotsPerSeries;
    this.#labels.push(Object.fromEntries(this.definition.labelNames.map((name, i) => [name, values[i] as string])));
    if (offset + this.#slotsPerSeries > this.slots.length) {
      const grown = new Float64Array(this.slots.length * 2);
      grown.set(this.slots);
      this.slots = grown;
    }
    return this.#makeHandle(this, offset);
  }

  /** The labels of each series and where its slots begin. */
  *series(): Generator<{ labels: Labels; offset: number }> {
    for (const [i, labels] of this.#labels.entries()) yield { labels, offset: i * this.#slotsPerSeries };
  }
}
