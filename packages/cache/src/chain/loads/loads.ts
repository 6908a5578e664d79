import { AsyncResource } from 'node:async_hooks';
import { InFlight, isThenable, MAX_TIMER_MS, type Timers } from '@granary/resilience';
import { type CacheClosedError, CacheTimeoutError } from '../../errors.js';
import type { Entry, MaybePromise } from '../../layer.js';
import type { Background } from '../background.js';
import { addEvent, type ChainSpans, endSpan } from '../chain-spans.js';
import type { Loader, LoadOptions } from '../options/load-options.js';
import type { Tickets } from '../tickets.js';
import { Load } from './load.js';
import { RememberedErrors } from './remembered-errors.js';

/** Where loaded values go. */
export interface LoadTarget<V> {
  /** Writes a loaded value to every layer, unless the key was written since its ticket was taken. */
  store(load: Load<V>, value: V): MaybePromise<unknown>;
  /** The loader says that there is nothing where there was something. */
  forget(key: string): MaybePromise<unknown>;
  /** A mark for the tags that are deleted meanwhile. */
  mark(): number;
  failed(operation: string, error: unknown): void;
}

export interface LoadsOptions {
  readonly background: Background;
  readonly tickets: Tickets;
  readonly timers: Timers;
  readonly clock: () => number;
  readonly spans: ChainSpans | undefined;
}

/**
 * The loads under way, at most one for each key. A load belongs to its callers: it ends when the last has gone. One that
 * has answered with something stale goes on in the background.
 */
export class Loads<V> {
  readonly #target: LoadTarget<V>;
  readonly #options: LoadsOptions;
  readonly #byKey = new InFlight<string, Load<V>>();
  readonly #errors: RememberedErrors;
  started = 0;
  failures = 0;
  staleAnswers = 0;

  constructor(target: LoadTarget<V>, options: LoadsOptions) {
    this.#target = target;
    this.#options = options;
    this.#errors = new RememberedErrors(options.clock);
  }

  get size(): number {
    return this.#byKey.total;
  }

  get(key: string): Load<V> | undefined {
    return this.#byKey.get(key);
  }

