import { toMaybePromise } from '@granary/resilience';
import { QueueFullError } from '../../errors.js';
import { FoundEntries } from '../../found-entries.js';
import type { Entry, GetOptions, Layer, MaybePromise, OpOptions, SetOptions } from '../../layer.js';
import { isFresh } from '../../layers/lifetime.js';
import type { AsyncWriter } from '../../writer/async-writer.js';
import { addLayerFailure } from '../chain-spans.js';
import type { Recorder } from '../recorder.js';
import { Doubts } from './doubts.js';
import { attempt, Failed, firstFailure, settleAll } from './outcomes.js';
import { type Change, WriteOrder } from './write-order.js';

/** A layer failed; told to whoever logs. */
export type ReportFailure = (layer: string, operation: string, error: unknown) => void;

type ReadMany<V> = (
  this: Layer<V>,
  ...args: Parameters<NonNullable<Layer<V>['getMany']>>
) => MaybePromise<FoundEntries<V> | Map<string, Entry<V>>>;

export interface StoreyOptions<V> {
  readonly index: number;
  readonly shared: boolean;
  readonly writer: AsyncWriter<V> | undefined;
  readonly recorder: Recorder | undefined;
  readonly report: ReportFailure;
  readonly clock: () => number;
}

/**
 * A layer in its place in a chain. What it throws is a miss, or a {@link Failed} write; what it is told is recorded; and
 * it is never believed to have what a write that it hasn't done, or has failed to do, was to replace.
 */
export class Storey<V> {
  readonly layer: Layer<V>;
  readonly name: string;
  readonly index: number;
  /** Whether other processes have the same values in it. */
  readonly shared: boolean;
  readonly writer: AsyncWriter<V> | undefined;
  /** Whether the layer answers at once, and can be read without a look at what is being written. */
  isPlain: boolean;
  readonly #recorder: Recorder | undefined;
  readonly #report: ReportFailure;
  readonly #clock: () => number;
  readonly #order = new WriteOrder<V>();
  readonly #doubts = new Doubts();
  #answersLate: boolean;

  constructor(layer: Layer<V>, options: StoreyOptions<V>) {
    this.layer = layer;
    this.name = layer.name;
    this.index = options.index;
    this.shared = options.shared;
    this.writer = options.writer;
    this.#recorder = options.recorder;
    this.#report = options.report;
    this.#clock = options.clock;
    this.#answersLate = options.writer !== undefined;
    this.isPlain = !this.#answersLate;
  }

  /** Whether it has answered with a promise before. */
  get answersLate(): boolean {
    return this.#answersLate;
  }

  /** Whether a key that is there twice in a batch would be asked for, or counted, twice. */
  get mindsRepeatedKeys(): boolean {
    return this.layer.getMany === undefined || this.#recorder !== undefined;
  }

  /** The layer has answered with a promise, so it may do so again. */
  markLate(): void {
    this.#answersLate = true;
    this.isPlain = false;
  }

