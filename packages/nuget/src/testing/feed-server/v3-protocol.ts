import { createHash } from 'node:crypto';
import { VersionRange } from '../../versions/version-range.js';
import type { FeedPackage, FeedPackages } from './feed-packages.js';
import { deletePackage, pushPackage, relistPackage } from './publishing.js';
import { json, problem, type Reply } from './reply.js';
import type { FeedRequest } from './request-log.js';
import type { FeedSettings } from './settings.js';
import { packageReply } from './v2-protocol.js';
import { answerRegistration, fileVersion, HIVES, RegistrationUrls } from './v3-registration.js';

export interface V3Context {
  readonly packages: FeedPackages;
  readonly settings: FeedSettings;
  /** URL of everything of this protocol as this client sees it, without a slash at its end. */
  readonly base: string;
  /** URL of the feed in the older protocol. */
  readonly v2: string;
  vulnerabilitiesOf(pkg: FeedPackage): readonly { readonly advisoryUrl: string; readonly severity: string }[];
}

/** Everything below `/v3`. `path` is what comes after that. */
export async function answerV3(request: FeedRequest, path: string, context: V3Context): Promise<Reply> {
  const [, service = '', rest = ''] = /^\/([^/]+)(?:\/(.*))?$/.exec(path) ?? [];
  if (service === 'package') return publish(request, rest, context);
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return problem(405, `${request.method} is not allowed here`);
  const hive = HIVES.find(({ folder }) => folder === service);
  if (hive !== undefined) return answerRegistration(hive, rest, context);
  switch (service) {
    case 'index.json':
      return json(serviceIndex(context), context.packages.changed);
    case 'flat':
      return flatContainer(rest, context);
    case 'readme':
      return beside(`${rest}/readme`, context);
    case 'query':
      return search(request, context);
    case 'autocomplete':
      return autocomplete(request, context);
    case 'vulnerabilities':
      return vulnerabilities(rest, context);
    case 'signatures':
      return signatures(rest, context);
    default:
      return problem(404, 'there is no such resource');
  }
}

function serviceIndex({ base, v2, settings }: V3Context) {
  const [plain, compressed, everything] = HIVES.map(({ folder }) => `${base}/${folder}/`);
  const resources: [id: string | undefined, ...types: string[]][] = [
    [`${base}/query`, ...versioned('SearchQueryService', '', '/3.0.0-beta', '/3.0.0-rc', '/3.5.0')],
    [`${base}/autocomplete`, ...versioned('SearchAutocompleteService', '', '/3.0.0-beta', '/3.0.0-rc', '/3.5.0')],
    [plain, ...versioned('RegistrationsBaseUrl', '', '/3.0.0-beta', '/3.0.0-rc')],
    [compressed, 'RegistrationsBaseUrl/3.4.0'],
    [everything, 'RegistrationsBaseUrl/3.6.0'],
    [`${base}/flat/`, 'PackageBaseAddress/3.0.0'],
    [`${base}/package`, 'PackagePublish/2.0.0'],
    [`${base}/package`, 'SymbolPackagePublish/4.9.0'],
    [v2, 'LegacyGallery', 'LegacyGallery/2.0.0'],
    [`${base}/report/{id}/{version}`, ...versioned('ReportAbuseUriTemplate', '/3.0.0-beta', '/3.0.0-rc')],
    [`${base}/details/{id}/{version}?_src=template`, 'PackageDetailsUriTemplate/5.1.0'],
    [`${base}/readme/{lower_id}/{lower_version}`, 'ReadmeUriTemplate/6.13.0'],
    [`${plain}{id-lower}/index.json`, 'PackageDisplayMetadataUriTemplate/3.0.0-rc'],
    [`${plain}{id-lower}/{version-lower}.json`, 'PackageVersionDisplayMetadataUriTemplate/3.0.0-rc'],
    [`${base}/vulnerabilities/index.json`, 'VulnerabilityInfo/6.7.0'],
  ];
  if (settings.repositorySignatures) {
    resources.push([`${base}/signatures/index.json`, ...versioned('RepositorySignatures', '/4.7.0', '/4.9.0')]);
    resources.push([`${base}/signatures/5.0.0/index.json`, 'RepositorySignatures/5.0.0']);
  }
  const listed: { '@id': string | undefined; '@type': string; clientVersion?: string }[] = resources.flatMap(
    ([id, ...types]) => types.map((type) => ({ '@id': id, '@type': type })),
  );
  // NuGet's own clients don't look for 3.6.0: this is how they find what knows SemVer 2.
  listed.push({ '@id': everything, '@type': 'RegistrationsBaseUrl/Versioned', clientVersion: '4.3.0-alpha' });
  return {
    version: '3.0.0',
    resources: listed.filter((resource) => !settings.withoutResources?.test(resource['@type'])),
    '@context': {
      '@vocab': 'http://schema.nuget.org/services#',
      comment: 'http://www.w3.org/2000/01/rdf-schema#comment',
    },
  };
}

