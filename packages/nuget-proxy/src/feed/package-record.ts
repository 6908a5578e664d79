/** A package that another one needs, as feeds write it. */
interface DependencyRecord {
  readonly id: string;
  /** Normalized; `(, )` for any version. */
  readonly range: string;
}

export interface DependencyGroupRecord {
  /** Short folder name (`net8.0`); undefined for every framework. */
  readonly targetFramework?: string | undefined;
  readonly dependencies: readonly DependencyRecord[];
}

/**
 * What a feed says about one version of a package, as plain data: what caches keep and documents of both protocols are
 * made of. It has no address of a feed in it: where things lie is up to whoever shows it.
 */
export interface PackageRecord {
  /** With the case that the package has. */
  readonly id: string;
  /** Normalized, with its metadata (`1.0.0-beta+build`). */
  readonly version: string;
  readonly listed: boolean;
  /** ISO 8601. */
  readonly published?: string | undefined;
  readonly title?: string | undefined;
  readonly description?: string | undefined;
  readonly summary?: string | undefined;
  readonly releaseNotes?: string | undefined;
  readonly copyright?: string | undefined;
  readonly language?: string | undefined;
  readonly authors: readonly string[];
  readonly owners: readonly string[];
  readonly tags: readonly string[];
  /** Empty where the feed has the icon itself, beside the package. */
  readonly iconUrl?: string | undefined;
  readonly projectUrl?: string | undefined;
  readonly licenseUrl?: string | undefined;
  readonly licenseExpression?: string | undefined;
  readonly requireLicenseAcceptance?: boolean | undefined;
  readonly minClientVersion?: string | undefined;
  readonly downloads?: number | undefined;
  readonly packageSize?: number | undefined;
  /** In base64. */
  readonly packageHash?: { readonly algorithm: string; readonly value: string } | undefined;
  readonly packageTypes?: readonly string[] | undefined;
  readonly dependencyGroups: readonly DependencyGroupRecord[];
  readonly deprecation?:
    | {
        readonly reasons: readonly string[];
        readonly message?: string | undefined;
        readonly alternatePackage?: { readonly id: string; readonly range: string } | undefined;
      }
    | undefined;
  /** Empty where that is a page of the feed. Severity: 0 low, 1 moderate, 2 high, 3 critical. */
  readonly vulnerabilities?: readonly { readonly advisoryUrl: string; readonly severity: number }[] | undefined;
  /** The page of the source's registration that it is in, where one source alone tells of the package. */
  readonly page?: { readonly number: number; readonly isInlined: boolean } | undefined;
}
