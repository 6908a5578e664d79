import type { Layer } from '@granary/cache';
import type { CallOptions, PackageIdentity, Provider, RandomAccessSource } from '@granary/nuget';
import type { Timers } from '@granary/resilience';
import type { Logger, MetricsCollector, Tracer } from '@granary/telemetry';
import type { PackageContent } from '../feed/feed-content.js';
import type { ExpectedPackage } from '../packages/arriving/receive-package.js';
import type { FetchCall, OpenUpstream } from '../packages/package-store.js';
import type { Kept } from './answers/kept-values.js';

/** The source itself: a `SourceRepository`, made with {@link upstreamSourceOptions}. */
export interface Upstream {
  /** Where it is, for traces. */
  readonly sourceUrl?: string | undefined;
  provider(call?: CallOptions): Promise<Provider>;
}

/**
 * What a `SourceRepository` behind a feed is made with: it says what the source says at the moment, or that it can't,
 * because what is stale or missing is the feed's to know.
 */
export const upstreamSourceOptions = { staleIfErrorMs: 0, restAfterErrorMs: 0, notFoundTtlMs: 0 } as const;

/** A package that is here as a whole. */
export interface KeptPackage extends PackageContent {
  /** For who reads here and there in it. */
  source(): RandomAccessSource;
}

/** Where packages are kept: a `PackageStore`. */
export interface PackageKeeper {
  /** One that has just come, and that {@link find} would have to wait for. */
  atHand?(source: string, identity: PackageIdentity): PackageContent | undefined;
  find(source: string, identity: PackageIdentity): Promise<KeptPackage | undefined>;
  fetch(
    source: string,
    identity: PackageIdentity,
    open: OpenUpstream,
    expected?: ExpectedPackage,
    call?: FetchCall,
  ): Promise<PackageContent | undefined>;
}

export interface UpstreamFeedOptions {
  /** Name of the source. */
  readonly name: string;
  /** Stays the caller's to close. */
  readonly upstream: Upstream;
  /** Stays the caller's to close. */
  readonly packages: PackageKeeper;
  /** Where answers are kept, from fast to slow, under keys of this source's own. The feed closes them. */
  readonly layers: readonly Layer<Kept>[];
  /** How long a list of versions is fresh, in milliseconds. Default 2 minutes. */
  readonly versionsTtlMs?: number | undefined;
  /** How long the records of a package are fresh, in milliseconds. Default 10 minutes. */
  readonly recordsTtlMs?: number | undefined;
  /** How long "it isn't there" is fresh, in milliseconds. Default 30,000. */
  readonly notFoundTtlMs?: number | undefined;
  /** How long a search is fresh, in milliseconds. Default 1 minute. */
  readonly searchTtlMs?: number | undefined;
  /** How long the list of vulnerabilities is fresh, in milliseconds. Default 30 minutes. */
  readonly vulnerabilitiesTtlMs?: number | undefined;
  /** How long a client waits before it is answered with what is stale, in milliseconds. Default 1000. */
  readonly staleAfterMs?: number | undefined;
  /** How long a client waits for what was never seen, in milliseconds. Default 30,000. */
  readonly maxWaitMs?: number | undefined;
  /** How long a question that failed isn't asked again, in milliseconds; without an answer 1000 at most. Default 5000. */
  readonly restMs?: number | undefined;
  /** Never asks the source: what isn't here can't be told. Default false. */
  readonly offline?: boolean | undefined;
  /** What was never seen while the source can't be asked: an error (503), or not there (404). Default 503. */
  readonly deadUpstream?: 503 | 404 | undefined;
  /** For pushes, deletes and relists, whoever sends them: asked for each. Default: the key of the client. */
  readonly apiKey?: string | (() => string | undefined) | undefined;
  readonly logger?: Logger | undefined;
  /** Of the cache of answers. */
  readonly metrics?: MetricsCollector | undefined;
  readonly tracer?: Tracer | undefined;
  /** Milliseconds since 1970. Default `Date.now`. */
  readonly clock?: (() => number) | undefined;
  readonly timers?: Timers | undefined;
}
