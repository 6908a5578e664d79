import type { PackageIdentity } from '../../package-identity.js';
import { parseUrl } from '../endpoint-url.js';
import { asDate } from '../json.js';
import type { PackageMetadata, SearchResult } from '../model.js';
import { toldHash } from '../told-hash.js';
import { parseLegacyDependencies } from './legacy-dependencies.js';

/** One version of a package as a feed's page has it, with its properties as they are written there. */
export interface FeedEntry extends PackageIdentity {
  /** The Atom title, which most sources fill with the id. */
  readonly title?: string | undefined;
  readonly summary?: string | undefined;
  /** Names as Atom has them: a source may write several into one. */
  readonly authors: readonly string[];
  /** Where the package itself is, as an absolute URL. */
  readonly contentUrl?: string | undefined;
  readonly properties: ReadonlyMap<string, string>;
}

/** Sources say of an unlisted version that it was published in 1900. */
const LAST_UNLISTED_YEAR = 1901;

export function isListed(entry: FeedEntry): boolean {
  const published = asDate(entry.properties.get('Published'));
  if (published !== undefined && published.getUTCFullYear() <= LAST_UNLISTED_YEAR) return false;
  return entry.properties.get('Listed')?.toLowerCase() !== 'false';
}

/** Of the whole package; undefined where the feed doesn't say. */
export function entryHash({ properties }: FeedEntry): PackageMetadata['packageHash'] {
  return toldHash(properties.get('PackageHash'), properties.get('PackageHashAlgorithm'));
}

/** @param rangeless is told each dependency whose range is none, and that therefore takes all versions. */
export function entryMetadata(entry: FeedEntry, rangeless: (dependency: string) => void): PackageMetadata {
  const { properties } = entry;
  return {
    ...described(entry),
    releaseNotes: properties.get('ReleaseNotes'),
    copyright: properties.get('Copyright'),
    language: properties.get('Language'),
    requireLicenseAcceptance: properties.get('RequireLicenseAcceptance')?.toLowerCase() === 'true',
    minClientVersion: properties.get('MinClientVersion'),
    dependencyGroups: parseLegacyDependencies(properties.get('Dependencies'), rangeless),
    published: asDate(properties.get('Published')),
    listed: isListed(entry),
    downloads: count(properties.get('DownloadCount')),
    vulnerabilities: [],
    packageUrl: entry.contentUrl,
    packageSize: count(properties.get('PackageSize')),
    packageHash: entryHash(entry),
    detailsUrl: url(properties.get('GalleryDetailsUrl')),
    reportAbuseUrl: url(properties.get('ReportAbuseUrl')),
  };
}

export function entrySearchResult(entry: FeedEntry): SearchResult {
  const downloads = count(entry.properties.get('DownloadCount'));
  return {
    ...described(entry),
    totalDownloads: downloads,
    verified: false,
    packageTypes: [],
    versions: [{ version: entry.version, downloads: count(entry.properties.get('VersionDownloadCount')) ?? downloads }],
    vulnerabilities: [],
  };
}

function described({ id, version, title, summary, authors, properties }: FeedEntry) {
  return {
    id,
    version,
    title: properties.get('Title') ?? (title || undefined),
    description: properties.get('Description'),
    summary: summary || properties.get('Summary'),
    authors: list(authors.length > 0 ? authors.join(',') : properties.get('Authors'), /,/),
    owners: list(properties.get('Owners'), /,/),
    tags: list(properties.get('Tags'), /[\s,;]/),
    iconUrl: url(properties.get('IconUrl')),
    projectUrl: url(properties.get('ProjectUrl')),
    licenseUrl: url(properties.get('LicenseUrl')),
  };
}

function list(text: string | undefined, separator: RegExp): string[] {
  if (text === undefined) return [];
  const words = text.split(separator).map((word) => word.trim());
  return words.filter((word) => word !== '');
}

function url(text: string | undefined): string | undefined {
  return text !== undefined && parseUrl(text) !== undefined ? text : undefined;
}

function count(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}
