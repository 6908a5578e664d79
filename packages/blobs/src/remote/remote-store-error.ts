import { StoreError } from '../errors.js';

const BRAND: unique symbol = Symbol.for('granary.remote-store-error') as never;

/**
 * What is wrong between us and a store on another machine.
 *
 * - `unavailable`: it can't be reached, broke off, or says that it can't work now
 * - `timeout`: it didn't answer in time
 * - `refused`: it answers, but not to us: credentials, permissions, a read-only store, a method or digest function that
 *   it doesn't have
 * - `invalid`: it answered what the protocol doesn't allow, or says so of our request
 * - `exhausted`: it (or our own bound on what waits for it) has no room or no turn for this
 */
export type RemoteFailure = 'unavailable' | 'timeout' | 'refused' | 'invalid' | 'exhausted';

const RETRYABLE: Readonly<Record<RemoteFailure, boolean>> = {
  unavailable: true,
  timeout: true,
  refused: false,
  invalid: false,
  exhausted: true,
};

export interface RemoteStoreErrorOptions extends ErrorOptions {
  /** Whether the same call may succeed later. Default: as the kind says (`unavailable`, `timeout`, `exhausted`). */
  readonly retryable?: boolean | undefined;
  /** Whether no call will ever write this: it is too large, or named in a way that the other side doesn't know. */
  readonly unfit?: boolean | undefined;
  /** Whether the other side will not have what it was sent, which says nothing about how well it is. */
  readonly rejected?: boolean | undefined;
  /** How long the other side asked us to wait before the next try. */
  readonly retryAfterMs?: number | undefined;
}

/**
 * A store on another machine failed: what every protocol's client throws. A blob that isn't there is no error, and a
 * caller's own abort is thrown as the signal's reason. Messages never hold credentials.
 */
export class RemoteStoreError extends StoreError {
  readonly kind: RemoteFailure;
  /** Name of the tier. */
  readonly tier: string;
  readonly retryable: boolean;
  readonly unfit: boolean;
  readonly rejected: boolean;
  readonly retryAfterMs: number | undefined;
  readonly [BRAND] = true;

  /** @param reason what failed, on what, and what the other side said */
  constructor(tier: string, kind: RemoteFailure, reason: string, options?: RemoteStoreErrorOptions) {
    super('TIER_UNAVAILABLE', `${tier}: ${reason}`, options);
    this.kind = kind;
    this.tier = tier;
    this.retryable = options?.retryable ?? RETRYABLE[kind];
    this.unfit = options?.unfit ?? false;
    this.rejected = options?.rejected ?? false;
    this.retryAfterMs = options?.retryAfterMs;
  }
}

/** Whether this is a {@link RemoteStoreError}, even one of another copy of this package. */
export function isRemoteStoreError(error: unknown): error is RemoteStoreError {
  return typeof error === 'object' && error !== null && BRAND in error;
}
