import type { SpanContext } from '@granary/telemetry';

/** What was looked for in a cache: a document of a feed, or a package. */
export type CacheType = 'metadata' | 'package';

/** What can be read of a client's caches while it lives. */
export interface NuGetCacheState {
  /** Bytes by tier (`memory`, `disk`); a tier whose size isn't known yet is left out. */
  bytes(): Iterable<readonly [tier: string, bytes: number]>;
}

/**
 * Hears what the NuGet client does. A method that is missing costs nothing, and what one throws is ignored. No argument
 * ever names a package: whatever these count stays small.
 */
export interface NuGetMetrics {
  /** Answered from a cache, without a word to the source. */
  cacheHit?(type: CacheType): void;
  /** The source had to be asked, if only whether what is cached is still good. */
  cacheMiss?(type: CacheType): void;
  /**
   * A download of a package succeeded, from a source or a cache, or failed. One that the source doesn't have is neither. The
   * feed proxy tells only what it fetches.
   * @param durationMs how long the caller waited, verification included
   * @param trace of a download that is traced, its place in the trace
   */
  packageDownloaded?(status: 'success' | 'failure', durationMs: number, trace?: SpanContext): void;
  /** A cache is there, whose state may be read until what this returns is called: when the cache is closed. */
  cacheStarted?(state: NuGetCacheState): () => void;
}

/** Hears nothing: the default. */
export const noopNuGetMetrics: NuGetMetrics = Object.freeze({});
