import type { NuGetFramework } from '../frameworks/nuget-framework.js';
import type { PackageIdentity } from '../package-identity.js';
import type { NuGetVersion } from '../versions/nuget-version.js';
import type { VersionRange } from '../versions/version-range.js';
import type { Diagnostic } from './diagnostic.js';

/** What became of one dependency. */
export type DependencyOutcome =
  | 'chosen' // its version is used, and its own dependencies stand below it
  | 'repeated' // its version is used; where it was first met, its own dependencies stand below it
  | 'superseded' // another branch needs a higher version, which is used
  | 'conflict' // another branch needs a higher version than its range has: an error
  | 'eclipsed' // something nearer to the root decides on the version, and it fits
  | 'downgraded' // something nearer to the root decides, for a lower version than is needed
  | 'exceeded' // something nearer to the root decides, for a higher version than the range has
  | 'cycle' // it is a package above it: an error
  | 'missing'; // there is no such version, or no source gives it: an error

/** A dependency where a package names it. */
export interface DependencyNode {
  readonly id: string;
  readonly range: VersionRange;
  readonly outcome: DependencyOutcome;
  /** The version that its range names on its own, where that was looked up. */
  readonly wanted: NuGetVersion | undefined;
  /** The version that is used. */
  readonly version: NuGetVersion | undefined;
  readonly children: readonly DependencyNode[];
}

/** A package that is used. */
export interface ResolvedPackage extends PackageIdentity {
  /** Whether the root itself depends on it. */
  readonly isDirect: boolean;
  /** Its dependencies for the framework, with the versions that are used. */
  readonly dependencies: readonly {
    readonly id: string;
    readonly range: VersionRange;
    readonly version: NuGetVersion | undefined;
  }[];
}

/** What a resolution came to: packages, the ways that lead to them, and what is wrong with them. */
export interface DependencyGraph {
  readonly framework: NuGetFramework;
  /** The direct dependencies, and below each what it brought in: as a tree in which each used package stands once. */
  readonly roots: readonly DependencyNode[];
  /** What is used, one version of each package: breadth first, as packages name their dependencies. */
  readonly packages: readonly ResolvedPackage[];
  /** Errors first, then by code and package. */
  readonly diagnostics: readonly Diagnostic[];
  /** Whether it can be used: there is no error. */
  readonly success: boolean;
}
