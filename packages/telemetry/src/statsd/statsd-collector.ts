import { type ClientOptions, StatsD } from 'hot-shots';
import type { CollectedMetric } from '../metrics/collectors/chain-metrics.js';
import { CollectorBase } from '../metrics/collectors/collector-base.js';
import type { Labels } from '../metrics/family.js';
import { within } from '../setup/within.js';

export interface StatsDCollectorOptions {
  /** A client that you have already; it stays yours. Without it the collector makes one, and closes it. */
  readonly client?: StatsD | undefined;
  /** Default: the environment's `DD_AGENT_HOST`, else this machine. */
  readonly host?: string | undefined;
  /** Default: the environment's `DD_DOGSTATSD_PORT`, else 8125. */
  readonly port?: number | undefined;
  /** All else that hot-shots takes: `protocol`, `path`, `globalTags`, … */
  readonly clientOptions?: Omit<ClientOptions, 'host' | 'port' | 'prefix' | 'errorHandler'> | undefined;
  /** Put in front of every name, with a dot. Default `cache_chain`. */
  readonly prefix?: string | undefined;
  /**
   * DogStatsD's tags (`cache_chain.hits:1|c|#layer:L1`). Where the server doesn't know them, false puts the values of the
   * labels behind the name: `cache_chain.hits.L1:1|c`. Default true.
   */
  readonly tags?: boolean | undefined;
  /** How often is sent what was collected. Default 1000. */
  readonly flushIntervalMs?: number | undefined;
  /**
   * Durations that are kept between two sendings, each some 60 bytes on the wire; of more a random sample. Default 5000.
   */
  readonly maxDurations?: number | undefined;
}

/** Fits an Ethernet frame, with IPv6 and UDP around it. */
const MAX_PACKET_BYTES = 1432;

/** How long a client that isn't closed may take with the rest. */
const REST_LIMIT_MS = 500;
/** How long a client may take to close: it gives itself half a second, and never ends where its connection is gone. */
const CLOSE_LIMIT_MS = 1000;

/** Protocols of hot-shots that connect before they send. */
const CONNECTIONS: ReadonlySet<string | undefined> = new Set(['tcp', 'uds']);

/** A series as it is sent. */
interface Target {
  readonly metric: CollectedMetric;
  readonly name: string;
  readonly tags: string[];
  /** Counted since the last sending, or the gauge's value. */
  value: number;
}

/**
 * Sends to a StatsD or DogStatsD server through hot-shots. Counts are summed up and sent once a second, gauges with their
 * last value, durations one by one as timings in milliseconds. A get costs some 100 ns.
 *
 * What can't be sent is no matter to caches: errors are counted in {@link errors}. While the last sending isn't over,
 * counts go on being summed up, and of durations beyond `maxDurations` a random sample is kept and the rest counted in
 * {@link dropped}, so that a server that stands still takes no memory. A connection (`protocol: 'tcp'` or `'uds'`) that
 * broke is made again for the next sending, unless the client is yours.
 */
export class StatsDCollector extends CollectorBase implements AsyncDisposable {
  #client: StatsD;
  /** Makes another client; undefined where it isn't the collector's own. */
  readonly #newClient: (() => StatsD) | undefined;
  readonly #connects: boolean;
  #isBroken = false;
  readonly #prefix: string;
  readonly #hasTags: boolean;
  readonly #maxDurations: number;
  readonly #timer: NodeJS.Timeout;
  /** One for each series of each metric, both of which are bounded. */
  readonly #targets = new Map<CollectedMetric, Map<Labels, Target>>();
  readonly #changed = new Set<Target>();
  #durations: { readonly target: Target; readonly ms: number }[] = [];
  /** Durations since the last sending. */
  #seen = 0;
  #sending: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  #errors = 0;
  #dropped = 0;

  constructor(options: StatsDCollectorOptions = {}) {
    super();
    const { client, prefix = 'cache_chain', tags = true, flushIntervalMs = 1000, maxDurations = 5000 } = options;
    this.#maxDurations = wholeNumber('maxDurations', maxDurations);
    const broke = () => this.#broke();
    this.#newClient = client === undefined ? () => clientOf(options, broke) : undefined;
    this.#connects = CONNECTIONS.has(options.clientOptions?.protocol);
    this.#client = client ?? clientOf(options, broke);
    this.#prefix = prefix === '' ? '' : `${prefix}.`;
    this.#hasTags = tags;
    this.#timer = setInterval(() => void this.flush(), wholeNumber('flushIntervalMs', flushIntervalMs));
    this.#timer.unref();
  }

  /** How often something could not be sent. */
  get errors(): number {
    return this.#errors;
  }

