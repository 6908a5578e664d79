import { toMaybePromise } from '@granary/resilience';
import { LayerUnavailableError } from '../errors.js';
import type { InvalidationBus, InvalidationListener, InvalidationMessage } from '../invalidation/invalidation-bus.js';
import type { TagDeletions } from '../invalidation/tag-deletions.js';
import type { TagIndex } from '../invalidation/tags.js';
import type { MaybePromise, OpOptions } from '../layer.js';
import { Background } from './background.js';
import type { Load } from './loads/load.js';
import type { ChainSetOptions } from './options/chain-options.js';
import { checkLifetime } from './options/check-options.js';
import type { Lifetimes } from './options/lifetimes.js';
import { Failed, isRefusal } from './storeys/outcomes.js';
import type { ReportFailure, Storey } from './storeys/storey.js';
import { Turns } from './turns.js';

export interface WritesOptions<V> {
  readonly storeys: readonly Storey<V>[];
  readonly lifetimes: Lifetimes;
  readonly tags: TagIndex;
  readonly deletions: TagDeletions;
  readonly bus: InvalidationBus | undefined;
  /** The chain's own listener, which isn't told of what the chain itself changed. */
  readonly listener: InvalidationListener;
  /** Makes worthless what is being read of a key, or of all. */
  readonly supersede: (key: string) => void;
  readonly supersedeAll: () => void;
  /** Makes worthless what is being loaded with a tag. */
  readonly supersedeTag: (tag: string) => void;
  readonly clock: () => number;
  readonly report: ReportFailure;
}

interface Deleted {
  /** How many keys the layer with the most of them had. */
  readonly count: number;
  /** Whether no layer failed. */
  readonly everywhere: boolean;
}

/**
 * Writes to all layers at once. A layer that fails doesn't fail the write, and isn't believed for the key until a write
 * to it succeeds; only when every layer fails, or one refuses the value as invalid, the write does. Others are told when the layers have answered.
 */
export class Writes<V> {
  readonly #options: WritesOptions<V>;
  readonly #storeys: readonly Storey<V>[];
  /** Of writes that wait for their tags. */
  readonly #turns = new Turns();
  /** Writes that have more to do when a layer has answered, or haven't come to one yet. As many as there are callers. */
  readonly #inSteps = new Background(Number.POSITIVE_INFINITY);

  constructor(options: WritesOptions<V>) {
    this.#options = options;
    this.#storeys = options.storeys;
  }

