const BRAND: unique symbol = Symbol.for('granary.store-error') as never;

/** Why a store refused or failed. Edges choose their protocol's status by this code, and only there. */
export type StoreErrorCode =
  | 'INVALID_DIGEST' // the digest is malformed
  | 'DIGEST_MISMATCH' // the bytes are not those that the digest names
  | 'BLOB_TOO_LARGE' // over the limit for one blob
  | 'NO_SPACE' // the store is full and the janitor could not keep up
  | 'BLOB_DAMAGED' // found while reading: what lies in the store is not what the digest names
  | 'STORE_LOCKED' // another process has the folder
  | 'STORE_CLOSED' // used after close
  | 'STORE_FAILED' // the operating system or the index failed
  | 'TIER_UNAVAILABLE' // a store on another machine doesn't answer, refuses, or is given a rest
  | 'LOOP'; // the request came back to a server that it has passed

/** Base of every error that a store throws on purpose. */
export class StoreError extends Error {
  readonly code: StoreErrorCode;
  readonly [BRAND] = true;

  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** Whether this is a {@link StoreError}, even one of another copy of this package. */
export function isStoreError(error: unknown): error is StoreError {
  return typeof error === 'object' && error !== null && BRAND in error;
}

export class InvalidDigestError extends StoreError {
  constructor(message: string) {
    super('INVALID_DIGEST', message);
  }
}

/** The content has another size or hash than the digest that it was sent under. Nothing was stored. */
export class DigestMismatchError extends StoreError {
  constructor(message: string) {
    super('DIGEST_MISMATCH', message);
  }
}

export class BlobTooLargeError extends StoreError {
  constructor(size: number, maxBytes: number) {
    super('BLOB_TOO_LARGE', `a blob of ${size} bytes is over the limit of ${maxBytes} bytes`);
  }
}

export class NoSpaceError extends StoreError {
  constructor(message: string, options?: ErrorOptions) {
    super('NO_SPACE', message, options);
  }
}

/** A stored blob turned out damaged; it has been put aside and counts as missing from now on. */
export class BlobDamagedError extends StoreError {
  constructor(message: string, options?: ErrorOptions) {
    super('BLOB_DAMAGED', message, options);
  }
}

export class StoreLockedError extends StoreError {
  constructor(directory: string, holder: string) {
    const what = 'stop that one, or give each server a folder of its own (storage.dir)';
    super('STORE_LOCKED', `${directory} is in use by ${holder}; ${what}`);
  }
}

export class StoreClosedError extends StoreError {
  constructor() {
    super('STORE_CLOSED', 'the store is closed');
  }
}

/** A store on another machine that was needed didn't answer in time, refused, or is given a rest by its breaker. */
export class TierUnavailableError extends StoreError {
  constructor(tier: string, reason: string, options?: ErrorOptions) {
    super('TIER_UNAVAILABLE', `the tier ${tier} is not available: ${reason}`, options);
  }
}

/** Servers name each other as their tiers, in a circle. */
export class LoopError extends StoreError {
  constructor(serverId: string) {
    super('LOOP', `servers are tiers of each other: the request has passed ${serverId} before`);
  }
}
