import { PerKey } from '../per-key.js';
import { wholeNumber } from '../whole-number.js';
import { TokenBucket, type TokenBucketOptions, type TokenBucketStats } from './token-bucket.js';
import type { WaitOptions } from './wait-queue.js';

/** Options of every source's bucket, and how many sources there may be. */
export interface PerSourceLimiterOptions extends TokenBucketOptions {
  /** Most sources that are remembered. Default 1000. */
  readonly maxSources?: number | undefined;
}

/**
 * A {@link TokenBucket} for each source, made when the source is first used, so that one that is asked too often slows
 * nobody else. A source is any string: the URL of a feed, a host, a user.
 *
 * Sources are bounded in number. The buckets that are full and have nobody waiting make room first, and to forget them
 * changes nothing. Only when more than `maxSources` are limited at the same time, the one that was used least recently
 * goes: whoever waits for it gets its tokens in turn, and the source begins anew, with `initialTokens`.
 */
export class PerSourceLimiter {
  readonly #buckets: PerKey<TokenBucket>;

  constructor(options: PerSourceLimiterOptions = {}) {
    const { maxSources = 1000, ...bucketOptions } = options;
    wholeNumber('maxSources', maxSources);
    new TokenBucket(bucketOptions); // wrong options are reported now, not when the first source comes
    this.#buckets = new PerKey(() => new TokenBucket(bucketOptions), {
      maxKeys: maxSources,
      isIdle: (bucket) => bucket.idle,
    });
  }

  /** As {@link TokenBucket.allow}, of this source's bucket. */
  allow(source: string): boolean {
    return this.#buckets.get(source).allow();
  }

  /** As {@link TokenBucket.allowN}, of this source's bucket. */
  allowN(source: string, n: number): boolean {
    return this.#buckets.get(source).allowN(n);
  }

  /** As {@link TokenBucket.wait}, of this source's bucket. */
  wait(source: string, options?: WaitOptions): Promise<void> {
    return this.#buckets.get(source).wait(options);
  }

  /** As {@link TokenBucket.waitN}, of this source's bucket. */
  waitN(source: string, n: number, options?: WaitOptions): Promise<void> {
    return this.#buckets.get(source).waitN(n, options);
  }

  /** The source's bucket at this moment; undefined when the source was never used, or is forgotten. */
  getStats(source: string): TokenBucketStats | undefined {
    return this.#buckets.peek(source)?.stats();
  }

  /** The buckets of all sources at this moment, in the order in which they were made. */
  getAllStats(): Map<string, TokenBucketStats> {
    return new Map([...this.#buckets].map(([source, bucket]) => [source, bucket.stats()]));
  }
}
