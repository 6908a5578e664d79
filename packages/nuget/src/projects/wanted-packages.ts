import type { NuGetFramework } from '../frameworks/nuget-framework.js';
import type { PackageIdentity } from '../package-identity.js';
import type { PackageDependency } from '../protocol/model.js';

/** What a project needs for one of its target frameworks, before it is resolved. */
export interface ProjectDependencies {
  readonly framework: NuGetFramework;
  readonly dependencies: readonly Pick<PackageDependency, 'id' | 'range'>[];
  /**
   * The versions of what comes with other packages, whatever these ask for: what central package management pins.
   * Default: each comes as it is asked for.
   */
  readonly pins?: readonly Pick<PackageDependency, 'id' | 'range'>[] | undefined;
}

/** The packages that a file asks for. */
export interface WantedPackages {
  /** Exactly these. */
  readonly packages: readonly PackageIdentity[];
  /** To be resolved, each for itself. */
  readonly projects: readonly ProjectDependencies[];
  /**
   * What came to some of the packages already. A restore goes that way again, and on it reads packages that lose against
   * others: to have those, too, resolve it again. The outcome was another one where several projects come together.
   */
  readonly restored: readonly ProjectDependencies[];
  /** What the file asks for in a way that can't be understood here, in sentences for people. */
  readonly problems: readonly string[];
}
