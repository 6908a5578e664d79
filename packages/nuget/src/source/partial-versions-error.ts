import type { NuGetVersion } from '../versions/nuget-version.js';
import { SourcesError } from './sources-error.js';

/** Some sources could not answer, and may have versions of a package that the others haven't. */
export class PartialVersionsError extends SourcesError {
  /** Those that the others have, in ascending order. */
  readonly versions: readonly NuGetVersion[];

  constructor(what: string, versions: readonly NuGetVersion[], errors: readonly unknown[]) {
    super(what, errors);
    this.versions = versions;
  }
}
