import { checkNumber } from '@granary/resilience';
import type { Entry, SetOptions } from '../layer.js';

/** Two moments of a value, in milliseconds since 1970; `Infinity` for never. */
export interface Lifetime {
  /** From when on it is stale. */
  readonly expiresAt: number;
  /** From when on it isn't even given as stale: the end of its grace. */
  readonly goneAt: number;
}

/** What a layer takes when a `set` says nothing of it. */
export interface LifetimeOptions {
  /** How long values are fresh, in milliseconds. Default: for ever. */
  readonly ttlMs?: number | undefined;
  /** How much longer they are given as stale, in milliseconds. Default 0. */
  readonly graceMs?: number | undefined;
}

/** @throws InvalidOptionError when a lifetime is negative or no number */
export function checkLifetimes({ ttlMs = 0, graceMs = 0 }: LifetimeOptions): void {
  checkNumber('ttlMs', ttlMs, ttlMs >= 0, 'a number of at least 0');
  checkNumber('graceMs', graceMs, graceMs >= 0, 'a number of at least 0');
}

/**
 * When a value that is written now will be stale and gone. A lifetime of 0 or less is over at once.
 *
 * @throws InvalidOptionError when one that was given is no number
 */
export function lifetimeFrom(
  now: number,
  options: SetOptions | undefined,
  { ttlMs: defaultTtlMs = Number.POSITIVE_INFINITY, graceMs: defaultGraceMs = 0 }: LifetimeOptions,
): Lifetime {
  const expiresAt = now + (options?.ttlMs ?? defaultTtlMs);
  const goneAt = expiresAt + Math.max(0, options?.graceMs ?? defaultGraceMs);
  // It would be kept for ever, and be stale or not by how a comparison is written.
  if (Number.isNaN(goneAt)) {
    checkNumber('graceMs', options?.graceMs ?? 0, !Number.isNaN(options?.graceMs), 'a number');
    checkNumber('ttlMs', options?.ttlMs ?? 0, false, 'a number');
  }
  return { expiresAt, goneAt };
}

/** The value as an entry. */
export function entryOf<V>(value: V, expiresAt: number): Entry<V> {
  return { value, expiresAt: expiresAt === Number.POSITIVE_INFINITY ? undefined : expiresAt };
}

export function isFresh(entry: Entry<unknown>, now: number): boolean {
  return entry.expiresAt === undefined || entry.expiresAt > now;
}
