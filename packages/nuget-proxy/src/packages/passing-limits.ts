import type { PackageLimits } from '@granary/nuget';

/**
 * For packages that are passed on as they are: nothing but their nuspec is decompressed here, so that how long the rest of
 * them becomes is up to who unpacks it.
 */
export const PASSING_LIMITS: PackageLimits = {
  maxTotalBytes: Number.POSITIVE_INFINITY,
  maxEntryBytes: Number.POSITIVE_INFINITY,
  maxRatio: Number.POSITIVE_INFINITY,
};
