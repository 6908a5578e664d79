const BRAND: unique symbol = Symbol.for('granary.error') as never;

/** A feed can't be asked now, and what was asked for was never seen before: not the same as that it isn't there. */
export class FeedUnavailableError extends Error {
  readonly code = 'FEED_UNAVAILABLE';
  readonly [BRAND] = true;
  /** Name of the source. */
  readonly source: string;
  /** When to try again, in milliseconds, where that is known. */
  readonly retryAfterMs: number | undefined;

  constructor(
    source: string,
    message: string,
    options: ErrorOptions & { readonly retryAfterMs?: number | undefined } = {},
  ) {
    super(`${source}: ${message}`, options);
    this.name = 'FeedUnavailableError';
    this.source = source;
    this.retryAfterMs = options.retryAfterMs;
  }
}
