import { checkNumber, InvalidOptionError, MAX_TIMER_MS, type Timers, wholeNumber } from '@granary/resilience';
import type { MetricsCollector } from '@granary/telemetry';

/** A write that the layer refused. */
export interface WriteFailure {
  readonly layer: string;
  readonly key: string;
  readonly operation: 'set' | 'delete';
  readonly error: unknown;
}

export interface AsyncWriterOptions<V> {
  /** Most writes that are accepted and not yet done. Default 10,000. */
  readonly maxEntries?: number | undefined;
  /** Most bytes of values that are accepted and not yet written; needs `sizeOf`. Default: no bound but that of `maxEntries`. */
  readonly maxBytes?: number | undefined;
  /** Bytes of a value. What it can't measure (it throws, or gives no number of at least 0) is dropped. */
  readonly sizeOf?: ((value: V, key: string) => number) | undefined;
  /** Most writes at the same time, each to another key. Default 4. */
  readonly workers?: number | undefined;
  /** How long a caller waits for room before the write is dropped, in milliseconds. Default 100; with 0 nobody waits. */
  readonly maxWaitMs?: number | undefined;
  /** Most callers who wait for room; who comes then is dropped at once. Default 1000. */
  readonly maxWaiting?: number | undefined;
  /** How long `close` waits for what was accepted, in milliseconds. Default 5000. */
  readonly closeTimeoutMs?: number | undefined;
  /** Is told depth, drops and writes. Default: nobody. */
  readonly metrics?: MetricsCollector | undefined;
  /** Is told each write that the layer refused, for a log. */
  readonly onFailure?: ((failure: WriteFailure) => unknown) | undefined;
  /** Milliseconds since 1970, for lifetimes. Default `Date.now`. */
  readonly clock?: (() => number) | undefined;
  /** Default: timers that all timeouts share, at most 10 ms late. */
  readonly timers?: Timers | undefined;
}

export interface AsyncWriterStats {
  /** Writes that are accepted and not yet done, those under way among them. */
  readonly queueDepth: number;
  /** Bytes of their values; 0 without `sizeOf`. */
  readonly queuedBytes: number;
  /** Callers who wait for room. */
  readonly waiting: number;
  /** Writes that had no room, or that `close` gave up. */
  readonly droppedWrites: number;
  /** Writes that were never made, because a newer one to the same key, or `discard`, came first. */
  readonly supersededWrites: number;
  /** Writes and deletes that the layer has answered, failures among them. */
  readonly totalWrites: number;
  readonly failedWrites: number;
}

/** @throws InvalidOptionError that names the option */
export function checkWriterOptions<V>(options: AsyncWriterOptions<V>): void {
  count('maxEntries', options.maxEntries, 1);
  count('workers', options.workers, 1);
  count('maxWaiting', options.maxWaiting, 0);
  duration('maxWaitMs', options.maxWaitMs, 0);
  duration('closeTimeoutMs', options.closeTimeoutMs, 1);
  if (options.maxBytes === undefined) return;
  count('maxBytes', options.maxBytes, 1);
  if (options.sizeOf === undefined)
    throw new InvalidOptionError('sizeOf', 'a function where there is maxBytes', undefined);
}

function count(option: string, value: number | undefined, least: number): void {
  if (value !== undefined) wholeNumber(option, value, least);
}

function duration(option: string, value: number | undefined, least: number): void {
  if (value === undefined) return;
  checkNumber(
    option,
    value,
    value >= least && value <= MAX_TIMER_MS,
    `a number of milliseconds from ${least} to 2^31 - 1`,
  );
}
