import type { Span } from '@granary/telemetry';
import type { FoundEntries } from './found-entries.js';

/** A value now, or a promise of it: what is in memory is answered without the cost of a promise. */
export type MaybePromise<T> = T | Promise<T>;

export interface OpOptions {
  /** Ends the work when aborted; the operation then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** The span that the work is part of. Default: the active one of whoever traces. */
  readonly span?: Span | undefined;
}

export type GetOptions = OpOptions;

export interface SetOptions extends OpOptions {
  /** How long the value is fresh, in milliseconds. Default: what the layer was made with, or for ever. */
  readonly ttlMs?: number | undefined;
  /** How much longer {@link Layer.getEntry} still gives it, marked by its `expiresAt`, for when nothing newer is to be had. Default 0. */
  readonly graceMs?: number | undefined;
}

/** A value with its lifetime. */
export interface Entry<V> {
  readonly value: V;
  /** When it stops being fresh, in milliseconds since 1970; undefined for never. */
  readonly expiresAt: number | undefined;
  /** When it was written, in milliseconds since 1970, where the layer knows. */
  readonly writtenAt?: number | undefined;
}

/**
 * Values by key: one storey of a {@link Chain}. `undefined` means absent and is never a value; `null`, `0`, `''` and
 * `false` are values. A layer never answers a value that is no longer fresh, except by {@link getEntry}.
 *
 * The methods with a question mark are what a layer can do better than the chain could for it; a chain does without.
 */
export interface Layer<V> {
  /** Short and stable ("L1", "redis"): a metric label. */
  readonly name: string;
  /**
   * Whether other processes read and write the same values, as in Redis. Then what another process changed is changed
   * here too, and its news concern the layers above only. Default false.
   */
  readonly shared?: boolean;
  /**
   * How long it keeps what is written without a lifetime or a grace, as {@link SetOptions} say it. A chain remembers the
   * tags of values for so long. Default: for ever, and no grace.
   */
  readonly lifetime?: Pick<SetOptions, 'ttlMs' | 'graceMs'> | undefined;
  get(key: string, options?: GetOptions): MaybePromise<V | undefined>;
  set(key: string, value: V, options?: SetOptions): MaybePromise<void>;
  /** Whether it was there, stale or not. */
  delete(key: string, options?: OpOptions): MaybePromise<boolean>;
  /** May be called twice; resolves when everything is given back. */
  close(): MaybePromise<void>;

  /** A value that is fresh or within its grace, with its lifetime, so that layers above keep it no longer than this one. */
  getEntry?(key: string, options?: GetOptions): MaybePromise<Entry<V> | undefined>;
  /** The entries that are here (as {@link getEntry} gives them), by key, in a map that is the caller's from now on. */
  getMany?(keys: readonly string[], options?: GetOptions): MaybePromise<Map<string, Entry<V>>>;
  /** What {@link getMany} gives, in the order of the keys, which costs less. Chains prefer it; who changes one changes both. */
  readMany?(keys: readonly string[], options?: GetOptions): MaybePromise<FoundEntries<V>>;
  setMany?(values: ReadonlyMap<string, V>, options?: SetOptions): MaybePromise<void>;
  /** How many were there. */
  deleteMany?(keys: readonly string[], options?: OpOptions): MaybePromise<number>;
  clear?(options?: OpOptions): MaybePromise<void>;
  /** Removes every key that begins with these characters. */
  clearPrefix?(prefix: string, options?: OpOptions): MaybePromise<void>;
}