  set(key: string, value: V, options: ChainSetOptions | undefined): MaybePromise<void> {
    if (options !== undefined) checkLifetime(options);
    const ttlMs = this.#options.lifetimes.ofWrite(options?.ttlMs);
    const tags = options?.tags;
    if (tags === undefined || tags.length === 0) {
      this.#turns.made(key);
      return this.#put(key, value, ttlMs, options);
    }
    // What is read before the tags are known is old all the same.
    this.#options.supersede(key);
    return this.#taggedInTurn([key], tags, ttlMs, options, ([current]) => {
      return current === undefined ? undefined : this.#put(key, value, ttlMs, options);
    });
  }

  setMany(values: ReadonlyMap<string, V>, options: ChainSetOptions | undefined): MaybePromise<void> {
    if (options !== undefined) checkLifetime(options);
    const ttlMs = this.#options.lifetimes.ofWrite(options?.ttlMs);
    const tags = options?.tags;
    if (tags === undefined || tags.length === 0) {
      for (const key of values.keys()) this.#turns.made(key);
      return this.#putMany(values, ttlMs, options);
    }
    return this.#taggedInTurn([...values.keys()], tags, ttlMs, options, (current) => {
      const left = new Map(current.map((key) => [key, values.get(key) as V]));
      return left.size === 0 ? undefined : this.#putMany(left, ttlMs, options);
    });
  }

  delete(key: string, options: OpOptions | undefined): MaybePromise<boolean> {
    this.#turns.made(key);
    return this.#delete(key, options);
  }

  async deleteMany(keys: readonly string[], options: OpOptions | undefined): Promise<number> {
    for (const key of keys) this.#turns.made(key);
    const { count } = await this.#deleteAndTell(keys, options);
    return count;
  }

  clear(options: OpOptions | undefined): Promise<void> {
    return this.#toTheEnd(this.#clear(options));
  }

  /** How many keys were deleted. */
  deleteByTag(tag: string, options: OpOptions | undefined): Promise<number> {
    return this.#toTheEnd(this.#deleteByTag(tag, options));
  }

  /** Resolves when all writes have come to the layers that have to. */
  idle(): Promise<void> {
    return this.#inSteps.idle();
  }

  /** Writes a loaded value unless the key was written, or one of its tags deleted, since the load began. */
  store(load: Load<V>, value: V): MaybePromise<unknown> {
    const { options, ticket, key } = load;
    const { lifetimes, deletions } = this.#options;
    // The loader may have computed it from what it was told, and be wrong.
    checkLifetime({ ttlMs: load.ttlMs });
    const ttlMs = lifetimes.ofWrite(load.ttlMs);
    // The load's signal is its callers', and they have what they wanted.
    const written = { graceMs: options.graceMs };
    const put = () => (ticket.current ? this.#put(key, value, ttlMs, written) : undefined);
    const { tags } = options;
    if (tags === undefined || tags.length === 0) return put();
    if (deletions.since(load.mark, tags)) return undefined;
    return this.#tagged([key], tags, ttlMs, load.mark, written, put);
  }

  /** Deletes what was there before a load that found nothing. A write that waits for its tags is newer than that. */
  forget(key: string): MaybePromise<unknown> {
    return this.#delete(key, undefined);
  }

  /** Somebody else changed something: copies in the layers that only this process has are dropped. */
  async invalidate(message: InvalidationMessage): Promise<void> {
    const { deletions, tags, supersede, supersedeAll } = this.#options;
    const own = this.#storeys.filter((storey) => !storey.shared);
    if (message.type === 'keys') {
      for (const key of message.keys) supersede(key);
      await this.#deleteFrom(own, message.keys, undefined);
    } else if (message.type === 'tag') {
      this.#noteDeleted(message.tag);
      if (!tags.shared) await this.#deleteTagged(own, message.tag, undefined, false);
    } else {
      deletions.recordAll();
      supersedeAll();
      await Promise.all(own.map((storey) => storey.clear(undefined)));
      if (message.type === 'clear' && !tags.shared) await tags.clear();
    }
  }

  #put(key: string, value: V, ttlMs: number | undefined, options: ChainSetOptions | undefined): MaybePromise<void> {
    this.#options.supersede(key);
    let failures = 0;
    let late: MaybePromise<Failed | undefined>[] | undefined;
    for (let i = 0; i < this.#storeys.length; i++) {
      const storey = this.#storeys[i] as Storey<V>;
      const result = storey.set(key, value, this.#lifetime(storey, ttlMs, options));
      if (result === undefined) continue;
      failures++;
      late ??= [];
      late.push(result);
    }
    if (late === undefined && this.#options.bus === undefined) return undefined;
    // Layers that have answered need no room among those that are waited for.
    const written = this.#storeys.length - failures;
    return this.#finish(late ?? [], 'set', options, () => this.#tellKeys([key]), written);
  }

  #delete(key: string, options: OpOptions | undefined): MaybePromise<boolean> {
    this.#options.supersede(key);
    const results = this.#storeys.map((storey) => storey.delete(key, options));
    let found = false;
    const note = (result: boolean | Failed) => {
      found ||= result === true;
      return result;
    };
    const noted = results.map((result) => (result instanceof Promise ? result.then(note) : note(result)));
    const done = this.#finish(noted, 'delete', options, () => this.#tellKeys([key]));
    return done instanceof Promise ? done.then(() => found) : found;
  }

  #putMany(
    values: ReadonlyMap<string, V>,
    ttlMs: number | undefined,
    options: ChainSetOptions | undefined,
  ): MaybePromise<void> {
    for (const key of values.keys()) this.#options.supersede(key);
    const results = this.#storeys.map((storey) => storey.setMany(values, this.#lifetime(storey, ttlMs, options)));
    return this.#finish(results, 'set', options, () => this.#tellKeys([...values.keys()]));
  }

  #lifetime(storey: Storey<V>, ttlMs: number | undefined, options: ChainSetOptions | undefined) {
    return this.#options.lifetimes.inLayer(storey, ttlMs, options?.graceMs, undefined, options?.signal);
  }

  /** {@link #tagged} for callers, of whose later writes some may not have to wait. `put` is told which keys to write. */
  #taggedInTurn(
    keys: readonly string[],
    tags: readonly string[],
    ttlMs: number | undefined,
    options: ChainSetOptions | undefined,
    put: (current: readonly string[]) => MaybePromise<unknown>,
  ): MaybePromise<void> {
    const turn = this.#turns.wait(keys);
    const mark = this.#options.deletions.mark();
    const takeTurn = () => put(keys.filter((key) => this.#turns.take(key, turn)));
    const giveBack = () => this.#turns.giveBack(keys);
    let done: MaybePromise<void>;
    try {
      done = this.#tagged(keys, tags, ttlMs, mark, options, takeTurn);
    } catch (error) {
      giveBack();
      throw error;
    }
    if (done instanceof Promise) return done.finally(giveBack);
    giveBack();
  }

  /** Adds the tags first, and deletes what would be found by no tag. */
  #tagged(
    keys: readonly string[],
    tags: readonly string[],
    ttlMs: number | undefined,
    mark: number,
    options: ChainSetOptions | undefined,
    put: () => MaybePromise<unknown>,
  ): MaybePromise<void> {
    const longestMs = this.#options.lifetimes.longest(ttlMs, options?.graceMs);
    const expiresAt = longestMs === Number.POSITIVE_INFINITY ? undefined : this.#options.clock() + longestMs;
    const after = async (forgotten: readonly string[], written: MaybePromise<unknown>) => {
      await written;
      const old = this.#options.deletions.since(mark, tags) ? [...forgotten, ...keys] : forgotten;
      if (old.length > 0) await this.#deleteAndTell(old, undefined);
    };
    const then = (forgotten: readonly string[]): MaybePromise<void> => {
      const written = put();
      if (written instanceof Promise || forgotten.length > 0 || this.#options.deletions.since(mark, tags)) {
        return after(forgotten, written);
      }
      return undefined;
    };
    const added = toMaybePromise(this.#options.tags.add(keys, tags, { expiresAt, signal: options?.signal }));
    const done = added instanceof Promise ? added.then(then) : then(added);
    return done instanceof Promise ? this.#toTheEnd(done) : done;
  }

  /** Has {@link idle} wait for it. */
  #toTheEnd<T>(write: Promise<T>): Promise<T> {
    this.#inSteps.add(write);
    return write;
  }

  async #clear(options: OpOptions | undefined): Promise<void> {
    const { tags, deletions } = this.#options;
    this.#turns.madeAll();
    this.#options.supersedeAll();
    deletions.recordAll();
    const results = await Promise.all(this.#storeys.map((storey) => storey.clear(options)));
    const failed = results.find((result) => result instanceof Failed);
    try {
      // What a layer still has is to be found by its tags.
      if (failed === undefined) await tags.clear(options);
    } finally {
      await this.#tell({ type: 'clear' });
    }
    options?.signal?.throwIfAborted();
    if (failed !== undefined) throw this.#unavailable('clear', results);
  }

  async #deleteByTag(tag: string, options: OpOptions | undefined): Promise<number> {
    this.#noteDeleted(tag);
    await this.#tell({ type: 'tag', tag });
    return this.#deleteTagged(this.#storeys, tag, options, true);
  }

  async #deleteAndTell(keys: readonly string[], options: OpOptions | undefined): Promise<Deleted> {
    try {
      return await this.#deleteFrom(this.#storeys, keys, options);
    } finally {
      // Also where it failed or nobody waits any more: a layer that others read may have done it.
      await this.#tellKeys(keys);
    }
  }

  async #deleteFrom(
    storeys: readonly Storey<V>[],
    keys: readonly string[],
    options: OpOptions | undefined,
  ): Promise<Deleted> {
    for (const key of keys) this.#options.supersede(key);
    const results = await Promise.all(storeys.map((storey) => storey.deleteMany(keys, options)));
    options?.signal?.throwIfAborted();
    if (storeys.length > 0 && results.every((result) => result instanceof Failed)) {
      throw this.#unavailable('delete', results);
    }
    return {
      count: Math.max(0, ...results.map((result) => (result instanceof Failed ? 0 : result))),
      everywhere: !results.some((result) => result instanceof Failed),
    };
  }

  /** From now on, so that who asks after the deletion doesn't join a load that began before it. */
  #noteDeleted(tag: string): void {
    this.#options.deletions.record(tag);
    this.#options.supersedeTag(tag);
  }

  async #deleteTagged(
    storeys: readonly Storey<V>[],
    tag: string,
    options: OpOptions | undefined,
    tell: boolean,
  ): Promise<number> {
    let deleted = 0;
    for await (const batch of this.#options.tags.keysOf(tag, options)) {
      const { count, everywhere } = await (tell
        ? this.#deleteAndTell(batch.keys, options)
        : this.#deleteFrom(storeys, batch.keys, options));
      deleted += count;
      // A layer that failed may still have them, for others too: then the next deletion must find them again.
      if (everywhere) await batch.forget(options);
    }
    return deleted;
  }

  /** Waits for the layers, and fails only when all of them did. */
  #finish(
    results: readonly MaybePromise<unknown>[],
    operation: string,
    options: OpOptions | undefined,
    tell: () => MaybePromise<void>,
    written = 0,
  ): MaybePromise<void> {
    const done = (settled: readonly unknown[]): MaybePromise<void> => {
      const told = tell();
      const failed = settled.filter((result) => result instanceof Failed);
      const check = () => {
        if (failed.length > 0) options?.signal?.throwIfAborted();
        const refused = failed.find(({ error }) => isRefusal(error));
        if (refused !== undefined) throw refused.error;
        if (failed.length > 0 && failed.length === settled.length && written === 0) {
          throw this.#unavailable(operation, settled);
        }
      };
      return told instanceof Promise ? told.then(check) : check();
    };
    return results.some((result) => result instanceof Promise) ? Promise.all(results).then(done) : done(results);
  }

  #unavailable(operation: string, results: readonly unknown[]): unknown {
    const errors = results.filter((result) => result instanceof Failed).map(({ error }) => error);
    const [first] = errors;
    if (results.length === 1) return first;
    const cause = errors.length === 1 ? first : new AggregateError(errors);
    return new LayerUnavailableError('chain', `${operation} failed in ${errors.length} layers`, { cause });
  }

  #tellKeys(keys: readonly string[]): MaybePromise<void> {
    if (this.#options.bus !== undefined && keys.length > 0) return this.#tell({ type: 'keys', keys });
  }

  /** What can't be sent is told as lost later, by the bus. */
  #tell(message: InvalidationMessage): MaybePromise<void> {
    const { bus, listener, report } = this.#options;
    if (bus === undefined) return undefined;
    try {
      const sent = toMaybePromise(bus.publish(message, listener));
      return sent instanceof Promise ? sent.catch((error: unknown) => report('bus', 'publish', error)) : undefined;
    } catch (error) {
      report('bus', 'publish', error);
    }
  }
}
