import { type ActionResultStore, type BlobStore, type FileSystem, nodeFileSystem } from '@granary/blobs';
import { NuGetError, type NuGetMetrics, noopNuGetMetrics } from '@granary/nuget';
import { nodeTimers, type Timers } from '@granary/resilience';
import { type Logger, noopTracer, nullLogger, type Tracer } from '@granary/telemetry';
import type { KeptPackages } from './kept-packages.js';

const GIB = 1024 ** 3;

export interface PackageStoreOptions {
  /** Where packages are, among everything else. The store closes neither. */
  readonly blobs: BlobStore;
  /**
   * Where is written down what is known of them; of the same durability and order of eviction as the blobs. What it says is
   * believed: a store of this server's own, since the keys are none that servers of a build cache take.
   */
  readonly actionResults: ActionResultStore;
  /**
   * For packages under way: a folder that is there, and cleared when the server starts; in the file system of the blobs,
   * where these take files over.
   */
  readonly incomingDirectory: string;
  /** Which packages are never evicted. Default: none. */
  readonly kept?: KeptPackages | undefined;
  /** Longest package. Default 2 GiB. */
  readonly maxPackageBytes?: number | undefined;
  /** Bytes that stay free in the file system of `incomingDirectory`. Default 0: not looked after. */
  readonly minFreeBytes?: number | undefined;
  /**
   * Asked for room when a package of so many bytes would leave less than `minFreeBytes`, before it is refused. What it throws
   * is ignored. Default: there is none to be made.
   */
  readonly makeRoom?: ((bytes: number) => Promise<void>) | undefined;
  /** Packages that arrive from one source at once, for all or by the source's name; more wait. Default 64. */
  readonly maxArrivals?: number | ((source: string) => number) | undefined;
  /** Packages that wait for their turn, for each source; from there on they are refused. Default 2000. */
  readonly maxWaiting?: number | undefined;
  /**
   * How long upstream may send nothing in the middle of a package, for all sources or by the source's name; a second time is
   * the last. Default 30,000.
   */
  readonly idleTimeoutMs?: number | ((source: string) => number) | undefined;
  readonly metrics?: NuGetMetrics | undefined;
  readonly logger?: Logger | undefined;
  readonly tracer?: Tracer | undefined;
  /** Milliseconds since 1970. Default `Date.now`. */
  readonly clock?: (() => number) | undefined;
  readonly timers?: Timers | undefined;
  /** Default: Node's. */
  readonly fileSystem?: FileSystem | undefined;
}

/** The options with every default filled in. */
export type ResolvedOptions = {
  readonly [K in Exclude<keyof PackageStoreOptions, 'kept'>]-?: NonNullable<PackageStoreOptions[K]>;
};

/** @throws NuGetError `INVALID_OPTION` naming the option that is wrong */
export function resolveOptions(options: PackageStoreOptions): ResolvedOptions {
  const resolved: ResolvedOptions = {
    blobs: options.blobs,
    actionResults: options.actionResults,
    incomingDirectory: options.incomingDirectory,
    maxPackageBytes: options.maxPackageBytes ?? 2 * GIB,
    minFreeBytes: options.minFreeBytes ?? 0,
    makeRoom: options.makeRoom ?? (() => Promise.resolve()),
    maxArrivals: options.maxArrivals ?? 64,
    maxWaiting: options.maxWaiting ?? 2000,
    idleTimeoutMs: options.idleTimeoutMs ?? 30_000,
    metrics: options.metrics ?? noopNuGetMetrics,
    logger: options.logger ?? nullLogger,
    tracer: options.tracer ?? noopTracer,
    clock: options.clock ?? Date.now,
    timers: options.timers ?? nodeTimers,
    fileSystem: options.fileSystem ?? nodeFileSystem,
  };
  wholeNumber('maxPackageBytes', resolved.maxPackageBytes, 1);
  wholeNumber('minFreeBytes', resolved.minFreeBytes, 0);
  if (typeof resolved.maxArrivals === 'number') wholeNumber('maxArrivals', resolved.maxArrivals, 1);
  wholeNumber('maxWaiting', resolved.maxWaiting, 0);
  if (typeof resolved.idleTimeoutMs === 'number') wholeNumber('idleTimeoutMs', resolved.idleTimeoutMs, 1);
  return resolved;
}

function wholeNumber(name: string, value: number, least: number): void {
  if (Number.isSafeInteger(value) && value >= least) return;
  throw new NuGetError('INVALID_OPTION', `${name} must be a whole number from ${least} on, not ${value}`);
}
