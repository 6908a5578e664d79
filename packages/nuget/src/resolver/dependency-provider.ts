import type { NuGetFramework } from '../frameworks/nuget-framework.js';
import type { PackageIdentity } from '../package-identity.js';
import type { PackageDependency } from '../protocol/model.js';
import type { NuGetVersion } from '../versions/nuget-version.js';

/** How well a package fits the target framework, by its dependency groups, and by its assemblies where none of those fits. */
export type GroupFit =
  | 'compatible' // it has something for it, or nothing that speaks against it
  | 'fallback' // it has something only for a framework that is taken for want of a better one
  | 'incompatible'; // all that it has is for other frameworks

/** What a version of a package needs when it is used for a framework. */
export interface SelectedDependencies {
  /** The id as the package itself writes it. */
  readonly id: string;
  readonly dependencies: readonly PackageDependency[];
  readonly fit: GroupFit;
}

/** What goes with each question of the resolver. */
export interface DependencyCallOptions {
  readonly signal: AbortSignal;
  /** Frameworks whose groups are taken when the target's own has none, in order: `net472` for projects of .NET 8. */
  readonly fallbacks: readonly NuGetFramework[];
}

/** Where a resolver learns what there is. Each question is asked once for a graph, many at the same time. */
export interface DependencyProvider {
  /**
   * All versions in any order, unlisted ones included; empty when there is no such package.
   *
   * @throws {@link PartialVersionsError} when it knows some of them only: the lowest that a range allows is certain to be
   * the one that is wanted, and no other is
   */
  listVersions(id: string, options: DependencyCallOptions): Promise<readonly NuGetVersion[]>;
  /**
   * The same as of now, for a range that none of the versions satisfies; undefined where {@link listVersions} is as new.
   * Default: it is.
   */
  listVersionsAnew?(id: string, options: DependencyCallOptions): Promise<readonly NuGetVersion[] | undefined>;
  /** Undefined when that version isn't there after all. */
  dependencies(
    identity: PackageIdentity,
    framework: NuGetFramework,
    options: DependencyCallOptions,
  ): Promise<SelectedDependencies | undefined>;
  /** Names of the sources that are asked for an id; none means that package source mapping leaves no source for it. */
  sources?(id: string): readonly string[];
  /**
   * Whether the lowest version of a range is asked for straight away, and versions are listed only where it isn't there:
   * for whom to look for a version costs no more than that. Default: they are listed first.
   */
  triesLowest?(id: string, lowest: NuGetVersion): boolean | Promise<boolean>;
}