/** The certificates, and each of them as `{fingerprint}.crt`. */
function signatures(path: string, { base, settings }: V3Context): Reply {
  const { repositorySignatures: said } = settings;
  const { allRepositorySigned, certificates } =
    typeof said === 'object' ? said : { allRepositorySigned: false, certificates: [] };
  const byFingerprint = new Map(
    certificates.map((bytes) => [createHash('sha256').update(bytes).digest('hex'), bytes] as const),
  );
  if (path === 'index.json' || path === '5.0.0/index.json') {
    const signingCertificates = Array.from(byFingerprint.keys(), (fingerprint) => ({
      fingerprints: { '2.16.840.1.101.3.4.2.1': fingerprint },
      subject: `CN=${fingerprint.slice(0, 8)}`,
      issuer: 'CN=feed.test',
      notBefore: '2024-01-01T00:00:00.0000000Z',
      notAfter: '2034-01-01T00:00:00.0000000Z',
      contentUrl: `${base}/signatures/${fingerprint}.crt`,
    }));
    return json({ allRepositorySigned: allRepositorySigned && path !== 'index.json', signingCertificates });
  }
  const bytes = byFingerprint.get(path.replace(/\.crt$/, ''));
  if (bytes === undefined) return problem(404, 'there is no such certificate');
  return { status: 200, contentType: 'application/pkix-cert', body: bytes };
}

function versioned(type: string, ...versions: string[]): string[] {
  return versions.map((version) => type + version);
}

/** Everything here is in lower case, and nothing else is found, as on nuget.org. */
function flatContainer(path: string, context: V3Context): Reply {
  const { packages } = context;
  const [id = '', version = '', file, more] = path.split('/');
  const versions = id === id.toLowerCase() ? packages.versions(id) : [];
  if (version === 'index.json' && file === undefined && versions.length > 0) {
    return json({ versions: versions.map(fileVersion) }, packages.changed);
  }
  const pkg = versions.find((one) => fileVersion(one) === version);
  if (pkg === undefined || more !== undefined) return problem(404, 'there is no such package');
  if (file === `${id}.${version}.nupkg`) return packageReply(pkg);
  if (file === `${id}.nuspec`) {
    return { status: 200, body: pkg.nuspec, contentType: 'application/xml', modified: pkg.created };
  }
  return beside(path, context);
}

function beside(path: string, { settings }: V3Context): Reply {
  const bytes = settings.beside.get(path);
  if (bytes === undefined) return problem(404, 'there is no such file');
  return { status: 200, contentType: 'application/octet-stream', body: bytes };
}

function search(request: FeedRequest, context: V3Context): Reply {
  const { packages, base } = context;
  const { query } = request;
  const type = query.get('packageType')?.toLowerCase();
  const found = grouped(packages.search(query.get('q') ?? '', visible(request, packages)), type);
  const hive = HIVES[semVer2(query) ? 2 : 0];
  const data = paged(query, found).map((versions) => {
    const newest = versions[versions.length - 1] as FeedPackage;
    const { metadata } = newest;
    const urls =
      hive === undefined
        ? undefined
        : new RegistrationUrls(`${base}/${hive.folder}/${newest.id.toLowerCase()}`, base, hive);
    return {
      '@id': urls?.index,
      '@type': 'Package',
      registration: urls?.index,
      id: newest.id,
      version: newest.version.toFullString(),
      description: metadata.description ?? '',
      summary: metadata.summary ?? '',
      title: metadata.title ?? newest.id,
      ...(metadata.iconUrl === undefined ? {} : { iconUrl: metadata.iconUrl }),
      ...(metadata.licenseUrl === undefined ? {} : { licenseUrl: metadata.licenseUrl }),
      ...(metadata.projectUrl === undefined ? {} : { projectUrl: metadata.projectUrl }),
      tags: metadata.tags,
      authors: metadata.authors,
      owners: metadata.owners,
      totalDownloads: versions.reduce((sum, { downloads }) => sum + downloads, 0),
      verified: false,
      packageTypes: newest.packageTypes.map((name) => ({ name })),
      versions: versions.map((pkg) => ({
        version: pkg.version.toFullString(),
        downloads: pkg.downloads,
        '@id': urls?.leaf(pkg),
      })),
      vulnerabilities: context.vulnerabilitiesOf(newest),
    };
  });
  return json({
    '@context': { '@vocab': 'http://schema.nuget.org/schema#', '@base': `${base}/` },
    totalHits: found.length,
    data,
  });
}

