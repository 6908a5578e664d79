const BRAND: unique symbol = Symbol.for('granary.error') as never;

/** Why a cache refused or failed. */
export type CacheErrorCode =
  | 'KEY_NOT_FOUND' // asked for with `required`, and nowhere to be found
  | 'INVALID_KEY' // empty, too long, or with control characters
  | 'LAYER_UNAVAILABLE' // the layer failed, or is being spared
  | 'CACHE_TIMEOUT' // a layer or loader took too long
  | 'QUEUE_FULL' // so much waits to be written already
  | 'INVALID_VALUE' // a validated layer refused it
  | 'CACHE_CLOSED'; // used after close

/** Base of every error that the cache throws on purpose. What a loader throws passes through unchanged. */
export class CacheError extends Error {
  readonly code: CacheErrorCode;
  readonly [BRAND] = true;

  constructor(code: CacheErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** There is no value, where the caller said that there must be one. */
export class KeyNotFoundError extends CacheError {
  readonly key: string;

  constructor(key: string) {
    super('KEY_NOT_FOUND', `there is no value for ${key}`);
    this.key = key;
  }
}

/** Keys have 1 to 250 characters, none of them a control character. */
export class InvalidKeyError extends CacheError {
  constructor(message: string) {
    super('INVALID_KEY', message);
  }
}

/** A layer failed or is being spared because it failed too often; `cause` says why. */
export class LayerUnavailableError extends CacheError {
  readonly layer: string;

  constructor(layer: string, message: string, options?: ErrorOptions) {
    super('LAYER_UNAVAILABLE', `${layer}: ${message}`, options);
    this.layer = layer;
  }
}

/** A layer or a loader took longer than it may. */
export class CacheTimeoutError extends CacheError {
  readonly timeoutMs: number;

  constructor(what: string, timeoutMs: number, options?: ErrorOptions) {
    super('CACHE_TIMEOUT', `${what} gave no answer within ${timeoutMs} ms`, options);
    this.timeoutMs = timeoutMs;
  }
}

/** So much waits to be written to a layer already that this was turned away. */
export class QueueFullError extends CacheError {
  constructor(layer: string, message: string) {
    super('QUEUE_FULL', `${layer}: ${message}`);
  }
}

/** A validated layer was given, or gave, a value of another type, size or shape than it may have. */
export class InvalidValueError extends CacheError {
  constructor(message: string, options?: ErrorOptions) {
    super('INVALID_VALUE', message, options);
  }
}

export class CacheClosedError extends CacheError {
  constructor(what: string) {
    super('CACHE_CLOSED', `${what} is closed`);
  }
}

function hasCode(error: unknown, code: string): boolean {
  return typeof error === 'object' && error !== null && BRAND in error && 'code' in error && error.code === code;
}

/** Whether this is a {@link KeyNotFoundError}, even one of another copy of this package. */
export const isNotFound = (error: unknown): error is KeyNotFoundError => hasCode(error, 'KEY_NOT_FOUND');

/** Whether something took too long: a {@link CacheTimeoutError}, or a `TimeoutError` of the policies. */
export const isTimeout = (error: unknown): boolean => hasCode(error, 'CACHE_TIMEOUT') || hasCode(error, 'TIMEOUT');

/** Whether a layer was spared because its circuit is open, as the error itself or as its cause. */
export const isCircuitOpen = (error: unknown): boolean =>
  hasCode(error, 'CIRCUIT_OPEN') ||
  (hasCode(error, 'LAYER_UNAVAILABLE') && hasCode((error as Error).cause, 'CIRCUIT_OPEN'));
