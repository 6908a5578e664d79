import { Flight, InFlight } from '@granary/resilience';
import type { Span, SpanContext } from '@granary/telemetry';
import type { FoundEntries } from '../found-entries.js';
import type { Entry, GetOptions, MaybePromise } from '../layer.js';
import { isFresh } from '../layers/lifetime.js';
import { MemoryLayer } from '../layers/memory-layer.js';
import type { Background } from './background.js';
import { addEvent, type ChainSpans, endSpan, TracedOptions } from './chain-spans.js';
import type { Lifetimes } from './options/lifetimes.js';
import type { WarmingStrategy } from './options/warming-strategy.js';
import type { Recorder } from './recorder.js';
import type { Storey } from './storeys/storey.js';
import type { BatchTicket, Ticket, Tickets } from './tickets.js';

/** What is waited for until the chain is closed. */
type Endable = Pick<Flight<never>, 'stop' | 'fail'>;

/** What a look through the layers has found so far. */
export class Found<V> {
  fresh: Entry<V> | undefined;
  /** Index of the layer that had it; −1 while none has. */
  layer = -1;
  /** The best of what is no longer fresh: the one that was so the longest. */
  stale: Entry<V> | undefined;
  /** Of a look-up that has left memory and is traced. */
  span: Span | undefined;

  /** Whether this is the answer. */
  take(entry: Entry<V> | undefined, layer: number, now: () => number): boolean {
    if (entry === undefined) return false;
    if (entry.expiresAt === undefined || isFresh(entry, now())) {
      this.fresh = entry;
      this.layer = layer;
      return true;
    }
    if (this.stale === undefined || entry.expiresAt > (this.stale.expiresAt ?? 0)) this.stale = entry;
    return false;
  }
}

export interface FoundMany<V> {
  readonly values: Map<string, V>;
  /** How many each layer had that was asked. */
  readonly hits: readonly number[];
  readonly misses: number;
}

export interface LookupsOptions<V> {
  readonly storeys: readonly Storey<V>[];
  readonly lifetimes: Lifetimes;
  readonly warming: WarmingStrategy<V>;
  readonly tickets: Tickets;
  readonly background: Background;
  readonly recorder: Recorder | undefined;
  readonly spans: ChainSpans | undefined;
  readonly clock: () => number;
}

/**
 * Looks through the layers, from fast to slow, and brings up what it finds. Layers that answer at once are looked
 * through at once; where one has to be waited for, all who look for the key wait together.
 */
export class Lookups<V> {
  readonly #options: LookupsOptions<V>;
  readonly #storeys: readonly Storey<V>[];
  readonly #clock: () => number;
  /** By which a layer's answer is judged that has just come. */
  readonly #judgedAt: () => number;
  readonly #flights = new InFlight<string, Flight<Found<V>>>();
  /** Look-ups of many keys by their number, for when the chain is closed. */
  readonly #batches = new InFlight<number, Endable>();
  #lastBatch = 0;
  droppedWarmUps = 0;

  constructor(options: LookupsOptions<V>) {
    this.#options = options;
    this.#storeys = options.storeys;
    this.#clock = options.clock;
    const { recorder } = options;
    this.#judgedAt = recorder === undefined ? options.clock : () => recorder.judgedAt;
  }

  /** What the layers have, from layer `from` on. */
  find(key: string, given: GetOptions | undefined, from = 0): MaybePromise<Found<V>> {
    const signal = given?.signal;
    const known = this.#flights.get(key);
    // One that all callers have left ends when its layer answers, which may be never.
    if (known?.isOpen) return known.join(signal);
    if (signal !== undefined) return this.#findShared(key, given, new Found(), from, undefined);
    const found = new Found<V>();
    const waiting = this.#scan(key, found, from, undefined, given?.span);
    return waiting === undefined
      ? this.#bringUp(key, found)
      : this.#findShared(key, given, found, found.layer, waiting);
  }