function autocomplete(request: FeedRequest, { packages }: V3Context): Reply {
  const { query } = request;
  const some = visible(request, packages);
  const id = query.get('id')?.toLowerCase();
  if (id !== undefined) {
    const versions = some
      .filter((pkg) => pkg.id.toLowerCase() === id)
      .map(({ version }) => version.toNormalizedString());
    return json({ totalHits: versions.length, data: versions });
  }
  const prefix = (query.get('q') ?? '').toLowerCase();
  const groups = grouped(some, query.get('packageType')?.toLowerCase());
  const ids = groups.map(([first]) => first?.id ?? '').filter((name) => name.toLowerCase().startsWith(prefix));
  return json({ totalHits: ids.length, data: paged(query, ids) });
}

function vulnerabilities(path: string, { packages, settings, base }: V3Context): Reply {
  const updated = packages.changed.toISOString();
  // The newest belong into the second document, as they do on nuget.org.
  const half = Math.ceil(settings.vulnerabilities.length / 2);
  const pages = { base: settings.vulnerabilities.slice(0, half), update: settings.vulnerabilities.slice(half) };
  if (path === 'index.json') {
    const names = Object.keys(pages);
    return json(
      names.map((name) => ({ '@name': name, '@id': `${base}/vulnerabilities/${name}.json`, '@updated': updated })),
    );
  }
  const page = path === 'base.json' ? pages.base : path === 'update.json' ? pages.update : undefined;
  if (page === undefined) return problem(404, 'there is no such page');
  const byId = new Map<string, object[]>();
  for (const { id, severity, url, versions } of page) {
    const known = byId.get(id.toLowerCase()) ?? [];
    byId.set(id.toLowerCase(), [...known, { severity, url, versions }]);
  }
  return json(Object.fromEntries(byId), packages.changed);
}

/** What the settings say of one version, as registrations and searches have it. */
export function knownVulnerabilities(settings: FeedSettings) {
  return ({ id, version }: FeedPackage) =>
    settings.vulnerabilities
      .filter((one) => one.id.toLowerCase() === id.toLowerCase() && VersionRange.parse(one.versions).satisfies(version))
      .map(({ url, severity }) => ({ advisoryUrl: url, severity: String(severity) }));
}

async function publish(request: FeedRequest, path: string, { packages, settings }: V3Context): Promise<Reply> {
  if (request.method === 'PUT' && path === '') return pushPackage(request, packages);
  const [id, version, more] = path.split('/');
  if (id && version && more === undefined) {
    if (request.method === 'DELETE') return deletePackage(packages, id, version, settings.deletes);
    if (request.method === 'POST') return relistPackage(packages, id, version);
  }
  return problem(405, `${request.method} is not allowed here`);
}

/** What searches show to this client. */
function visible({ query }: FeedRequest, packages: FeedPackages): FeedPackage[] {
  const prerelease = query.get('prerelease') === 'true';
  const some = packages.all({ semVer2: semVer2(query) });
  return some.filter(({ listed, version }) => listed && (prerelease || !version.isPrerelease));
}

function semVer2(query: URLSearchParams): boolean {
  return /^2(?:\.0){0,2}$/.test(query.get('semVerLevel') ?? '');
}

/** The versions of each package together, where the newest of them is of a type. */
function grouped(packages: readonly FeedPackage[], type: string | undefined): FeedPackage[][] {
  const groups = new Map<string, FeedPackage[]>();
  for (const pkg of packages) {
    const id = pkg.id.toLowerCase();
    const group = groups.get(id);
    if (group === undefined) groups.set(id, [pkg]);
    else group.push(pkg);
  }
  const all = [...groups.values()];
  return type === undefined || type === ''
    ? all
    : all.filter((versions) => versions.at(-1)?.packageTypes.some((name) => name.toLowerCase() === type));
}

function paged<T>(query: URLSearchParams, items: readonly T[]): T[] {
  const skip = Number(query.get('skip') ?? 0) || 0;
  const take = Number(query.get('take') ?? 20);
  return items.slice(skip, skip + take);
}
