import type { NuGetFramework } from '../frameworks/nuget-framework.js';
import type { PackageIdentity } from '../package-identity.js';
import type { NuGetVersion } from '../versions/nuget-version.js';
import type { VersionRange } from '../versions/version-range.js';

/** A package that another one needs. */
export interface PackageDependency {
  readonly id: string;
  readonly range: VersionRange;
  /** Asset kinds that flow to whoever depends on the package, as the nuspec has them (`all`, `compile,runtime`). */
  readonly include?: string | undefined;
  readonly exclude?: string | undefined;
}

/** What a package needs when it is used for a target framework. */
export interface DependencyGroup {
  readonly targetFramework: NuGetFramework;
  readonly dependencies: readonly PackageDependency[];
}

/** That a version isn't to be used any more, and what to use. */
export interface PackageDeprecation {
  /** `Legacy`, `CriticalBugs`, `Other`. */
  readonly reasons: readonly string[];
  readonly message?: string | undefined;
  readonly alternate?: { readonly id: string; readonly range: VersionRange } | undefined;
}

/** How bad a vulnerability is, as advisories rate it. */
export type VulnerabilitySeverity = 'low' | 'moderate' | 'high' | 'critical';

/** A vulnerability that a source knows of in one version. */
export interface PackageVulnerability {
  readonly advisoryUrl: string;
  readonly severity: VulnerabilitySeverity;
}

/** A known vulnerability, and the versions of a package that have it. */
export interface KnownVulnerability extends PackageVulnerability {
  readonly range: VersionRange;
}

/** The known vulnerabilities by package id in lower case. */
export type VulnerabilityIndex = ReadonlyMap<string, readonly KnownVulnerability[]>;

/** What a feed says about one version of a package, whatever its protocol. */
export interface PackageMetadata extends PackageIdentity {
  readonly title?: string | undefined;
  readonly description?: string | undefined;
  readonly summary?: string | undefined;
  readonly releaseNotes?: string | undefined;
  readonly copyright?: string | undefined;
  readonly language?: string | undefined;
  readonly authors: readonly string[];
  readonly owners: readonly string[];
  readonly tags: readonly string[];
  readonly iconUrl?: string | undefined;
  readonly projectUrl?: string | undefined;
  readonly licenseUrl?: string | undefined;
  /** SPDX expression. */
  readonly licenseExpression?: string | undefined;
  readonly requireLicenseAcceptance: boolean;
  readonly minClientVersion?: string | undefined;
  readonly dependencyGroups: readonly DependencyGroup[];
  readonly published?: Date | undefined;
  /** Whether searches show it. Unlisted versions can be restored all the same. */
  readonly listed: boolean;
  readonly downloads?: number | undefined;
  readonly deprecation?: PackageDeprecation | undefined;
  readonly vulnerabilities: readonly PackageVulnerability[];
  /** Where the feed says that the package lies. */
  readonly packageUrl?: string | undefined;
  readonly packageSize?: number | undefined;
  /** Hash of the whole package, where the feed tells it: in base64, as feeds write it. */
  readonly packageHash?: { readonly algorithm: string; readonly value: string } | undefined;
  readonly detailsUrl?: string | undefined;
  readonly reportAbuseUrl?: string | undefined;
  /** The page of the package's registration that it was read from. Lists of protocol 3 only. */
  readonly page?: RegistrationPagePlace | undefined;
}

/** One of the pages that the index of a registration has. */
export interface RegistrationPagePlace {
  /** In the order of the index, from 0. */
  readonly number: number;
  /** Whether the index has its items in it, too. */
  readonly isInlined: boolean;
}

/** Which packages a search finds, and which page of them it gives. */
export interface SearchOptions {
  /** Default false. */
  readonly includePrerelease?: boolean | undefined;
  /** Default 0. */
  readonly skip?: number | undefined;
  /** Default 20; sources give at most what they please. */
  readonly take?: number | undefined;
  /** Only packages of this type (`DotnetTool`, `Template`). Protocol 3 only. */
  readonly packageType?: string | undefined;
  /** Whether to find what only clients of SemVer 2 understand, too. Protocol 3 only. Default true. */
  readonly semVer2?: boolean | undefined;
  /** Only packages that fit one of these target frameworks. Protocol 2 only. */
  readonly supportedFrameworks?: readonly string[] | undefined;
}

/** A package as a search shows it. */
export interface SearchResult extends PackageIdentity {
  readonly title?: string | undefined;
  readonly description?: string | undefined;
  readonly summary?: string | undefined;
  readonly authors: readonly string[];
  readonly owners: readonly string[];
  readonly tags: readonly string[];
  readonly iconUrl?: string | undefined;
  readonly projectUrl?: string | undefined;
  readonly licenseUrl?: string | undefined;
  readonly totalDownloads?: number | undefined;
  readonly verified: boolean;
  readonly packageTypes: readonly string[];
  /** The versions that match, as the source tells them; those of protocol 2 know the newest only. */
  readonly versions: readonly { readonly version: NuGetVersion; readonly downloads?: number | undefined }[];
  readonly vulnerabilities: readonly PackageVulnerability[];
  readonly deprecation?: PackageDeprecation | undefined;
}

/** One page of what was found. */
export interface SearchPage {
  /** How many match in all, as far as the source says. */
  readonly total: number | undefined;
  readonly results: readonly SearchResult[];
}
