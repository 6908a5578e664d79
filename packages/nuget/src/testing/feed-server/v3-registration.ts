import type { FeedPackage, FeedPackages } from './feed-packages.js';
import { json, problem, type Reply } from './reply.js';
import type { V3Context } from './v3-protocol.js';

/** The three forms of registrations: without SemVer 2, the same compressed, and everything compressed. */
export interface Hive {
  readonly folder: string;
  readonly gzip: boolean;
  readonly semVer2: boolean;
}

export const HIVES: readonly Hive[] = [
  { folder: 'registration5', gzip: false, semVer2: false },
  { folder: 'registration5-gz', gzip: true, semVer2: false },
  { folder: 'registration5-gz-semver2', gzip: true, semVer2: true },
];

const CONTEXT = { '@vocab': 'http://schema.nuget.org/schema#', catalog: 'http://schema.nuget.org/catalog#' };

/** `{id}/index.json`, `{id}/page/{lower}/{upper}.json` and `{id}/{version}.json`, all in lower case. */
export function answerRegistration(hive: Hive, path: string, context: V3Context): Reply {
  const { packages, settings, base } = context;
  const [, id = '', rest = ''] = /^([^/]+)\/(.+)\.json$/.exec(path) ?? [];
  const versions = id === id.toLowerCase() ? packages.versions(id).filter((pkg) => hive.semVer2 || !pkg.semVer2) : [];
  const urls = new RegistrationUrls(`${base}/${hive.folder}/${id}`, base, hive);
  const reply = (value: unknown): Reply => ({ ...json(value, packages.changed), alwaysGzip: hive.gzip });
  if (versions.length === 0) return problem(404, 'there is no such package');

  const pages = inPages(versions, settings.registrationPageSize);
  if (rest === 'index') {
    const inlined = settings.registration === 'inlined';
    const items = pages.map((page) => registrationPage(page, urls, context, inlined));
    const type = ['catalog:CatalogRoot', 'PackageRegistration', 'catalog:Permalink'];
    return reply({
      '@id': urls.index,
      '@type': type,
      ...commit(packages),
      count: items.length,
      items,
      '@context': CONTEXT,
    });
  }
  if (rest.startsWith('page/')) {
    const page = pages.find((some) => pageName(some) === rest);
    if (page === undefined) return problem(404, 'there is no such page');
    return reply({ ...registrationPage(page, urls, context, true), '@context': CONTEXT });
  }
  const pkg = versions.find((one) => fileVersion(one) === rest);
  return pkg === undefined ? problem(404, 'there is no such version') : reply(leafDocument(pkg, urls));
}

export class RegistrationUrls {
  readonly index: string;
  readonly #root: string;
  readonly #base: string;
  readonly #hive: Hive;

  constructor(root: string, base: string, hive: Hive) {
    this.#root = root;
    this.#base = base;
    this.#hive = hive;
    this.index = `${root}/index.json`;
  }

  page(page: readonly FeedPackage[]): string {
    return `${this.#root}/${pageName(page)}.json`;
  }

  inlinedPage(page: readonly FeedPackage[]): string {
    return `${this.index}#${pageName(page)}`;
  }

  leaf(pkg: FeedPackage): string {
    return `${this.#root}/${fileVersion(pkg)}.json`;
  }

  content(pkg: FeedPackage): string {
    const id = pkg.id.toLowerCase();
    return `${this.#base}/flat/${id}/${fileVersion(pkg)}/${id}.${fileVersion(pkg)}.nupkg`;
  }

  of(id: string): string {
    return `${this.#base}/${this.#hive.folder}/${id.toLowerCase()}/index.json`;
  }
}

/** A version as files are named after it. */
export function fileVersion(pkg: FeedPackage): string {
  return pkg.version.toNormalizedString().toLowerCase();
}