  /** Durations for which there was no room. */
  get dropped(): number {
    return this.#dropped;
  }

  protected override count(metric: CollectedMetric, amount: number, labels: Labels): void {
    const target = this.#target(metric, labels);
    target.value += amount;
    this.#changed.add(target);
  }

  protected override gauge(metric: CollectedMetric, value: number, labels: Labels): void {
    const target = this.#target(metric, labels);
    target.value = value;
    this.#changed.add(target);
  }

  protected override observe(metric: CollectedMetric, seconds: number, labels: Labels): void {
    if (this.#closing !== undefined) return;
    const seen = this.#seen++;
    // Beyond the limit each has the same chance to be kept, so that what is kept is like all.
    const place = seen < this.#maxDurations ? seen : Math.floor(Math.random() * (seen + 1));
    if (seen >= this.#maxDurations) this.#dropped++;
    if (place < this.#maxDurations) {
      this.#durations[place] = { target: this.#target(metric, labels), ms: seconds * 1000 };
    }
  }

  /** Sends what was collected, unless a sending is under way; resolves when it is over. Never rejects. */
  flush(): Promise<void> {
    if (this.#closing !== undefined) return this.#closing;
    this.#sending ??= this.#send().finally(() => {
      this.#sending = undefined;
    });
    return this.#sending;
  }

  /** Sends the rest, for half a second at most, and closes the client if it is its own. Can be called again. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #target(metric: CollectedMetric, labels: Labels): Target {
    let targets = this.#targets.get(metric);
    if (targets === undefined) {
      targets = new Map();
      this.#targets.set(metric, targets);
    }
    let target = targets.get(labels);
    if (target === undefined) {
      const name = this.#prefix + metric.name.replace(/_(?:total|seconds)$/, '');
      target = this.#hasTags
        ? { metric, name, tags: Object.entries(labels).map(([key, value]) => `${key}:${value}`), value: 0 }
        : { metric, name: [name, ...Object.values(labels).map(nodeOf)].join('.'), tags: [], value: 0 };
      targets.set(labels, target);
    }
    return target;
  }

  #hand(): void {
    const [changed, durations] = [[...this.#changed], this.#durations];
    this.#changed.clear();
    this.#durations = [];
    this.#seen = 0;
    for (const target of changed) {
      const { metric, name, tags, value } = target;
      if (metric.type === 'gauge') this.#client.gauge(name, value, tags);
      else {
        this.#client.increment(name, value, tags);
        target.value = 0;
      }
    }
    // Whole nanoseconds, because servers don't read exponents.
    for (const { target, ms } of durations) this.#client.timing(target.name, Number(ms.toFixed(6)), target.tags);
  }

  async #close(): Promise<void> {
    clearInterval(this.#timer);
    if (this.#newClient === undefined) {
      await within(REST_LIMIT_MS, this.#send());
      return;
    }
    // Not behind a sending that may never end.
    const closed = this.#quietly((done) => {
      this.#hand();
      this.#client.close(done);
    });
    await within(CLOSE_LIMIT_MS, closed);
  }

  /** hot-shots tries a connection that is refused once more, and one that was closed never again. */
  #reconnect(): void {
    if (!this.#isBroken || !this.#connects || this.#newClient === undefined) return;
    this.#client.close(() => {});
    this.#client = this.#newClient();
    this.#isBroken = false;
  }

  #send(): Promise<void> {
    return this.#quietly((done) => {
      this.#reconnect();
      this.#hand();
      this.#client.flush(done);
    });
  }

  /** Resolves when the client says that it is done; errors only count. */
  async #quietly(act: (done: (error?: Error) => void) => void): Promise<void> {
    try {
      await new Promise<void>((resolve, reject) => act((error) => (error ? reject(error) : resolve())));
    } catch {
      this.#broke();
    }
  }

  #broke(): void {
    this.#errors++;
    this.#isBroken = true;
  }
}

function clientOf({ host, port, clientOptions }: StatsDCollectorOptions, errorHandler: () => void): StatsD {
  return new StatsD({
    maxBufferSize: MAX_PACKET_BYTES,
    ...clientOptions,
    // Else every packet would ask for the address again.
    ...(host !== undefined && { host, cacheDns: true }),
    ...(port !== undefined && { port }),
    errorHandler,
  });
}

/** A part of a name: a dot would begin another. */
const nodeOf = (value: string): string => value.replace(/[^A-Za-z0-9_-]/g, '_');

function wholeNumber(option: string, value: number): number {
  if (Number.isSafeInteger(value) && value >= 1) return value;
  throw new RangeError(`${option} is ${value}, but must be a whole number of at least 1`);
}
