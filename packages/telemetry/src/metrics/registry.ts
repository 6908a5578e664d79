import { setImmediate as nextTurn } from 'node:timers/promises';
import { CounterFamily } from './counter.js';
import { EventLoopWatch } from './event-loop-watch.js';
import { ExpositionWriter, type FamilyType } from './exposition/exposition-writer.js';
import { contentTypeOf, type ExpositionFormat, negotiateFormat } from './exposition/format.js';
import { unitOf, withoutTotal } from './exposition/text.js';
import type { FamilyDefinition } from './family.js';
import { GaugeFamily, type GaugeReader } from './gauge.js';
import { HistogramFamily } from './histogram.js';
import { loadProcessMetrics, type ProcessMetrics } from './process-metrics.js';

export interface SeriesOptions {
  /** Most series with label values of their own; what comes later is counted under `other`. Default 200. */
  readonly maxSeries?: number | undefined;
  /**
   * By label name the values that it may have, for what comes from outside: any other is counted under `other`. Default:
   * all values, up to `maxSeries` series.
   */
  readonly values?: Readonly<Record<string, readonly string[]>> | undefined;
}

export interface GaugeOptions extends SeriesOptions {
  /** Reads the gauge at each scrape; without it the gauge shows what was set. */
  readonly read?: GaugeReader | undefined;
}

export interface MetricRegistryOptions {
  /** Put in front of every name, with an underscore. Default `granary`. */
  readonly namespace?: string | undefined;
}

/** A family as documentation tells of it. */
export interface FamilyInfo extends FamilyDefinition {
  readonly type: FamilyType;
  /** Base unit of its values, as the name says it; undefined for counts. */
  readonly unit: string | undefined;
}

/** What a scrape answers with. */
export interface Scrape {
  readonly contentType: string;
  readonly body: Buffer;
}

export type Family = CounterFamily | GaugeFamily | HistogramFamily;

/** Lines that are written before others get their turn: less than a millisecond's work. */
const LINES_AT_ONCE = 1000;

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
  /** Names of lines and of families in either format, with the family that has them. */
  readonly #names = new Map<string, Family>();
  #withProcess = false;
  #eventLoop: EventLoopWatch | undefined;
  #process: Promise<ProcessMetrics | undefined> | undefined;
  /** The same once it is there. */
  #loadedProcess: ProcessMetrics | undefined;

  constructor(options: MetricRegistryOptions = {}) {
    this.namespace = options.namespace ?? 'granary';
  }

  /** Content type of {@link expose} in the text format. */
  get contentType(): string {
    return contentTypeOf('text');
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
   * Adds the metrics of Node and of the process (`process_*`, `nodejs_*`), which are there in every scrape. Those of
   * prom-client watch the event loop and the garbage collector from {@link prepare} until the process ends, so ask for
   * them before that, in the program and not in a library; how late the event loop is, and how busy, is watched from
   * now until {@link close}.
   *
   * @throws when the registry is prepared already
   */
  addProcessMetrics(): void {
    if (this.#process) throw new Error('process metrics are added before the registry is prepared');
    if (this.#withProcess) return;
    this.#withProcess = true;
    const watch = new EventLoopWatch();
    this.#eventLoop = watch;
    const gauge = (name: string, help: string, read: () => number | undefined) => this.gauge(name, help, [], { read });
    gauge('nodejs_eventloop_delay_p50_seconds', 'How late timers are: half of them at least so much.', () => watch.p50);
    gauge(
      'nodejs_eventloop_delay_p99_seconds',
      'How late timers are: one in a hundred at least so much.',
      () => watch.p99,
    );
    gauge(
      'nodejs_eventloop_utilization_ratio',
      'Share of the time that the event loop is busy.',
      () => watch.utilization,
    );
  }

  /**
   * Loads what {@link addProcessMetrics} asked for, some 50 ms of work that a program may put where nobody waits for it;
   * otherwise the first scrape does it.
   */
  async prepare(): Promise<void> {
    await this.#prepared();
  }

  /** Everything as text, by default in Prometheus' text format. */
  async expose(format: ExpositionFormat = 'text'): Promise<string> {
    return (await this.#write(format)).toString();
  }

  /**
   * What a scrape is answered with.
   *
   * @param accept the request's `Accept` header: OpenMetrics, with exemplars, for who asks for it
   */
  async scrape(accept?: string): Promise<Scrape> {
    const format = negotiateFormat(accept);
    return { contentType: contentTypeOf(format), body: await this.#write(format) };
  }

  /**
   * The definitions of all families, for documentation and for tests of completeness; those of prom-client's process
   * metrics once the registry is prepared.
   */
  families(): FamilyInfo[] {
    const info = (definition: FamilyDefinition, type: FamilyType): FamilyInfo => {
      return { ...definition, type, unit: unitOf(definition.name) };
    };
    return [
      ...Array.from(this.#families.values(), ({ definition, type }) => info(definition, type)),
      ...(this.#loadedProcess?.families() ?? []).map((family) => info(family, family.type)),
    ];
  }

  /** Stops watching the event loop, whose gauges are no longer shown then. All else goes on. */
  close(): void {
    this.#eventLoop?.close();
  }

  [Symbol.dispose](): void {
    this.close();
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
    const names = namesOf(family);
    const taken = names.find((taken) => this.#names.has(taken));
    if (taken !== undefined) {
      const other = this.#names.get(taken)?.definition.name;
      throw new Error(`${fullName} and ${other} would both be shown as ${taken}`);
    }
    for (const taken of names) this.#names.set(taken, family);
    this.#families.set(fullName, family);
    return family;
  }

  #prepared(): Promise<ProcessMetrics | undefined> {
    this.#process ??= this.#load();
    return this.#process;
  }

  async #load(): Promise<ProcessMetrics | undefined> {
    if (this.#withProcess) this.#loadedProcess = await loadProcessMetrics(this.#fullName(''));
    return this.#loadedProcess;
  }

  async #write(format: ExpositionFormat): Promise<Buffer> {
    const writer = new ExpositionWriter(format);
    const processMetrics = await this.#prepared();
    await processMetrics?.write(writer);
    for (const family of this.#families.values()) {
      if (!family.refresh()) continue;
      writer.begin({ ...family.definition, type: family.type });
      // A series is written in one go, so that its count is that of its buckets.
      for (let i = 0; i < family.seriesCount; i++) {
        family.emit(i, writer);
        if (writer.lines < LINES_AT_ONCE) continue;
        writer.flush();
        await nextTurn();
      }
    }
    return writer.end();
  }
}

/** What a scraper must not find twice: the names of the lines, and that of the family in OpenMetrics. */
function namesOf({ type, definition: { name } }: Family): string[] {
  if (type === 'counter') return [name, withoutTotal(name)];
  return type === 'gauge' ? [name] : ['', '_bucket', '_sum', '_count'].map((suffix) => name + suffix);
}
