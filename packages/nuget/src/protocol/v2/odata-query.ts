import { checkPackageId, type PackageIdentity } from '../../package-identity.js';

/** What {@link searchPath} asks for. */
export interface SearchQuery {
  readonly text: string;
  /** Only the newest of each package: of all versions, or of stable ones; undefined for all versions. */
  readonly filter: 'IsLatestVersion' | 'IsAbsoluteLatestVersion' | undefined;
  readonly includePrerelease: boolean;
  readonly skip: number;
  readonly take: number;
  /** Short names of target frameworks. */
  readonly frameworks: readonly string[];
}

/** What may become of packages that are there already. */
export interface UpdatesQuery {
  readonly includePrerelease: boolean;
  readonly includeAllVersions: boolean;
  readonly frameworks: readonly string[];
  /** A range for each package, or '' for all versions. */
  readonly constraints: readonly string[];
}

/** Without it, sources hide packages whose versions only newer clients understand. */
const SEMVER_LEVEL = 'semVerLevel=2.0.0';
/** Without it, nobody knows of a page of results whether it is the last one. */
const COUNTED = '$inlinecount=allpages';

/** A text inside of an OData literal: quotes are doubled, and everything that isn't plain is encoded. */
function odataText(text: string): string {
  return encodeURIComponent(text)
    .replace(/[!*()]/g, percent)
    .replace(/'/g, "''");
}

export function findPackagesPath(id: string): string {
  return `/FindPackagesById()?id='${odataText(checkPackageId(id))}'&${SEMVER_LEVEL}`;
}

export function packagePath({ id, version }: PackageIdentity): string {
  return `/Packages(Id='${odataText(checkPackageId(id))}',Version='${odataText(version.toNormalizedString())}')`;
}

export function searchPath(query: SearchQuery): string {
  const filter = query.filter === undefined ? '' : `$filter=${query.filter}&`;
  return (
    `/Search()?${filter}searchTerm='${odataText(query.text)}'` +
    `&targetFramework='${odataText(query.frameworks.join('|'))}'&includePrerelease=${query.includePrerelease}` +
    `&$skip=${query.skip}&$top=${query.take}&${COUNTED}&${SEMVER_LEVEL}`
  );
}

/** The same for sources without `Search()`: ids, descriptions and tags that contain one of the words. */
export function packagesPath(query: SearchQuery): string {
  const words = query.text
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '');
  const clauses = words.flatMap((word) => [
    contains('Id', word),
    contains('Description', word),
    contains('Tags', ` ${word} `),
  ]);
  const filters = clauses.length > 0 ? [`(${clauses.join('%20or%20')})`] : [];
  if (query.filter !== undefined) filters.push(query.filter);
  const filter = filters.length > 0 ? `$filter=${filters.join('%20and%20')}&` : '';
  return `/Packages()?${filter}$skip=${query.skip}&$top=${query.take}&${COUNTED}&${SEMVER_LEVEL}`;
}

function contains(property: string, word: string): string {
  return `((${property}%20ne%20null)%20and%20substringof('${odataText(word)}',tolower(${property})))`;
}

export function updatesPath(packages: readonly PackageIdentity[], query: UpdatesQuery): string {
  const ids = packages.map(({ id }) => checkPackageId(id)).join('|');
  const versions = packages.map(({ version }) => version.toNormalizedString()).join('|');
  return (
    `/GetUpdates()?packageIds='${odataText(ids)}'&versions='${odataText(versions)}'` +
    `&includePrerelease=${query.includePrerelease}&includeAllVersions=${query.includeAllVersions}` +
    `&targetFrameworks='${odataText(query.frameworks.join('|'))}'` +
    `&versionConstraints='${odataText(query.constraints.join('|'))}'&${SEMVER_LEVEL}`
  );
}

export function packageIdsPath(prefix: string, includePrerelease: boolean): string {
  return `/package-ids?partialId=${encodeURIComponent(prefix)}&${prerelease(includePrerelease)}&${SEMVER_LEVEL}`;
}

export function packageVersionsPath(id: string, includePrerelease: boolean): string {
  return `/package-versions/${encodeURIComponent(checkPackageId(id))}?${prerelease(includePrerelease)}&${SEMVER_LEVEL}`;
}

/** These two come from .NET, where words for truth begin with a capital. */
function prerelease(include: boolean): string {
  return `includePrerelease=${include ? 'True' : 'False'}`;
}

function percent(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
}