  /** A load that callers can join from now on. {@link run} or {@link found} goes on with it. */
  begin(key: string, loader: Loader<V>, options: LoadOptions): Load<V> {
    const ticket = this.#options.tickets.take(key);
    const load = new Load(key, loader, options, ticket, this.#target.mark(), this.#finish);
    this.#byKey.overtake(key);
    this.#byKey.set(key, load);
    return load;
  }

  /** A layer had the value, or another caller's load has brought it. */
  found(load: Load<V>, entry: Entry<V>, layer: number): void {
    if (load.isDone) return;
    load.foundAt = layer;
    load.answer(entry.value);
    this.#finish(load);
  }

  /** Asks the loader. */
  run(load: Load<V>, stale: Entry<V> | undefined): void {
    if (load.isDone) return;
    load.stale = stale;
    const remembered = this.#errors.get(load.key);
    if (remembered !== undefined) {
      this.#end(load, remembered.error);
      return;
    }
    this.started++;
    let result: V | undefined | PromiseLike<V | undefined>;
    let isLater: boolean;
    try {
      result = this.#ask(load);
      isLater = isThenable(result);
    } catch (error) {
      this.#failed(load, error);
      return;
    }
    if (!isLater) {
      this.#loaded(load, result as V | undefined);
      return;
    }
    this.#startTimers(load);
    Promise.resolve(result).then(
      (value) => this.#loaded(load, value),
      (error: unknown) => this.#failed(load, error),
    );
  }

  fail(load: Load<V>, error: unknown): void {
    if (!load.isDone) this.#end(load, error);
  }

  /** Whether a load that nobody waits for may begin. */
  get hasRoom(): boolean {
    return this.#options.background.hasRoom;
  }

  /** Lets a load go on although nobody waits for it. */
  detach(load: Load<V>): boolean {
    if (load.isDone) return true;
    if (!this.#options.background.add(load.whenDone)) return false;
    load.pin();
    return true;
  }

  /** The key is being written: who comes now doesn't want what is being loaded. */
  supersede(key: string): void {
    this.#byKey.overtake(key);
    this.#errors.delete(key);
  }

  supersedeAll(): void {
    this.#byKey.overtakeAll();
    this.#errors.clear();
  }

  /** Keys that are being loaded with this tag. */
  keysWith(tag: string): string[] {
    const loads = [...this.#byKey.values()].filter(({ options }) => options.tags?.includes(tag));
    return loads.map(({ key }) => key);
  }

  /** Ends everything: those who wait are told so. */
  close(error: CacheClosedError): void {
    for (const load of this.#byKey.all()) {
      load.stop(error);
      load.fail(error);
      this.#finish(load);
    }
  }

  #ask(load: Load<V>): V | undefined | PromiseLike<V | undefined> {
    const { spans } = this.#options;
    if (spans === undefined) return load.loader(load);
    load.span = spans.start('cache.load', load.options.span);
    return spans.run(load.span, () => load.loader(load));
  }

  #startTimers(load: Load<V>): void {
    const { softTimeoutMs, hardTimeoutMs, staleWhileRevalidate } = load.options;
    const { timers } = this.#options;
    const softMs = staleWhileRevalidate ? 0 : softTimeoutMs;
    if (softMs !== undefined && load.stale !== undefined && load.isOpen) {
      if (softMs === 0) this.#answerStale(load, load.stale);
      else if (softMs <= MAX_TIMER_MS)
        load.soft = timers.setTimeout(() => load.stale && this.#answerStale(load, load.stale), softMs);
    }
    if (hardTimeoutMs === undefined || hardTimeoutMs > MAX_TIMER_MS) return;
    // Timers that many share ring in the context of any of them; what is logged then, or told to the loader, is of this load.
    const context = new AsyncResource('Load');
    const expire = () => {
      const error = new CacheTimeoutError('the loader', hardTimeoutMs);
      this.#failed(load, error);
      load.stop(error);
    };
    load.hard = timers.setTimeout(() => context.runInAsyncScope(expire), hardTimeoutMs);
  }

  /** Answers before the loader has, if the load may go on in the background and nobody has written the key meanwhile. */
  #answerStale(load: Load<V>, stale: Entry<V>): void {
    if (!load.isOpen || load.isDone || !load.ticket.current || !this.detach(load)) return;
    if (!load.isRefresh) this.staleAnswers++;
    addEvent(load.span, 'cache.stale_answer');
    load.answeredStale = true;
    load.answer(stale.value);
  }

  #loaded(load: Load<V>, value: V | undefined): void {
    if (load.isDone) return;
    endSpan(load.span);
    this.#stopTimers(load);
    let stored: MaybePromise<unknown>;
    try {
      if (value !== undefined) stored = load.ticket.current ? this.#target.store(load, value) : undefined;
      else stored = load.stale !== undefined && load.ticket.current ? this.#target.forget(load.key) : undefined;
    } catch (error) {
      this.#target.failed('store', error);
    }
    if (!(stored instanceof Promise)) {
      load.answer(value);
      this.#finish(load);
      return;
    }
    // Callers who leave now end nothing: its ticket is needed until the value is where it belongs.
    load.pin();
    const done = stored.catch((error: unknown) => this.#target.failed('store', error));
    if (this.#options.background.add(done)) load.answer(value);
    done.then(() => {
      load.answer(value);
      this.#finish(load);
    });
  }

  #failed(load: Load<V>, error: unknown): void {
    if (load.isDone) return;
    endSpan(load.span, undefined, error);
    this.failures++;
    const { errorTtlMs } = load.options;
    if (errorTtlMs !== undefined && load.ticket.current) this.#errors.set(load.key, error, errorTtlMs);
    if (!load.isOpen || load.stale !== undefined) this.#target.failed('load', error);
    this.#end(load, error);
  }

  #end(load: Load<V>, error: unknown): void {
    if (load.isOpen) {
      if (load.stale !== undefined && load.ticket.current) {
        if (!load.isRefresh) this.staleAnswers++;
        load.answer(load.stale.value);
      } else load.fail(error);
    }
    this.#finish(load);
  }

  readonly #finish = (load: Load<V>): void => {
    if (load.isDone) return;
    endSpan(load.span);
    load.end();
    this.#stopTimers(load);
    this.#byKey.end(load.key, load);
    this.#options.tickets.giveBack(load.key, load.ticket);
  };

  #stopTimers({ soft, hard }: Load<V>): void {
    const { timers } = this.#options;
    if (soft !== undefined) timers.clearTimeout(soft);
    if (hard !== undefined) timers.clearTimeout(hard);
  }
}
