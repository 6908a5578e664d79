import { NuGetVersion } from '../../versions/nuget-version.js';
import { VersionRange } from '../../versions/version-range.js';
import type { FeedPackage, FeedPackages } from './feed-packages.js';
import { compileFilter, compileOrder, ODataError, type ODataRecord } from './odata-filter.js';
import { deletePackage, pushPackage, relistPackage } from './publishing.js';
import { json, problem, type Reply } from './reply.js';
import type { FeedRequest } from './request-log.js';
import type { FeedSettings } from './settings.js';
import { atomEntry, atomFeed, packageRecord } from './v2-atom.js';
import { metadataDocument, serviceDocument } from './v2-metadata.js';

export interface V2Context {
  readonly packages: FeedPackages;
  readonly settings: FeedSettings;
  /** URL of the feed as this client sees it, without a slash at its end. */
  readonly base: string;
  /** Each page names another one, or the same again. */
  readonly endless: 'never' | 'on' | 'repeat';
}

const FEED = 'application/atom+xml;type=feed;charset=utf-8';
const ENTRY = 'application/atom+xml;type=entry;charset=utf-8';

/** Everything below `/api/v2`. `path` is what comes after that. */
export async function answerV2(request: FeedRequest, path: string, context: V2Context): Promise<Reply> {
  if (request.method === 'GET' || request.method === 'HEAD') {
    try {
      return read(request, path, context);
    } catch (error) {
      if (error instanceof ODataError) return problem(400, error.message);
      throw error;
    }
  }
  const { packages, settings } = context;
  if (request.method === 'PUT' && /^(?:\/(?:package\/?)?)?$/i.test(path)) return pushPackage(request, packages);
  const [, id, version] = /^(?:\/package)?\/([^/]+)\/([^/]+)$/i.exec(path) ?? [];
  if (id !== undefined && version !== undefined) {
    if (request.method === 'DELETE') return deletePackage(packages, id, version, settings.deletes);
    if (request.method === 'POST') return relistPackage(packages, id, version);
  }
  return problem(405, `${request.method} is not allowed here`);
}

function read(request: FeedRequest, path: string, context: V2Context): Reply {
  const { packages, base } = context;
  if (path === '' || path === '/') return xmlReply(serviceDocument(base), 'application/xml');
  if (/^\/\$metadata$/i.test(path)) return xmlReply(metadataDocument(), 'application/xml');
  const [, service, argument] = /^\/(package-ids|package-versions|package)(?:\/(.+))?$/i.exec(path) ?? [];
  if (service !== undefined) return plainService(request, service.toLowerCase(), argument, packages);

  const call = /^\/(\w+)(?:\((.*)\))?(\/\$count)?$/.exec(path);
  const visible = packages.all({ semVer2: semVer2(request) });
  const latest = latestOf(visible);
  const records = (some: readonly FeedPackage[]) => some.map((pkg) => packageRecord(pkg, latest(pkg)));
  const list = (name: string, some: readonly FeedPackage[]): Reply =>
    listReply(request, name, records(some), call?.[3] !== undefined, context);
  switch (call?.[1]?.toLowerCase()) {
    case 'packages': {
      const key = /^Id='((?:[^']|'')*)',Version='((?:[^']|'')*)'$/i.exec(call[2] ?? '');
      if (key === null) return list('Packages', visible);
      const pkg = packages.find(unquote(key[1] ?? ''), unquote(key[2] ?? ''));
      if (pkg === undefined) return problem(404, 'there is no such package');
      return xmlReply(atomEntry(base, packageRecord(pkg, latest(pkg)), true), ENTRY, packages.changed);
    }
    case 'findpackagesbyid': {
      const id = literal(request, 'id').toLowerCase();
      return list(
        'FindPackagesById',
        visible.filter((pkg) => pkg.id.toLowerCase() === id),
      );
    }
    case 'search': {
      const found = packages.search(literal(request, 'searchTerm'), visible);
      const prerelease = literal(request, 'includePrerelease') === 'true';
      return list(
        'Search',
        found.filter((pkg) => prerelease || !pkg.version.isPrerelease),
      );
    }
    case 'getupdates':
      return list('GetUpdates', updates(request, visible));
    default:
      return problem(404, 'there is no such service');
  }
}

/** What isn't OData: packages themselves, and completions in JSON. */
function plainService(request: FeedRequest, service: string, argument = '', packages: FeedPackages): Reply {
  if (service === 'package') {
    const [id = '', version] = argument.split('/');
    const pkg = version === undefined ? packages.latest(id) : packages.find(id, version);
    return pkg === undefined ? problem(404, 'there is no such package') : packageReply(pkg);
  }
  const prerelease = request.query.get('includePrerelease')?.toLowerCase() === 'true';
  const listed = packages
    .all({ semVer2: semVer2(request) })
    .filter((pkg) => pkg.listed && (prerelease || !pkg.version.isPrerelease));
  if (service === 'package-ids') {
    const prefix = (request.query.get('partialId') ?? '').toLowerCase();
    const ids = listed.filter(({ id }) => id.toLowerCase().startsWith(prefix)).map(({ id }) => id);
    return json([...new Set(ids)].slice(0, 30));
  }
  const id = argument.toLowerCase();
  return json(listed.filter((pkg) => pkg.id.toLowerCase() === id).map(({ version }) => version.toNormalizedString()));
}

