import type { UpstreamStatus } from '@granary/nuget-proxy';
import type { LookupCount, SourceCounters } from './nuget-metrics.js';

/** What the feeds of a server did since somebody asked for them first. */
export interface FeedStats {
  /** In the order of the configuration. */
  readonly sources: readonly SourceStats[];
  /** Packages that were pushed here; undefined where there is no hosted feed. */
  readonly hosted: { readonly name: string; readonly packages: number; readonly versions: number } | undefined;
  /** What is never evicted. */
  readonly kept: { readonly packages: number; readonly bytes: number };
}

/** What one source of packages did since the start, and how it is. */
export interface SourceStats {
  readonly name: string;
  readonly state: UpstreamStatus['state'];
  /** ISO 8601; undefined while it never answered, or never failed. */
  readonly lastSuccessAt: string | undefined;
  readonly lastFailureAt: string | undefined;
  /** What the last failure said; undefined since the last success. */
  readonly lastError: string | undefined;
  readonly packages: LookupCount;
  readonly metadata: LookupCount;
  /** Bytes of packages that were given from here instead of by the source. */
  readonly savedBytes: number;
}

export function describeSource(name: string, counters: SourceCounters, status: UpstreamStatus): SourceStats {
  return {
    name,
    state: status.state,
    lastSuccessAt: isoOf(status.lastSuccessAt),
    lastFailureAt: isoOf(status.lastFailureAt),
    lastError: status.lastError,
    packages: counters.of('package'),
    metadata: counters.of('metadata'),
    savedBytes: counters.savedBytes,
  };
}

function isoOf(time: number | undefined): string | undefined {
  return time === undefined ? undefined : new Date(time).toISOString();
}
