import type { Exemplar } from './exemplar.js';
import type { ExpositionFormat } from './exposition/format.js';
import { labelText } from './exposition/text.js';

/** The label value that stands for what is not known, and for every series beyond a family's limit. */
export const OVERFLOW_LABEL = 'other';

/** Series that a family keeps when its definition doesn't say. */
export const DEFAULT_MAX_SERIES = 200;

export type Labels = Readonly<Record<string, string>>;

export interface FamilyDefinition {
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly string[];
  /** Most series with label values of their own; what comes later is counted under `other`. Default 200. */
  readonly maxSeries?: number | undefined;
  /** By label name the values that it may have; any other value is counted under `other`. Default: all values. */
  readonly values?: Readonly<Record<string, readonly string[]>> | undefined;
}

/** One combination of label values, as it is shown. */
export interface Series {
  readonly labels: Labels;
  /** `name="value",…`, escaped; made once, because that costs more than all else of a line. */
  readonly text: string;
  /** Of a histogram by bucket, of a counter one. Undefined until there is one. */
  exemplars: (Exemplar | undefined)[] | undefined;
}

/** Takes the lines of a series, one after another. */
export interface LineSink {
  readonly format: ExpositionFormat;
  /** @param suffix what the line's name has behind the family's; le: a bucket's upper bound, as text */
  line(series: Series, suffix: string, le: string | undefined, value: number, exemplar: Exemplar | undefined): void;
}

const NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/;

type MakeHandle<Handle> = (table: SeriesTable<Handle>, offset: number, series: Series) => Handle;

/**
 * The series of one metric: a fixed number of slots for each combination of label values, all in one typed array, so
 * that to count is to add to a number in an array. The number of series is bounded, because label values come from
 * outside.
 */
export class SeriesTable<Handle> {
  readonly definition: FamilyDefinition;
  /** `slotsPerSeries` numbers for each series, in the order in which series were first seen. Replaced when it grows. */
  slots: Float64Array;
  readonly series: Series[] = [];
  readonly #slotsPerSeries: number;
  readonly #maxSeries: number;
  readonly #makeHandle: MakeHandle<Handle>;
  readonly #handles = new Map<string, Handle>();
  /** By the place of the label. */
  readonly #known: readonly (ReadonlySet<string> | undefined)[] | undefined;
  readonly #settles: (() => void)[] = [];
  #overflow: Handle | undefined;

  constructor(definition: FamilyDefinition, slotsPerSeries: number, makeHandle: MakeHandle<Handle>) {
    const { name, labelNames, values } = definition;
    for (const part of [name, ...labelNames]) {
      if (!NAME.test(part)) throw new TypeError(`${name}: '${part}' is not a metric or label name`);
    }
    const twice = labelNames.find((label, i) => labelNames.indexOf(label) < i);
    if (twice !== undefined) throw new TypeError(`${name}: the label ${twice} is there twice`);
    const stranger = Object.keys(values ?? {}).find((label) => !labelNames.includes(label));
    if (stranger !== undefined) throw new TypeError(`${name}: there are values for '${stranger}', which is no label`);
    const maxSeries = definition.maxSeries ?? DEFAULT_MAX_SERIES;
    if (!Number.isSafeInteger(maxSeries) || maxSeries < 1) {
      throw new RangeError(`${name}: maxSeries is ${maxSeries}, but must be a whole number of at least 1`);
    }
    this.definition = definition;
    this.slots = new Float64Array(slotsPerSeries);
    this.#slotsPerSeries = slotsPerSeries;
    this.#maxSeries = maxSeries;
    this.#makeHandle = makeHandle;
    this.#known =
      values && labelNames.map((label) => (Object.hasOwn(values, label) ? new Set(values[label]) : undefined));
    // Without labels there is one series, and it is there from the start: a counter at 0 is news too.
    if (labelNames.length === 0) this.handle([]);
  }

  handle(values: readonly string[]): Handle {
    const key = keyOf(values);
    return this.#handles.get(key) ?? this.#add(key, values);
  }

  /** Whether there is room for no more label values. */
  get isFull(): boolean {
    return this.#handles.size >= this.#maxSeries;
  }

  /** Has this called by {@link refresh}. */
  beforeRead(settle: () => void): void {
    this.#settles.push(settle);
  }

  /** Adds up what is counted elsewhere. */
  refresh(): true {
    for (const settle of this.#settles) settle();
    return true;
  }

  /** Begins to count anew; the series stay. */
  reset(): void {
    // What was counted elsewhere until now goes, too.
    this.refresh();
    this.slots.fill(0);
    for (const series of this.series) series.exemplars = undefined;
  }

  /** Where the slots of a series begin. */
  offsetOf(index: number): number {
    return index * this.#slotsPerSeries;
  }

  #add(key: string, values: readonly string[]): Handle {
    const { name, labelNames } = this.definition;
    if (values.length !== labelNames.length) {
      throw new TypeError(`${name} has the labels (${labelNames.join(', ')}), but got ${values.length} values`);
    }
    const known = this.#known?.some((set, i) => set?.has(values[i] as string) === false)
      ? this.#known.map((set, i) => (set?.has(values[i] as string) === false ? OVERFLOW_LABEL : (values[i] as string)))
      : values;
    const knownKey = known === values ? key : keyOf(known);
    const existing = this.#handles.get(knownKey);
    if (existing !== undefined) return existing;
    if (this.#handles.size >= this.#maxSeries) {
      this.#overflow ??= this.#others();
      return this.#overflow;
    }
    const handle = this.#append(known);
    this.#handles.set(knownKey, handle);
    return handle;
  }

  /** A series that has these labels already, for what wasn't known, serves: to show it twice would spoil a scrape. */
  #others(): Handle {
    const values = this.definition.labelNames.map(() => OVERFLOW_LABEL);
    return this.#handles.get(keyOf(values)) ?? this.#append(values);
  }

  #append(values: readonly string[]): Handle {
    const offset = this.offsetOf(this.series.length);
    const { labelNames } = this.definition;
    const labels = Object.fromEntries(labelNames.map((name, i) => [name, values[i] as string]));
    const series: Series = { labels, text: labelText(labels), exemplars: undefined };
    this.series.push(series);
    if (offset + this.#slotsPerSeries > this.slots.length) {
      const grown = new Float64Array(this.slots.length * 2);
      grown.set(this.slots);
      this.slots = grown;
    }
    return this.#makeHandle(this, offset, series);
  }
}

const keyOf = (values: readonly string[]): string =>
  values.length === 1 ? (values[0] as string) : values.join('\u0000');