export function packageReply(pkg: FeedPackage): Reply {
  return { status: 200, body: pkg.content, contentType: 'application/octet-stream', modified: pkg.created };
}

function updates(request: FeedRequest, visible: readonly FeedPackage[]): FeedPackage[] {
  const versions = literal(request, 'versions').split('|');
  const constraints = literal(request, 'versionConstraints').split('|');
  const prerelease = literal(request, 'includePrerelease') === 'true';
  const all = literal(request, 'includeAllVersions') === 'true';
  return literal(request, 'packageIds')
    .split('|')
    .flatMap((id, index) => {
      const installed = NuGetVersion.tryParse(versions[index] ?? '');
      if (installed === undefined) return [];
      const constraint = constraints[index] ? VersionRange.parse(constraints[index]) : undefined;
      const newer = visible.filter(
        (pkg) =>
          pkg.id.toLowerCase() === id.toLowerCase() &&
          pkg.listed &&
          (prerelease || !pkg.version.isPrerelease) &&
          pkg.version.compareTo(installed) > 0 &&
          (constraint?.satisfies(pkg.version) ?? true),
      );
      return all ? newer : newer.slice(-1);
    });
}

function listReply(
  request: FeedRequest,
  name: string,
  found: readonly ODataRecord[],
  countOnly: boolean,
  { base, packages, settings, endless }: V2Context,
): Reply {
  const { query } = request;
  const filter = query.get('$filter');
  const order = query.get('$orderby');
  const accepts = filter ? compileFilter(filter) : undefined;
  const records = accepts === undefined ? [...found] : found.filter((record) => accepts(record));
  if (order) records.sort(compileOrder(order, byVersion));
  const skip = whole(query, '$skip') ?? 0;
  const top = whole(query, '$top') ?? Number.POSITIVE_INFINITY;
  const selected = records.slice(skip, skip + top);
  if (countOnly) return { status: 200, body: String(selected.length), contentType: 'text/plain' };

  const from = whole(query, '$skiptoken') ?? 0;
  const endlessly = endless !== 'never';
  const page = endlessly ? selected.slice(0, settings.pageSize) : selected.slice(from, from + settings.pageSize);
  const more = endlessly || from + page.length < selected.length;
  const token = endless === 'repeat' ? 1 : from + Math.max(page.length, 1);
  const next = more ? nextPage(base, request, token) : undefined;
  const count = query.get('$inlinecount') === 'allpages' ? records.length : undefined;
  return xmlReply(atomFeed(base, name, page, { next, count }), FEED, packages.changed);
}

function nextPage(base: string, request: FeedRequest, token: number): string {
  const [path = '', search = ''] = request.target.split('?');
  const kept = search.split('&').filter((part) => part !== '' && !/^(?:\$|%24)skiptoken=/i.test(part));
  const below = path.slice(path.toLowerCase().indexOf('/api/v2') + '/api/v2'.length);
  return `${base}${below}?${[...kept, `$skiptoken=${token}`].join('&')}`;
}

/** Which of the listed versions of each package is the newest, with prereleases and without. */
function latestOf(packages: readonly FeedPackage[]): (pkg: FeedPackage) => { stable: boolean; absolute: boolean } {
  const stable = new Map<string, FeedPackage>();
  const absolute = new Map<string, FeedPackage>();
  for (const pkg of packages) {
    if (!pkg.listed) continue;
    const id = pkg.id.toLowerCase();
    absolute.set(id, pkg);
    if (!pkg.version.isPrerelease) stable.set(id, pkg);
  }
  return (pkg) => {
    const id = pkg.id.toLowerCase();
    return { stable: stable.get(id) === pkg, absolute: absolute.get(id) === pkg };
  };
}

function semVer2({ query }: FeedRequest): boolean {
  return /^2(?:\.0){0,2}$/.test(query.get('semVerLevel') ?? '');
}

function xmlReply(body: string, contentType: string, modified?: Date): Reply {
  return { status: 200, body, contentType, modified, headers: { dataserviceversion: '2.0;' } };
}

/** A parameter of a function: quoted if it is a text. */
function literal({ query }: FeedRequest, name: string): string {
  const value = query.get(name) ?? '';
  return /^'.*'$/s.test(value) ? unquote(value.slice(1, -1)) : value;
}

function unquote(text: string): string {
  return text.replaceAll("''", "'");
}

function whole(query: URLSearchParams, name: string): number | undefined {
  const value = query.get(name);
  if (value === null) return undefined;
  if (!/^\d{1,9}$/.test(value)) throw new ODataError(`${name} is no number`);
  return Number(value);
}

function byVersion(a: string, b: string): number {
  return NuGetVersion.compare(NuGetVersion.parse(a), NuGetVersion.parse(b));
}
