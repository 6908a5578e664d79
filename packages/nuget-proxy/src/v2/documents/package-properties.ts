import type { FeedUrls } from '../../http/feed-urls.js';
import type { PackageEntry } from '../lists/package-history.js';
import { dependenciesText } from './dependencies-text.js';

export type EdmType = 'Edm.String' | 'Edm.Boolean' | 'Edm.DateTime' | 'Edm.Int32' | 'Edm.Int64';

/** Dates are milliseconds since 1970. */
export type PropertyValue = string | number | boolean | null;

/** What protocol 2 says of a package under one name. */
export interface PackageProperty {
  readonly name: string;
  readonly type: EdmType;
  /** Whether it is always there. */
  readonly isRequired: boolean;
  readonly read: (entry: PackageEntry, urls: FeedUrls) => PropertyValue;
}

const MAX_INT32 = 2 ** 31 - 1;
/** What isn't listed has this date, by which clients know it. */
const UNLISTED = Date.UTC(1900, 0, 1);
/** Clients have no dates after this one. */
const LAST_DATE = Date.parse('9999-12-31T23:59:59.999Z');

function text(name: string, read: (entry: PackageEntry, urls: FeedUrls) => string | undefined): PackageProperty {
  return {
    name,
    type: 'Edm.String',
    isRequired: false,
    read: (entry, urls) => read(entry, urls) ?? null,
  };
}

function required(name: string, type: EdmType, read: PackageProperty['read']): PackageProperty {
  return { name, type, isRequired: true, read };
}

function optional(name: string, type: EdmType, read: PackageProperty['read']): PackageProperty {
  return { name, type, isRequired: false, read };
}

/** All that is said of a package, in the order in which galleries say it. */
export const PACKAGE_PROPERTIES: readonly PackageProperty[] = [
  required('Id', 'Edm.String', ({ record }) => record.id),
  required('Version', 'Edm.String', ({ record }) => record.version),
  text('NormalizedVersion', ({ version }) => version.toNormalizedString()),
  text('Authors', ({ record }) => record.authors.join(', ')),
  text('Owners', ({ record }) => record.owners.join(', ') || undefined),
  text('Copyright', ({ record }) => record.copyright),
  required('Created', 'Edm.DateTime', publishedOf),
  text('Dependencies', ({ record }) => dependenciesText(record.dependencyGroups)),
  text('Description', ({ record }) => record.description ?? ''),
  required('DownloadCount', 'Edm.Int32', ({ record, totalDownloads }) => int32(totalDownloads ?? record.downloads)),
  text('GalleryDetailsUrl', ({ record, version }, urls) => urls.details(record.id, version.toNormalizedString())),
  text('IconUrl', ({ record }, urls) => urls.icon(record)),
  required('IsLatestVersion', 'Edm.Boolean', ({ isLatest }) => isLatest),
  required('IsAbsoluteLatestVersion', 'Edm.Boolean', ({ isAbsoluteLatest }) => isAbsoluteLatest),
  required('IsPrerelease', 'Edm.Boolean', ({ version }) => version.isPrerelease),
  text('Language', ({ record }) => record.language),
  optional('LastEdited', 'Edm.DateTime', () => null),
  required('LastUpdated', 'Edm.DateTime', publishedOf),
  required('Published', 'Edm.DateTime', (entry) => (entry.record.listed ? publishedOf(entry) : UNLISTED)),
  required('Listed', 'Edm.Boolean', ({ record }) => record.listed),
  text('PackageHash', ({ record }) => record.packageHash?.value),
  text('PackageHashAlgorithm', ({ record }) => record.packageHash?.algorithm),
  required('PackageSize', 'Edm.Int64', ({ record }) => record.packageSize ?? 0),
  text('ProjectUrl', ({ record }, urls) => urls.outward(record.projectUrl)),
  text(
    'ReportAbuseUrl',
    ({ record, version }, urls) => `${urls.details(record.id, version.toNormalizedString())}#contact`,
  ),
  text('ReleaseNotes', ({ record }) => record.releaseNotes),
  required('RequireLicenseAcceptance', 'Edm.Boolean', ({ record }) => record.requireLicenseAcceptance === true),
  text('Summary', ({ record }) => record.summary),
  // Queries look for whole words with blanks around them.
  text('Tags', ({ record }) => (record.tags.length === 0 ? undefined : ` ${record.tags.join(' ')} `)),
  text('Title', ({ record }) => record.title ?? record.id),
  required('VersionDownloadCount', 'Edm.Int32', ({ record }) => int32(record.downloads)),
  text('MinClientVersion', ({ record }) => record.minClientVersion),
  text('LicenseUrl', ({ record }, urls) => urls.outward(record.licenseUrl)),
  text('LicenseNames', ({ record }) => record.licenseExpression),
  text('LicenseReportUrl', () => undefined),
];

const byName = new Map(PACKAGE_PROPERTIES.map((property) => [property.name.toLowerCase(), property]));

/** By its name in any case. */
export function packageProperty(name: string): PackageProperty | undefined {
  return byName.get(name.toLowerCase());
}

/** Some feeds don't say when, or the first day of year 1; a date there must be, later than that of what isn't listed. */
export function publishedOf({ record }: Pick<PackageEntry, 'record'>): number {
  const published = Date.parse(record.published ?? '');
  return published > UNLISTED && published <= LAST_DATE ? published : 0;
}

/** Clients read 32 bits, and the most popular packages have more downloads. */
function int32(count = 0): number {
  return Math.min(count, MAX_INT32);
}
