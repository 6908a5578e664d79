import type { FeedPackage } from './feed-packages.js';
import type { ODataRecord, ODataValue } from './odata-filter.js';

/** The types of those properties that are no texts. */
const TYPES: Readonly<Record<string, string>> = {
  Created: 'Edm.DateTime',
  DownloadCount: 'Edm.Int32',
  IsLatestVersion: 'Edm.Boolean',
  IsAbsoluteLatestVersion: 'Edm.Boolean',
  IsPrerelease: 'Edm.Boolean',
  LastEdited: 'Edm.DateTime',
  LastUpdated: 'Edm.DateTime',
  Published: 'Edm.DateTime',
  PackageSize: 'Edm.Int64',
  RequireLicenseAcceptance: 'Edm.Boolean',
  VersionDownloadCount: 'Edm.Int32',
};

/** Names and types of what V2 says about a package. */
export const V2_PROPERTIES: readonly (readonly [name: string, type: string])[] = [
  'Id',
  'Version',
  'NormalizedVersion',
  'Authors',
  'Copyright',
  'Created',
  'Dependencies',
  'Description',
  'DownloadCount',
  'GalleryDetailsUrl',
  'IconUrl',
  'IsLatestVersion',
  'IsAbsoluteLatestVersion',
  'IsPrerelease',
  'Language',
  'LastEdited',
  'LastUpdated',
  'Published',
  'PackageHash',
  'PackageHashAlgorithm',
  'PackageSize',
  'ProjectUrl',
  'ReportAbuseUrl',
  'ReleaseNotes',
  'RequireLicenseAcceptance',
  'Summary',
  'Tags',
  'Title',
  'VersionDownloadCount',
  'MinClientVersion',
  'LicenseUrl',
  'LicenseNames',
  'LicenseReportUrl',
].map((name) => [name, TYPES[name] ?? 'Edm.String']);

/** A package as V2 describes it: its properties, by name. */
export function packageRecord(
  pkg: FeedPackage,
  latest: { readonly stable: boolean; readonly absolute: boolean },
): ODataRecord {
  const { metadata } = pkg;
  const text = (value: string | undefined): string | null => value ?? null;
  return {
    Id: pkg.id,
    Version: pkg.version.toFullString(),
    NormalizedVersion: pkg.version.toNormalizedString(),
    Authors: metadata.authors.join(', '),
    Copyright: text(metadata.copyright),
    Created: pkg.created,
    Dependencies: dependencies(pkg),
    Description: text(metadata.description),
    DownloadCount: pkg.downloads,
    GalleryDetailsUrl: `https://gallery.test/packages/${pkg.id}/${pkg.version.toNormalizedString()}`,
    IconUrl: text(metadata.iconUrl),
    IsLatestVersion: latest.stable,
    IsAbsoluteLatestVersion: latest.absolute,
    IsPrerelease: pkg.version.isPrerelease,
    Language: text(metadata.language),
    LastEdited: null,
    LastUpdated: pkg.published,
    Published: pkg.listed ? pkg.published : new Date(Date.UTC(1900, 0, 1)),
    PackageHash: pkg.hash,
    PackageHashAlgorithm: 'SHA512',
    PackageSize: pkg.content.length,
    ProjectUrl: text(metadata.projectUrl),
    ReportAbuseUrl: `https://gallery.test/packages/${pkg.id}/${pkg.version.toNormalizedString()}/ReportAbuse`,
    ReleaseNotes: text(metadata.releaseNotes),
    RequireLicenseAcceptance: metadata.requireLicenseAcceptance,
    Summary: text(metadata.summary),
    Tags: metadata.tags.length > 0 ? ` ${metadata.tags.join(' ')} ` : null,
    Title: text(metadata.title),
    VersionDownloadCount: pkg.downloads,
    MinClientVersion: text(metadata.minClientVersion),
    LicenseUrl: text(metadata.licenseUrl),
    LicenseNames: null,
    LicenseReportUrl: null,
  };
}

function dependencies(pkg: FeedPackage): string {
  return pkg.dependencyGroups
    .flatMap(({ framework, dependencies }) =>
      dependencies.length === 0
        ? [`::${framework}`]
        : dependencies.map(({ id, range }) => `${id}:${range}:${framework}`),
    )
    .join('|');
}

const NAMESPACES =
  'xmlns="http://www.w3.org/2005/Atom" xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices" ' +
  'xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"';
const XML = '<?xml version="1.0" encoding="utf-8"?>\n';

/** One entry of a feed, or the whole document when a single package was asked for. */
export function atomEntry(base: string, record: ODataRecord, alone: boolean): string {
  const id = String(record['Id']);
  const key = `Packages(Id='${xml(id)}',Version='${xml(String(record['NormalizedVersion']))}')`;
  const properties = Object.entries(record).map(([name, value]) => property(name, value));
  const entry =
    `<entry${alone ? ` xml:base="${xml(base)}/" ${NAMESPACES}` : ''}><id>${xml(base)}/${key}</id>` +
    '<category term="NuGetGallery.OData.V2FeedPackage" scheme="http://schemas.microsoft.com/ado/2007/08/dataservices/scheme" />' +
    `<link rel="edit" title="V2FeedPackage" href="${key}" />` +
    `<title type="text">${xml(id)}</title><summary type="text">${xml(String(record['Summary'] ?? ''))}</summary>` +
    `<updated>${date(record['LastUpdated'])}Z</updated><author><name>${xml(String(record['Authors']))}</name></author>` +
    `<content type="application/zip" src="${xml(base)}/package/${xml(id)}/${xml(String(record['NormalizedVersion']))}" />` +
    `<m:properties>${properties.join('')}</m:properties></entry>`;
  return alone ? XML + entry : entry;
}

export function atomFeed(
  base: string,
  name: string,
  entries: readonly ODataRecord[],
  { next, count }: { readonly next: string | undefined; readonly count: number | undefined },
): string {
  const total = count === undefined ? '' : `<m:count>${count}</m:count>`;
  const link = next === undefined ? '' : `<link rel="next" href="${xml(next)}" />`;
  const body = entries.map((record) => atomEntry(base, record, false)).join('\n');
  return (
    `${XML}<feed xml:base="${xml(base)}/" ${NAMESPACES}>${total}<id>${xml(base)}/${name}</id>` +
    `<title type="text">${name}</title><updated>1970-01-01T00:00:00Z</updated>` +
    `<link rel="self" title="${name}" href="${name}" />\n${body}\n${link}</feed>`
  );
}

function property(name: string, value: ODataValue): string {
  const type = TYPES[name];
  const attribute = type === undefined ? '' : ` m:type="${type}"`;
  if (value === null) return `<d:${name}${attribute} m:null="true" />`;
  const text = value instanceof Date ? date(value) : typeof value === 'string' ? xml(value) : String(value);
  return `<d:${name}${attribute}>${text}</d:${name}>`;
}

/** Without a zone, as OData has it. */
function date(value: ODataValue | undefined): string {
  return value instanceof Date ? value.toISOString().replace('Z', '') : '';
}

function xml(text: string): string {
  return text.replace(/[<>&"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