  /** What the layer has, fresh or within its grace. Never fails. Begins when the recorder last looked at the clock. */
  find(key: string, options: GetOptions | undefined): MaybePromise<Entry<V> | undefined> {
    const start = this.#recorder?.at ?? 0;
    if (!this.isPlain) {
      const change = this.#change(key);
      if (change !== undefined)
        return this.#found(change.value === undefined ? undefined : (change as Entry<V>), start);
      if (this.#doubts.has(key)) return this.#found(undefined, start);
    }
    try {
      const { layer } = this;
      if (layer.getEntry === undefined) {
        const value = toMaybePromise(layer.get(key, options));
        return value instanceof Promise
          ? this.#late(value.then(entryOf), start, options)
          : this.#found(entryOf(value), start);
      }
      const entry = toMaybePromise(layer.getEntry(key, options));
      // Layers that no compiler has seen say null where there is nothing.
      return entry instanceof Promise ? this.#late(entry, start, options) : this.#found(entry ?? undefined, start);
    } catch (error) {
      return this.#failed('get', error, options);
    }
  }

  /** What a layer in memory still has of a key that it has just been asked for in vain. */
  peekStale(key: string): Entry<V> | undefined {
    const entry = this.layer.getEntry?.(key);
    return entry instanceof Promise ? undefined : entry;
  }

  /** {@link find} for many keys, in their order. Never fails. */
  findMany(keys: readonly string[], options: GetOptions | undefined): MaybePromise<FoundEntries<V>> {
    const read: ReadMany<V> | undefined = this.layer.readMany ?? this.layer.getMany;
    if (read === undefined) return this.#findEach(keys, options);
    if (this.isPlain || (this.#order.isIdle && !this.writer && this.#doubts.isEmpty)) {
      return this.#readMany(read, keys, options);
    }
    const all = new FoundEntries<V>(keys.length);
    const places = this.#putAside(keys, all);
    if (places.length === 0) return all;
    const asked = places.map((place) => keys[place] as string);
    const found = this.#readMany(read, asked, options);
    return found instanceof Promise ? found.then((late) => all.putAll(places, late)) : all.putAll(places, found);
  }

  set(key: string, value: V, options: SetOptions | undefined): MaybePromise<Failed | undefined> {
    if (!this.isPlain && this.#order.has(key)) {
      const change = this.#changeTo(value, options);
      const perform = () => this.#set(key, value, this.#leftOf(change, options));
      return this.#order.enqueue(key, change, perform) as Promise<Failed | undefined>;
    }
    const result = this.#set(key, value, options);
    if (result instanceof Promise) {
      this.markLate();
      if (this.writer === undefined) this.#order.began(key, this.#changeTo(value, options), result);
    }
    return result;
  }

  /** Whether the key was there. */
  delete(key: string, options: OpOptions | undefined): MaybePromise<boolean | Failed> {
    if (!this.isPlain && this.#order.has(key)) {
      const change = { value: undefined, expiresAt: undefined };
      return this.#order.enqueue(key, change, () => this.#delete(key, options)) as Promise<boolean | Failed>;
    }
    const result = this.#delete(key, options);
    if (result instanceof Promise) {
      this.markLate();
      if (this.writer === undefined) this.#order.began(key, { value: undefined, expiresAt: undefined }, result);
    }
    return result;
  }

  /** Writes many values; answers what failed, or undefined. */
  setMany(values: ReadonlyMap<string, V>, options: SetOptions | undefined): MaybePromise<Failed | undefined> {
    const { layer } = this;
    if (layer.setMany === undefined || this.writer !== undefined || values.size === 1) {
      return settleAll(values, ([key, value]) => this.set(key, value, options), firstFailure);
    }
    if (!this.#order.isIdle && [...values.keys()].some((key) => this.#order.has(key))) {
      return settleAll(values, ([key, value]) => this.set(key, value, options), firstFailure);
    }
    const start = this.#recorder?.now() ?? 0;
    const done = (error?: Failed) => {
      const durationMs = this.#recorder ? this.#recorder.now() - start : 0;
      for (const key of values.keys()) {
        this.#believe(key, error === undefined);
        this.#recorder?.set(this.name, error === undefined, durationMs);
      }
      if (error !== undefined) this.#failed('set', error.error);
      return error;
    };
    const result = attempt(() => layer.setMany?.(values, options));
    if (!(result instanceof Promise)) return done(result instanceof Failed ? result : undefined);
    this.markLate();
    const written = result.then((failed) => done(failed instanceof Failed ? failed : undefined));
    for (const [key, value] of values) this.#order.began(key, this.#changeTo(value, options), written);
    return written;
  }

  /** Deletes many keys; answers how many were there, or what failed. */
  deleteMany(keys: readonly string[], options: OpOptions | undefined): MaybePromise<number | Failed> {
    const { layer } = this;
    const busy = !this.#order.isIdle && keys.some((key) => this.#order.has(key));
    if (layer.deleteMany === undefined || this.writer !== undefined || keys.length === 1 || busy) {
      return settleAll(
        keys,
        (key) => this.delete(key, options),
        (results) => firstFailure(results) ?? results.filter((result) => result === true).length,
      );
    }
    const start = this.#recorder?.now() ?? 0;
    const done = (result: number | Failed | undefined) => {
      const durationMs = this.#recorder ? this.#recorder.now() - start : 0;
      const success = !(result instanceof Failed);
      for (const key of keys) {
        this.#believe(key, success);
        this.#recorder?.delete(this.name, success, durationMs);
      }
      if (result instanceof Failed) this.#failed('delete', result.error);
      return result ?? 0;
    };
    const result = attempt(() => layer.deleteMany?.(keys, options));
    if (!(result instanceof Promise)) return done(result);
    this.markLate();
    const deleted = result.then(done);
    for (const key of keys) this.#order.began(key, { value: undefined, expiresAt: undefined }, deleted);
    return deleted;
  }

  /** Empties the layer, after the writes so far and before those that follow. A layer that can't be emptied stays. */
  clear(options: OpOptions | undefined): MaybePromise<Failed | undefined> {
    const { layer, writer } = this;
    if (layer.clear === undefined) return undefined;
    const done = (result: unknown) => {
      this.#doubts.noteCleared(!(result instanceof Failed));
      this.isPlain = !this.#answersLate && this.#doubts.isEmpty;
      if (!(result instanceof Failed)) return undefined;
      this.#failed('clear', result.error);
      return result;
    };
    if (this.#order.isIdle && writer === undefined) {
      const result = attempt(() => layer.clear?.(options));
      if (!(result instanceof Promise)) return done(result);
      this.markLate();
      return this.#order.clear(() => result).then(() => result.then(done));
    }
    let outcome: Failed | undefined;
    const perform = async () => {
      await writer?.discard();
      outcome = done(await attempt(() => layer.clear?.(options)));
    };
    return this.#order.clear(perform).then(() => outcome);
  }

  /** A write-behind was refused by the layer. A newer one that is on its way makes up for it, or fails itself. */
  doubt(key: string): void {
    if (this.writer?.pending(key) === undefined) this.#believe(key, false);
  }

  /** Resolves when the layer has answered the writes so far. */
  idle(): Promise<void> {
    return this.#order.idle();
  }

  async close(): Promise<void> {
    await this.writer?.close();
    await this.layer.close();
  }

  /** What a write that isn't done yet will leave. */
  #change(key: string): Change<V> | undefined {
    const change = this.#order.isIdle ? undefined : this.#order.latest(key);
    if (change !== undefined || this.writer === undefined) return this.#fresh(change);
    const pending = this.writer.pending(key);
    // What is on its way is no better than what the layer has, where a newer write was dropped.
    if (pending === undefined || this.#doubts.has(key)) return undefined;
    if (pending.kind === 'delete') return { value: undefined, expiresAt: undefined };
    return this.#fresh({ value: pending.value, expiresAt: pending.expiresAt });
  }

  #fresh(change: Change<V> | undefined): Change<V> | undefined {
    if (change?.expiresAt === undefined || change.expiresAt > this.#clock()) return change;
    return { value: undefined, expiresAt: undefined };
  }

  #changeTo(value: V, options: SetOptions | undefined): Change<V> {
    const ttlMs = options?.ttlMs;
    return { value, expiresAt: ttlMs === undefined ? undefined : this.#clock() + ttlMs };
  }

  /** A lifetime counts from when the value was given, not from when its turn comes. */
  #leftOf({ expiresAt }: Change<V>, options: SetOptions | undefined): SetOptions | undefined {
    if (expiresAt === undefined) return options;
    return { ttlMs: expiresAt - this.#clock(), graceMs: options?.graceMs, signal: options?.signal };
  }

  #set(key: string, value: V, options: SetOptions | undefined): MaybePromise<Failed | undefined> {
    const start = this.#recorder?.now() ?? 0;
    let result: MaybePromise<unknown>;
    try {
      result =
        this.writer === undefined
          ? toMaybePromise(this.layer.set(key, value, options))
          : this.writer.set(key, value, options);
    } catch (error) {
      return this.#written('set', key, new Failed(error, options?.signal), start);
    }
    if (!(result instanceof Promise)) return this.#written('set', key, result, start);
    return result.then(
      (accepted) => this.#written('set', key, accepted, start),
      (error: unknown) => this.#written('set', key, new Failed(error, options?.signal), start),
    );
  }

  #delete(key: string, options: OpOptions | undefined): MaybePromise<boolean | Failed> {
    const start = this.#recorder?.now() ?? 0;
    // A writer says whether it takes the change, not whether the key is there.
    const done = (result: unknown) =>
      this.#written('delete', key, result, start) ?? (this.writer === undefined && result === true);
    let result: MaybePromise<boolean>;
    try {
      result =
        this.writer === undefined ? toMaybePromise(this.layer.delete(key, options)) : this.writer.delete(key, options);
    } catch (error) {
      return done(new Failed(error, options?.signal));
    }
    if (!(result instanceof Promise)) return done(result);
    return result.then(done, (error: unknown) => done(new Failed(error, options?.signal)));
  }