  /**
   * The same for a load, which is what callers wait for: its ticket and its signal count.
   *
   * @param parent the span that the load is part of
   * @param looked whether the first layer was asked already, and had nothing fresh
   * @param held what it had instead
   */
  findFor(
    key: string,
    ticket: Ticket,
    options: GetOptions | undefined,
    parent: SpanContext | undefined,
    looked: boolean,
    held: Entry<V> | undefined,
  ): MaybePromise<Found<V>> {
    const found = new Found<V>();
    if (looked) found.take(held, 0, this.#clock);
    const waiting = this.#scan(key, found, looked ? 1 : 0, options, parent);
    return waiting === undefined ? this.#bringUp(key, found) : this.#goOn(key, found, waiting, ticket, options);
  }

  /** What the layers have of many keys, fresh. Each layer is asked once, for what is still missing. */
  async findMany(keys: readonly string[], options: GetOptions | undefined): Promise<FoundMany<V>> {
    const { tickets } = this.#options;
    const hits: number[] = [];
    const values = new Map<string, V>();
    let missing = this.#storeys[0]?.mindsRepeatedKeys ? [...new Set(keys)] : keys;
    const batch = tickets.takeBatch();
    let span: Span | undefined;
    try {
      for (const storey of this.#storeys) {
        if (!(storey.layer instanceof MemoryLayer)) span ??= this.#options.spans?.start('cache.getMany', options?.span);
        const answer = storey.findMany(missing, span?.recording ? new TracedOptions(span, options) : options);
        const found = answer instanceof Promise ? await this.#unlessEnded(answer, options?.signal) : answer;
        options?.signal?.throwIfAborted();
        const before = values.size;
        if (storey.index > 0) this.#bringUpMany(missing, found, storey.index, batch);
        this.#takeFresh(missing, found, values);
        const count = values.size - before;
        hits.push(count);
        if (span?.recording) addEvent(span, 'cache.lookup', { 'cache.layer': storey.name, 'cache.hits': count });
        // As many as were asked for: then none of them was there twice, which costs a look at each to find out.
        missing = count === missing.length ? [] : [...new Set(missing)].filter((key) => !values.has(key));
        if (missing.length === 0) break;
      }
    } finally {
      endSpan(span, { 'cache.hits': values.size, 'cache.keys': keys.length });
      tickets.giveBackBatch(batch);
    }
    return { values, hits, misses: missing.length };
  }

  /** Who looks for the key from now on begins anew. */
  supersede(key: string): void {
    this.#flights.overtake(key);
  }

  supersedeAll(): void {
    this.#flights.overtakeAll();
  }

  close(error: Error): void {
    for (const flight of [...this.#flights.all(), ...this.#batches.values()]) {
      flight.stop(error);
      flight.fail(error);
    }
  }

  /** What a layer answers, for as long as its caller and the chain are there. */
  #unlessEnded<T>(answer: Promise<T>, signal: AbortSignal | undefined): MaybePromise<T> {
    const flight = new Flight<T>();
    const number = ++this.#lastBatch;
    this.#batches.set(number, flight);
    answer.then(
      (value) => {
        this.#batches.delete(number);
        flight.answer(value);
      },
      (error: unknown) => {
        this.#batches.delete(number);
        flight.fail(error);
      },
    );
    return flight.join(signal);
  }

  /** Looks as far as layers answer at once; then gives the promise, and the layer's index in `found.layer`. */
  #scan(
    key: string,
    found: Found<V>,
    from: number,
    given: GetOptions | undefined,
    parent?: SpanContext,
  ): Promise<Entry<V> | undefined> | undefined {
    let options = given;
    for (let i = from; i < this.#storeys.length; i++) {
      const storey = this.#storeys[i] as Storey<V>;
      if (this.#options.spans !== undefined) options = this.#traced(found, storey, given, parent);
      const entry = storey.find(key, options);
      if (entry instanceof Promise) {
        found.layer = i;
        return entry;
      }
      if (this.#take(found, entry, i)) return undefined;
    }
    return undefined;
  }

  /** From the first layer on that isn't memory, a look-up has a span. */
  #traced(
    found: Found<V>,
    storey: Storey<V>,
    options: GetOptions | undefined,
    parent: SpanContext | undefined,
  ): GetOptions | undefined {
    if (storey.layer instanceof MemoryLayer) return options;
    found.span ??= this.#options.spans?.start('cache.get', parent);
    return found.span?.recording ? new TracedOptions(found.span, options) : options;
  }

  #take(found: Found<V>, entry: Entry<V> | undefined, layer: number): boolean {
    const isHit = found.take(entry, layer, this.#judgedAt);
    if (found.span !== undefined) {
      const name = (this.#storeys[layer] as Storey<V>).name;
      addEvent(found.span, 'cache.lookup', { 'cache.layer': name, 'cache.hit': isHit });
    }
    return isHit;
  }

  #endSpan({ span, fresh, layer, stale }: Found<V>): void {
    if (span === undefined) return;
    const where = fresh === undefined ? undefined : this.#storeys[layer]?.name;
    endSpan(span, { 'cache.hit': fresh !== undefined, 'cache.layer': where, 'cache.stale': stale && true });
  }

  #findShared(
    key: string,
    given: GetOptions | undefined,
    found: Found<V>,
    from: number,
    waiting: Promise<Entry<V> | undefined> | undefined,
  ): MaybePromise<Found<V>> {
    const { tickets } = this.#options;
    const signal = given?.signal;
    const flight = new Flight<Found<V>>();
    const ticket = tickets.take(key);
    // A caller without a signal never goes, so nothing can be aborted.
    const options = signal === undefined ? undefined : flight;
    const done = () => {
      tickets.giveBack(key, ticket);
      this.#flights.end(key, flight);
    };
    const first = waiting ?? this.#scan(key, found, from, options, given?.span);
    if (first === undefined) {
      done();
      return this.#bringUp(key, found);
    }
    this.supersede(key);
    this.#flights.set(key, flight);
    this.#goOn(key, found, first, ticket, options).then(
      (result) => {
        done();
        flight.answer(result);
      },
      (error: unknown) => {
        done();
        flight.fail(error);
      },
    );
    return flight.join(signal);
  }

  async #goOn(
    key: string,
    found: Found<V>,
    first: Promise<Entry<V> | undefined>,
    ticket: Ticket,
    options: GetOptions | undefined,
  ): Promise<Found<V>> {
    let waiting: Promise<Entry<V> | undefined> | undefined = first;
    while (waiting !== undefined) {
      const layer = found.layer;
      found.layer = -1;
      const entry = await waiting;
      waiting = undefined;
      if (options?.signal?.aborted) break;
      if (!this.#take(found, entry, layer)) waiting = this.#scan(key, found, layer + 1, options);
    }
    if (found.span !== undefined) this.#endSpan(found);
    options?.signal?.throwIfAborted();
    return this.#bringUp(key, found, ticket);
  }

  #bringUp(key: string, found: Found<V>, ticket?: Ticket): Found<V> {
    if (found.span !== undefined) this.#endSpan(found);
    const { fresh, layer } = found;
    if (fresh === undefined || layer <= 0) return found;
    for (let i = layer - 1; i >= 0 && (ticket === undefined || ticket.current); i--) {
      this.#warm(key, fresh, layer, this.#storeys[i] as Storey<V>);
    }
    return found;
  }

  #warm(key: string, entry: Entry<V>, from: number, storey: Storey<V>): void {
    if (!this.#wants(key, entry.value, storey)) return;
    const options = this.#options.lifetimes.inLayer(storey, this.#remaining(entry.expiresAt), undefined, from);
    this.#watch(storey.set(key, entry.value, options));
  }

  #wants(key: string, value: V, storey: Storey<V>): boolean {
    if (storey.answersLate && !this.#options.background.hasRoom) {
      this.droppedWarmUps++;
      this.#options.recorder?.dropped(storey.name);
      return false;
    }
    try {
      return this.#options.warming(key, value, storey.name);
    } catch {
      return false;
    }
  }

  #watch(written: MaybePromise<unknown>): void {
    if (written instanceof Promise) this.#options.background.add(written);
  }

  /** How long it is still fresh; what lives for ever in its layer lives as long as new values do in others. */
  #remaining(expiresAt = Number.POSITIVE_INFINITY): number | undefined {
    return expiresAt === Number.POSITIVE_INFINITY ? this.#options.lifetimes.ttlMs : expiresAt - this.#clock();
  }

  #takeFresh(keys: readonly string[], found: FoundEntries<V>, values: Map<string, V>): void {
    const now = this.#clock();
    for (let i = 0; i < keys.length; i++) {
      const value = found.fresh(i, now);
      if (value !== undefined) values.set(keys[i] as string, value);
    }
  }

  /** Writes values of one lifetime together. */
  #bringUpMany(keys: readonly string[], found: FoundEntries<V>, from: number, batch: BatchTicket): void {
    const now = this.#clock();
    for (let i = from - 1; i >= 0; i--) {
      const storey = this.#storeys[i] as Storey<V>;
      const byEnd = new Map<number, Map<string, V>>();
      for (let j = 0; j < keys.length; j++) {
        const key = keys[j] as string;
        const value = found.fresh(j, now);
        if (value === undefined || !batch.isCurrent(key) || !this.#wants(key, value, storey)) continue;
        const end = found.expiresAt[j] as number;
        const same = byEnd.get(end);
        if (same === undefined) byEnd.set(end, new Map([[key, value]]));
        else same.set(key, value);
      }
      for (const [end, group] of byEnd) {
        const options = this.#options.lifetimes.inLayer(storey, this.#remaining(end), undefined, from);
        this.#watch(storey.setMany(group, options));
      }
    }
  }
}