function pageName(page: readonly FeedPackage[]): string {
  const [lower, upper] = [page[0], page.at(-1)];
  return `page/${lower && fileVersion(lower)}/${upper && fileVersion(upper)}`;
}

function inPages(versions: readonly FeedPackage[], size: number): FeedPackage[][] {
  const pages: FeedPackage[][] = [];
  for (let start = 0; start < versions.length; start += size) pages.push(versions.slice(start, start + size));
  return pages;
}

function registrationPage(page: readonly FeedPackage[], urls: RegistrationUrls, context: V3Context, whole: boolean) {
  const { packages } = context;
  return {
    '@id': whole && context.settings.registration === 'inlined' ? urls.inlinedPage(page) : urls.page(page),
    '@type': 'catalog:CatalogPage',
    ...commit(packages),
    count: page.length,
    ...(whole ? { items: page.map((pkg) => leafInPage(pkg, urls, context)) } : {}),
    parent: urls.index,
    lower: page[0]?.version.toNormalizedString(),
    upper: page.at(-1)?.version.toNormalizedString(),
  };
}

function leafInPage(pkg: FeedPackage, urls: RegistrationUrls, context: V3Context) {
  return {
    '@id': urls.leaf(pkg),
    '@type': 'Package',
    ...commit(context.packages),
    catalogEntry: catalogEntry(pkg, urls, context),
    packageContent: urls.content(pkg),
    registration: urls.index,
  };
}

function leafDocument(pkg: FeedPackage, urls: RegistrationUrls) {
  return {
    '@id': urls.leaf(pkg),
    '@type': ['Package', 'http://schema.nuget.org/catalog#Permalink'],
    catalogEntry: `${urls.leaf(pkg)}#catalog`,
    listed: pkg.listed,
    packageContent: urls.content(pkg),
    published: published(pkg),
    registration: urls.index,
    '@context': CONTEXT,
  };
}

function catalogEntry(pkg: FeedPackage, urls: RegistrationUrls, context: V3Context) {
  const { metadata } = pkg;
  const id = `${urls.leaf(pkg)}#catalog`;
  const vulnerabilities = context.vulnerabilitiesOf(pkg);
  return {
    '@id': id,
    '@type': 'PackageDetails',
    authors: metadata.authors.join(', '),
    dependencyGroups: pkg.dependencyGroups.map(({ framework, dependencies }) => ({
      '@type': 'PackageDependencyGroup',
      ...(framework === '' ? {} : { targetFramework: framework }),
      ...(dependencies.length === 0
        ? {}
        : {
            dependencies: dependencies.map((dependency) => ({
              '@type': 'PackageDependency',
              id: dependency.id,
              range: dependency.range,
              registration: urls.of(dependency.id),
            })),
          }),
    })),
    description: metadata.description ?? '',
    iconUrl: metadata.iconUrl ?? '',
    id: pkg.id,
    language: metadata.language ?? '',
    licenseExpression: metadata.license?.type === 'expression' ? metadata.license.value : '',
    licenseUrl: metadata.licenseUrl ?? '',
    listed: pkg.listed,
    minClientVersion: metadata.minClientVersion ?? '',
    packageContent: urls.content(pkg),
    projectUrl: metadata.projectUrl ?? '',
    published: published(pkg),
    requireLicenseAcceptance: metadata.requireLicenseAcceptance,
    summary: metadata.summary ?? '',
    tags: metadata.tags.length > 0 ? metadata.tags : [''],
    title: metadata.title ?? '',
    version: pkg.version.toFullString(),
    ...(vulnerabilities.length > 0 ? { vulnerabilities } : {}),
  };
}

function published(pkg: FeedPackage): string {
  return pkg.listed ? pkg.published.toISOString().replace('Z', '+00:00') : '1900-01-01T00:00:00+00:00';
}

function commit(packages: FeedPackages) {
  return { commitId: '00000000-0000-0000-0000-000000000000', commitTimeStamp: packages.changed.toISOString() };
}