  /** @param result what the layer said; of a writer, whether it takes the write */
  #written(operation: 'set' | 'delete', key: string, result: unknown, start: number): Failed | undefined {
    let failed = result instanceof Failed ? result : undefined;
    if (this.writer !== undefined && result === false) {
      failed = new Failed(new QueueFullError(this.name, 'too many writes wait already'));
    }
    if (this.#recorder !== undefined) {
      const durationMs = this.#recorder.now() - start;
      if (operation === 'set') this.#recorder.set(this.name, failed === undefined, durationMs);
      else this.#recorder.delete(this.name, failed === undefined, durationMs);
    }
    this.#believe(key, failed === undefined);
    if (failed !== undefined) this.#failed(operation, failed.error);
    return failed;
  }

  #believe(key: string, written: boolean): void {
    if (written && this.#doubts.isEmpty) return;
    this.#doubts.note(key, written);
    this.isPlain = !this.#answersLate && this.#doubts.isEmpty;
  }

  #found(entry: Entry<V> | undefined, start: number): Entry<V> | undefined {
    if (this.#recorder !== undefined) {
      // A look at the clock shows beside a layer that answers at once.
      if (entry?.expiresAt !== undefined) this.#recorder.judgedAt = this.#clock();
      const hit = entry !== undefined && isFresh(entry, this.#recorder.judgedAt);
      this.#recorder.get(this.name, hit, this.#recorder.now() - start);
    }
    return entry;
  }

  #late(
    entry: Promise<Entry<V> | undefined>,
    start: number,
    options: GetOptions | undefined,
  ): Promise<Entry<V> | undefined> {
    this.markLate();
    return entry.then(
      (found) => this.#found(found ?? undefined, start),
      // That nobody wants the answer any more isn't the layer's failure.
      (error: unknown) => (options?.signal?.aborted ? undefined : this.#failed('get', error, options)),
    );
  }

  #failed(operation: string, error: unknown, options?: OpOptions): undefined {
    addLayerFailure(options?.span, this.name, error);
    this.#recorder?.now();
    this.#recorder?.error(this.name, operation, error);
    this.#report(this.name, operation, error);
  }

  async #findEach(keys: readonly string[], options: GetOptions | undefined): Promise<FoundEntries<V>> {
    const found = new FoundEntries<V>(keys.length);
    const late: Promise<void>[] = [];
    this.#recorder?.now();
    for (let i = 0; i < keys.length; i++) {
      const entry = this.find(keys[i] as string, options);
      if (entry instanceof Promise) late.push(entry.then((value) => found.putEntry(i, value)));
      else found.putEntry(i, entry);
    }
    await Promise.all(late);
    return found;
  }

  #readMany(
    read: ReadMany<V>,
    keys: readonly string[],
    options: GetOptions | undefined,
  ): MaybePromise<FoundEntries<V>> {
    const start = this.#recorder?.now() ?? 0;
    const done = (answer: FoundEntries<V> | Map<string, Entry<V>>) => {
      const found = answer instanceof Map ? FoundEntries.of(keys, answer) : answer;
      if (typeof found?.fresh !== 'function') throw new TypeError('what it gave for many keys is no map');
      this.#recordMany(keys.length, found, start);
      return found;
    };
    const failed = (error: unknown) => {
      this.#failed('get', error, options);
      return new FoundEntries<V>(0);
    };
    try {
      const found = toMaybePromise(read.call(this.layer, keys, options));
      if (!(found instanceof Promise)) return done(found);
      this.markLate();
      return found.then(done).catch(failed);
    } catch (error) {
      return failed(error);
    }
  }

  /** Puts what the layer isn't asked for into `all`. The places of the others. */
  #putAside(keys: readonly string[], all: FoundEntries<V>): number[] {
    const places: number[] = [];
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i] as string;
      const change = this.#change(key);
      if (change === undefined) {
        if (!this.#doubts.has(key)) places.push(i);
      } else if (change.value !== undefined) all.putEntry(i, change as Entry<V>);
    }
    return places;
  }

  #recordMany(asked: number, found: FoundEntries<V>, start: number): void {
    if (this.#recorder === undefined) return;
    const durationMs = this.#recorder.now() - start;
    const now = this.#clock();
    for (let i = 0; i < asked; i++) this.#recorder.get(this.name, found.fresh(i, now) !== undefined, durationMs);
  }
}

function entryOf<V>(value: V | undefined): Entry<V> | undefined {
  return value === undefined ? undefined : { value, expiresAt: undefined };
}
