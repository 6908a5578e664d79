import { collectDefaultMetrics, type Metric, Registry } from 'prom-client';
import { CounterFamily } from './counter.js';
import type { FamilyDefinition } from './family.js';
import { GaugeFamily, type GaugeReader } from './gauge.js';
import { HistogramFamily } from './histogram.js';

export interface SeriesOptions {
  /** Most series with label values of their own; what comes later is counted under `other`. Default 200. */
  readonly maxSeries?: number | undefined;
}

export interface GaugeOptions extends SeriesOptions {
  /** Reads the gauge at each scrape; without it the gauge shows what was set. */
  readonly read?: GaugeReader | undefined;
}

export interface MetricRegistryOptions {
  /** Put in front of every name, with an underscore. Default `granary`. */
  readonly namespace?: string | undefined;
}

type Family = CounterFamily | GaugeFamily | HistogramFamily;

/**
 * Metrics of one process or one part of it; nothing is global. Families are counted in typed arrays (a few
 * nanoseconds each) and turned into text only when somebody scrapes.
 *
 * To define a family again with the same type and labels gives the family that is there, so that two parts of one kind
 * can share it; with others it throws.
 */
export class MetricRegistry {
  readonly namespace: string;
  readonly #registry = new Registry();
  readonly #families = new Map<string, Family>();

  constructor(options: MetricRegistryOptions = {}) {
    this.namespace = options.namespace ?? 'granary';
  }

  /** Content type of {@link expose}. */
  get contentType(): string {
    return this.#registry.contentType;
  }

  /** A count that only goes up; the name ends with `_total`. */
  counter(name: string, help: string, labelNames: readonly string[] = [], options: SeriesOptions = {}): CounterFamily {
    return this.#define(CounterFamily, name, labelNames, (fullName) => {
      return new CounterFamily({ name: fullName, help, labelNames, ...options });
    });
  }

  /** A value that goes up and down. */
  gauge(name: string, help: string, labelNames: readonly string[] = [], options: GaugeOptions = {}): GaugeFamily {
    const { read, ...series } = options;
    if (read !== undefined && this.#families.has(this.#fullName(name))) {
      throw new Error(`${this.#fullName(name)} exists already, and a second reader would hide the first`);
    }
    return this.#define(GaugeFamily, name, labelNames, (fullName) => {
      return new GaugeFamily({ name: fullName, help, labelNames, ...series }, read);
    });
  }

  /** A distribution; buckets are upper bounds, rising. Default: {@link DURATION_BUCKETS}, in seconds. */
  histogram(
    name: string,
    help: string,
    labelNames: readonly string[] = [],
    buckets?: readonly number[],
    options: SeriesOptions = {},
  ): HistogramFamily {
    return this.#define(HistogramFamily, name, labelNames, (fullName) => {
      return new HistogramFamily({ name: fullName, help, labelNames, ...options }, buckets);
    });
  }

  /**
   * Adds the metrics of Node and of the process (`process_*`, `nodejs_*`). They watch the event loop and the garbage
   * collector until the process ends, so call it once, in the program and not in a library.
   */
  addProcessMetrics(): void {
    collectDefaultMetrics({ register: this.#registry, prefix: `${this.namespace}_` });
  }

  /** Everything in Prometheus' text format. */
  expose(): Promise<string> {
    return this.#registry.metrics();
  }

  /** The definitions of all families, for documentation and for tests of completeness. */
  families(): (FamilyDefinition & { readonly type: Family['type'] })[] {
    return Array.from(this.#families.values(), (family) => ({ ...family.definition, type: family.type }));
  }

  #fullName(name: string): string {
    return this.namespace === '' ? name : `${this.namespace}_${name}`;
  }

  #define<F extends Family>(
    kind: abstract new (...args: never) => F,
    name: string,
    labelNames: readonly string[],
    make: (fullName: string) => F,
  ): F {
    const fullName = this.#fullName(name);
    const existing = this.#families.get(fullName);
    if (existing !== undefined) {
      if (existing instanceof kind && existing.definition.labelNames.join() === labelNames.join()) return existing;
      throw new Error(`${fullName} exists already as a ${existing.type} with other labels or another type`);
    }
    const family = make(fullName);
    this.#families.set(fullName, family);
    this.#registry.registerMetric(exposition(family));
    return family;
  }
}

/** What prom-client's registry asks of a metric when it is scraped. Its types want its own classes, its code doesn't. */
function exposition(family: Family): Metric {
  const { name, help } = family.definition;
  const get = async () => ({ name, help, type: family.type, values: family.samples() });
  return { name, help, get } as unknown as Metric;
}
