import type { PackageMetadata, SearchResult } from '@granary/nuget';
import type { DependencyGroupRecord, PackageRecord } from './package-record.js';

/** Longest text that people read, in UTF-16 units; what is longer is cut. */
const MAX_PROSE = 32_768;
/** Longest name, title or other short text. */
const MAX_TEXT = 1024;
/** Longest URL; a longer one is left out, because a part of it leads nowhere. */
const MAX_URL = 4096;
/** Most authors, owners, tags, reasons or vulnerabilities. */
const MAX_ITEMS = 256;

/** Whether a URL is one of the source's own, rather than one that an author gave. */
export type IsOwnUrl = (url: string) => boolean;

const SEVERITIES = { low: 0, moderate: 1, high: 2, critical: 3 } as const;

/**
 * What a source says about a version, as plain data without an address of the source in it. Texts are cut where they are
 * absurdly long; what a restore depends on (id, version, dependencies, hash) never is.
 *
 * @param isOwn which URLs are the source's own, and left out. Default none
 */
export function recordOf(metadata: PackageMetadata, isOwn: IsOwnUrl = isNone): PackageRecord {
  const { packageHash, deprecation } = metadata;
  return {
    ...sharedBy(metadata, isOwn),
    listed: metadata.listed,
    published: metadata.published?.toISOString(),
    releaseNotes: prose(metadata.releaseNotes),
    copyright: text(metadata.copyright),
    language: text(metadata.language),
    licenseExpression: text(metadata.licenseExpression),
    requireLicenseAcceptance: metadata.requireLicenseAcceptance,
    minClientVersion: text(metadata.minClientVersion),
    downloads: metadata.downloads,
    packageSize: metadata.packageSize,
    packageHash:
      packageHash === undefined || packageHash.value.length > MAX_TEXT || packageHash.algorithm.length > MAX_TEXT
        ? undefined
        : { algorithm: packageHash.algorithm, value: packageHash.value },
    dependencyGroups: metadata.dependencyGroups.map(groupOf),
    deprecation: deprecationOf(deprecation),
    vulnerabilities: vulnerabilitiesOf(metadata.vulnerabilities, isOwn),
    page: metadata.page,
  };
}

/** The same for what a search shows of a package, which is less: neither dependencies nor when it was published. */
export function recordOfHit(result: SearchResult, isOwn: IsOwnUrl = isNone): PackageRecord {
  return {
    ...sharedBy(result, isOwn),
    listed: true,
    packageTypes: result.packageTypes.length === 0 ? undefined : texts(result.packageTypes),
    downloads: result.totalDownloads,
    dependencyGroups: [],
    deprecation: deprecationOf(result.deprecation),
    vulnerabilities: vulnerabilitiesOf(result.vulnerabilities, isOwn),
  };
}

/** What searches and registrations say alike. */
function sharedBy(said: PackageMetadata | SearchResult, isOwn: IsOwnUrl) {
  const url = (value: string | undefined) =>
    value !== undefined && value.length <= MAX_URL && !isOwn(value) ? value : undefined;
  const { iconUrl } = said;
  return {
    id: said.id,
    version: said.version.toFullString(),
    title: text(said.title),
    description: prose(said.description),
    summary: prose(said.summary),
    authors: texts(said.authors),
    owners: texts(said.owners),
    tags: texts(said.tags),
    iconUrl: iconUrl !== undefined && isOwn(iconUrl) ? '' : url(iconUrl),
    projectUrl: url(said.projectUrl),
    licenseUrl: url(said.licenseUrl),
  };
}

function groupOf({
  targetFramework,
  dependencies,
}: PackageMetadata['dependencyGroups'][number]): DependencyGroupRecord {
  return {
    targetFramework: targetFramework.isAny ? undefined : targetFramework.shortName,
    dependencies: dependencies.map(({ id, range }) => ({ id, range: range.toNormalizedString() })),
  };
}

function deprecationOf(deprecation: PackageMetadata['deprecation']): PackageRecord['deprecation'] {
  if (deprecation === undefined) return undefined;
  const { reasons, message, alternate } = deprecation;
  return {
    reasons: texts(reasons),
    message: prose(message),
    alternatePackage: alternate && { id: alternate.id, range: alternate.range.toNormalizedString() },
  };
}

function vulnerabilitiesOf(
  known: PackageMetadata['vulnerabilities'],
  isOwn: IsOwnUrl,
): PackageRecord['vulnerabilities'] {
  if (known.length === 0) return undefined;
  return known
    .filter(({ advisoryUrl }) => advisoryUrl.length <= MAX_URL)
    .slice(0, MAX_ITEMS)
    .map(({ advisoryUrl, severity }) => {
      return { advisoryUrl: advisoryFrom(advisoryUrl, isOwn), severity: SEVERITIES[severity] };
    });
}

const text = (value: string | undefined): string | undefined => cut(value, MAX_TEXT);
const prose = (value: string | undefined): string | undefined => cut(value, MAX_PROSE);
const isNone: IsOwnUrl = () => false;
const texts = (values: readonly string[]): readonly string[] =>
  values.slice(0, MAX_ITEMS).map((value) => cut(value, MAX_TEXT) as string);

/** Never between the two halves of a character. */
function cut(value: string | undefined, length: number): string | undefined {
  if (value === undefined || value.length <= length) return value;
  const last = value.charCodeAt(length - 1);
  return value.slice(0, last >= 0xd800 && last <= 0xdbff ? length - 1 : length);
}

/** Where a vulnerability was published; empty for a page of the source. */
export const advisoryFrom = (url: string, isOwn: IsOwnUrl): string => (isOwn(url) ? '' : url);

/** Severity as records have it. */
export const severityOf = (severity: keyof typeof SEVERITIES): number => SEVERITIES[severity];
