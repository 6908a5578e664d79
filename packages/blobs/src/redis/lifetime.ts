import type { KeyCommand } from './command-batches.js';

/** How long Redis keeps what is stored. */
export interface Lifetime {
  /** Milliseconds; undefined for as long as Redis has room. */
  readonly ttlMs: number | undefined;
  /** Whether a use makes it begin anew. */
  readonly refresh: boolean;
}

/** Stores a value. */
export function storing(key: string, value: Buffer, { ttlMs }: Lifetime): KeyCommand {
  return ttlMs === undefined ? ['set', key, value] : ['set', key, value, 'PX', ttlMs];
}

/** Answers 1 where the key is there, and counts as a use of it where uses are counted. */
export function using(key: string, { ttlMs, refresh }: Lifetime): KeyCommand {
  return ttlMs !== undefined && refresh ? ['pexpire', key, ttlMs] : ['exists', key];
}
