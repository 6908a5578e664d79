import type { Span } from '@granary/telemetry';
import { checkTags } from '../../invalidation/tags.js';
import type { Entry, OpOptions } from '../../layer.js';
import { checkFraction, checkLifetime, checkMs } from './check-options.js';

/** What a loader is told. */
export interface LoadContext<V> {
  readonly key: string;
  /** Aborted when the last caller has gone, at the hard timeout, and when the chain is closed. Made when it is read. */
  readonly signal: AbortSignal;
  /** What there was before: for a conditional request, or to answer it again. */
  readonly stale: Entry<V> | undefined;
  /** The span of this load, for what it calls; undefined where the chain has no tracer. Active while a recorded load runs. */
  readonly span: Span | undefined;
  /**
   * How long the value will be fresh, in milliseconds: what the caller said, if anything. A loader that knows better by
   * what it finds may change it.
   */
  ttlMs: number | undefined;
}

/** Gets a value from where it really is; `undefined` when there is none. What it throws reaches the callers. */
export type Loader<V, R extends V | undefined = V | undefined> = (context: LoadContext<V>) => R | PromiseLike<R>;

/** How values are loaded: for all loads of a chain, or for one. */
export interface LoadDefaults {
  /**
   * How long callers wait for the loader, in milliseconds, when there is something stale: then they are answered that,
   * and the load goes on in the background. Default: as long as it takes.
   */
  readonly softTimeoutMs?: number | undefined;
  /**
   * How long a load may take, in milliseconds: then its signal is aborted, and callers get what is stale or a
   * `CacheTimeoutError`. Default: as long as it takes.
   */
  readonly hardTimeoutMs?: number | undefined;
  /** Answers what is stale at once and loads in the background, as a soft timeout of 0 does. Default false. */
  readonly staleWhileRevalidate?: boolean | undefined;
  /**
   * Loads in the background when a hit has less than this fraction of its lifetime left (0 to 1). Default 0: never. Hits
   * then cost a look at their lifetime.
   */
  readonly earlyRefresh?: number | undefined;
  /**
   * How long a loader's error is remembered, in milliseconds: meanwhile callers get the same error, or what is stale, and
   * the loader rests. In the memory of this process, for at most 1000 keys. Default: not at all.
   */
  readonly errorTtlMs?: number | undefined;
}

/** What the loaded value is stored with. Where callers share a load, the options of the first one count. */
export interface LoadOptions extends LoadDefaults, OpOptions {
  /** How long the loaded value is fresh, in milliseconds. Default: the chain's. */
  readonly ttlMs?: number | undefined;
  /** How much longer it may be answered when nothing newer is to be had, in milliseconds. Default: the chain's. */
  readonly graceMs?: number | undefined;
  readonly tags?: readonly string[] | undefined;
  /** Rejects with a `KeyNotFoundError` when the loader has nothing. Default false. */
  readonly required?: boolean | undefined;
}

/** What a load is told, and where it isn't (or as undefined) what the chain was. */
export function withDefaults(given: LoadOptions, defaults: LoadDefaults): LoadOptions {
  return {
    ...given,
    softTimeoutMs: given.softTimeoutMs ?? defaults.softTimeoutMs,
    hardTimeoutMs: given.hardTimeoutMs ?? defaults.hardTimeoutMs,
    staleWhileRevalidate: given.staleWhileRevalidate ?? defaults.staleWhileRevalidate,
    earlyRefresh: given.earlyRefresh ?? defaults.earlyRefresh,
    errorTtlMs: given.errorTtlMs ?? defaults.errorTtlMs,
  };
}

/** @throws InvalidOptionError that names the option */
export function checkLoadDefaults(options: LoadDefaults): void {
  checkMs('softTimeoutMs', options.softTimeoutMs);
  checkMs('hardTimeoutMs', options.hardTimeoutMs, 'no zero');
  checkMs('errorTtlMs', options.errorTtlMs);
  checkFraction('earlyRefresh', options.earlyRefresh);
}

/** @throws InvalidOptionError that names the option, InvalidKeyError for a tag */
export function checkLoad(given: LoadOptions): void {
  checkLifetime(given);
  checkLoadDefaults(given);
  if (given.tags !== undefined) checkTags(given.tags);
}
