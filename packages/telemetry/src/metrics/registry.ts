import type { Metric, Registry } from 'prom-client';
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
  readonly #families = new Map<string, Family>();
  #withProcess = false;
  #preparing: Promise<Registry> | undefined;
  #registry: Registry | undefined;

  constructor(options: MetricRegistryOptions = {}) {
    this.namespace = options.namespace ?? 'granary';
  }

  /** Content type of {@link expose}. */
  get contentType(): string {
    return 'text/plain; version=0.0.4; charset=utf-8';
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
   * Adds the metrics of Node and of the process (`process_*`, `nodejs_*`), which are there in every scrape. They watch
   * the event loop and the garbage collector from {@link prepare} until the process ends, so ask for them before that,
   * in the program and not in a library.
   *
   * @throws when the registry is prepared already
   */
  addProcessMetrics(): void {
    if (this.#preparing) throw new Error('process metrics are added before the registry is prepared');
    this.#withProcess = true;
  }

  /**
   * Loads what {@link expose} needs, some 50 ms of work that a program may put where nobody waits for it; otherwise the
   * first scrape does it.
   */
  async prepare(): Promise<void> {
    await this.#prepared();
  }

  /** Everything in Prometheus' text format. */
  async expose(): Promise<string> {
    return (await this.#prepared()).metrics();
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
    this.#registry?.registerMetric(exposition(family));
    return family;
  }

  #prepared(): Promise<Registry> {
    this.#preparing ??= this.#load();
    return this.#preparing;
  }

  async #load(): Promise<Registry> {
    const { collectDefaultMetrics, Registry } = await import('prom-client');
    const registry = new Registry();
    if (this.#withProcess) collectDefaultMetrics({ register: registry, prefix: `${this.namespace}_` });
    for (const family of this.#families.values()) registry.registerMetric(exposition(family));
    this.#registry = registry;
    return registry;
  }
}

/** What prom-client's registry asks of a metric when it is scraped. Its types want its own classes, its code doesn't. */
export function exposition(family: Family): Metric {
  const { name, help } = family.definition;
  const get = async () => ({ name, help, type: family.type, values: family.samples() });
  return { name, help, get } as unknown as Metric;
}
