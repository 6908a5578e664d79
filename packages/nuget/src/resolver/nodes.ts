import type { NuGetVersion } from '../versions/nuget-version.js';
import type { VersionRange } from '../versions/version-range.js';
import type { GroupFit } from './dependency-provider.js';

/** What came of a range: the version that it names on its own, or why there is none. */
export type Answer =
  | { readonly kind: 'package'; readonly pkg: PackageNode }
  | {
      readonly kind: 'missing';
      readonly versions: readonly NuGetVersion[];
      readonly sources: readonly string[] | undefined;
    }
  | { readonly kind: 'failed'; readonly error: unknown };

/**
 * Ids are numbered as they are met, and sets of them are the bits of one bigint: they are united, intersected and compared
 * all the time, and never changed.
 */
export type IdSet = bigint;

/** A dependency of one version of a package. */
export interface Edge {
  readonly id: string;
  readonly bit: IdSet;
  readonly range: VersionRange;
  /** Undefined until it is known, and for ever where something nearer decides on every way to it. */
  answer: Answer | undefined;
}

/** One version of one package that some range names. The root, which has the project's dependencies, is one too. */
export interface PackageNode {
  readonly index: number;
  readonly bit: IdSet;
  readonly version: NuGetVersion;
  /** As the package writes it. */
  readonly id: string;
  edges: readonly Edge[];
  /** The ids of its edges. */
  needs: IdSet;
  /** The ids that can be met below it. */
  reach: IdSet;
  fit: GroupFit;
}
