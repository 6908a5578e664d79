import { NuGetVersion } from '@granary/nuget';
import type { DependencyGroupRecord, PackageRecord } from '../feed/package-record.js';
import { isSemVer2 } from '../feed/sem-ver-2.js';
import type { FeedUrls, RegistrationHive } from '../http/feed-urls.js';

/** Versions of a page where the source has none, or several sources tell of the package. */
const PAGE_VERSIONS = 64;
/** Up to so many pages of that kind are in the index itself. */
const INLINED_PAGES = 2;
/** Most versions between bounds that are from an older index, or made up, where no page of today has them at its beginning. */
const MAX_PAGE_VERSIONS = 4 * PAGE_VERSIONS;

/**
 * Most versions of a page of the source, and of all those that are in its index: some 10 MB with their dependencies, whose
 * writing keeps all other requests waiting.
 */
const MAX_DOCUMENT_VERSIONS = 4096;

/** A record with its version parsed once. */
interface Entry {
  readonly record: PackageRecord;
  readonly parsed: NuGetVersion;
  /** Normalized, without metadata. */
  readonly version: string;
}

interface Page {
  /** At least one. */
  readonly entries: readonly Entry[];
  readonly isInlined: boolean;
}

/**
 * The documents of one package in one hive (NuGet's registration resource, 3.0.0 to 3.6.0). Hives older than 3.6.0 are
 * for clients that don't understand SemVer 2, and leave such versions out. Its pages are those of the one source that tells
 * of the package, with the same ones in the index; what isn't in such pages gets pages of its own.
 */
export class Registration {
  readonly #urls: FeedUrls;
  readonly #hive: RegistrationHive;
  readonly #id: string;
  readonly #entries: readonly Entry[];

  /** @param records of one package, ascending */
  constructor(urls: FeedUrls, hive: RegistrationHive, id: string, records: readonly PackageRecord[]) {
    this.#urls = urls;
    this.#hive = hive;
    this.#id = id;
    this.#entries = (hive === 'registration-gz-semver2' ? records : withoutSemVer2(records)).map(entryOf);
  }

  /** Undefined when the hive has no version of it. */
  index(): object | undefined {
    const pages = this.#pages;
    if (pages.length === 0) return undefined;
    return {
      '@id': this.#index,
      '@type': ['catalog:CatalogRoot', 'PackageRegistration', 'catalog:Permalink'],
      count: pages.length,
      items: pages.map(({ entries, isInlined }) => this.#page(entries, isInlined)),
    };
  }

  /**
   * The versions between two bounds, both included; undefined when there is none. Clients keep indexes for half an hour,
   * so that a page must be there under the bounds that it had before a version was added.
   */
  page(lower: NuGetVersion, upper: NuGetVersion): object | undefined {
    const entries = this.#entries.filter(({ parsed }) => {
      return NuGetVersion.compare(parsed, lower) >= 0 && NuGetVersion.compare(parsed, upper) <= 0;
    });
    const [first, last] = [entries[0], entries.at(-1)];
    if (first === undefined || last === undefined) return undefined;
    const isNamed = first.parsed.equals(lower) && last.parsed.equals(upper);
    const isSmall = entries.length <= MAX_PAGE_VERSIONS;
    return isSmall || (isNamed && this.#isBeginningOfPage(entries)) ? this.#page(entries, true) : undefined;
  }

  leaf(version: NuGetVersion): object | undefined {
    const entry = this.#entryOf(version);
    if (entry === undefined) return undefined;
    const { record } = entry;
    return {
      '@id': this.#leafUrl(entry),
      '@type': ['Package', 'http://schema.nuget.org/catalog#Permalink'],
      catalogEntry: this.#catalogUrl(entry),
      listed: record.listed,
      packageContent: this.#urls.package(this.#id, entry.version),
      published: publishedOf(record),
      registration: this.#index,
    };
  }

  /** What its index says of a version, as a document of its own, with what nobody needs of all versions at once. */
  catalogEntry(version: NuGetVersion): object | undefined {
    const entry = this.#entryOf(version);
    if (entry === undefined) return undefined;
    const { releaseNotes, copyright, packageHash, packageSize } = entry.record;
    return {
      ...this.#catalogEntry(entry, this.#urls.package(this.#id, entry.version)),
      releaseNotes,
      copyright,
      packageHash: packageHash?.value,
      packageHashAlgorithm: packageHash?.algorithm,
      packageSize,
    };
  }

  #entryOf(version: NuGetVersion): Entry | undefined {
    return this.#entries.find(({ parsed }) => parsed.equals(version));
  }

  get #pages(): readonly Page[] {
    return pagesOfSource(this.#entries) ?? pagesOf(this.#entries);
  }

  /** Or a whole page. */
  #isBeginningOfPage(entries: readonly Entry[]): boolean {
    return this.#pages.some((page) => page.entries[0] === entries[0] && page.entries.length >= entries.length);
  }

  get #index(): string {
    return this.#urls.registrationIndex(this.#hive, this.#id);
  }

  #page(entries: readonly Entry[], withItems: boolean): object {
    const lower = (entries[0] as Entry).version;
    const upper = (entries.at(-1) as Entry).version;
    return {
      '@id': this.#urls.registrationPage(this.#hive, this.#id, lower, upper),
      '@type': 'catalog:CatalogPage',
      count: entries.length,
      lower,
      upper,
      parent: this.#index,
      ...(withItems && { items: entries.map((entry) => this.#item(entry)) }),
    };
  }

  #item(entry: Entry): object {
    const packageContent = this.#urls.package(this.#id, entry.version);
    return {
      '@id': this.#leafUrl(entry),
      '@type': 'Package',
      catalogEntry: this.#catalogEntry(entry, packageContent),
      packageContent,
      registration: this.#index,
    };
  }

  /** A record as the catalog has it. Keys whose value is undefined are not written. */
  #catalogEntry(entry: Entry, packageContent: string): object {
    const { record } = entry;
    const urls = this.#urls;
    return {
      '@id': this.#catalogUrl(entry),
      '@type': 'PackageDetails',
      id: record.id,
      version: record.version,
      title: record.title,
      description: record.description,
      summary: record.summary,
      authors: record.authors.join(', '),
      language: record.language,
      iconUrl: urls.icon(record),
      projectUrl: urls.outward(record.projectUrl),
      licenseUrl: urls.outward(record.licenseUrl),
      licenseExpression: record.licenseExpression,
      requireLicenseAcceptance: record.requireLicenseAcceptance ?? false,
      minClientVersion: record.minClientVersion,
      tags: record.tags,
      listed: record.listed,
      published: publishedOf(record),
      packageContent,
      dependencyGroups: record.dependencyGroups.map((group) => this.#dependencyGroup(group)),
      deprecation: record.deprecation,
      vulnerabilities: vulnerabilitiesOf(urls, record),
    };
  }

  #dependencyGroup({ targetFramework, dependencies }: DependencyGroupRecord): object {
    return {
      '@type': 'PackageDependencyGroup',
      targetFramework,
      dependencies: dependencies.map(({ id, range }) => {
        const registration = this.#urls.registrationIndex(this.#hive, id);
        return { '@type': 'PackageDependency', id, range, registration };
      }),
    };
  }

  #leafUrl({ version }: Entry): string {
    return this.#urls.registrationLeaf(this.#hive, this.#id, version);
  }

  #catalogUrl({ version }: Entry): string {
    return this.#urls.catalogEntry(this.#hive, this.#id, version);
  }
}

/** What isn't listed has no date that older clients would believe. */
const UNLISTED = '1900-01-01T00:00:00+00:00';

function publishedOf({ listed, published }: PackageRecord): string | undefined {
  return listed ? published : UNLISTED;
}

function entryOf(record: PackageRecord): Entry {
  const parsed = NuGetVersion.parse(record.version);
  return { record, parsed, version: parsed.toNormalizedString() };
}

function withoutSemVer2(records: readonly PackageRecord[]): readonly PackageRecord[] {
  return records.filter((record) => !isSemVer2(record));
}

/** As registrations and searches have them. */
export function vulnerabilitiesOf(urls: FeedUrls, { id, vulnerabilities }: PackageRecord): object[] | undefined {
  return vulnerabilities?.map(({ advisoryUrl, severity }) => {
    return { advisoryUrl: urls.advisory(advisoryUrl, id), severity: String(severity) };
  });
}

/**
 * Undefined where it isn't known of every version, where a document would be too large, or where pages lie across each
 * other. A page is a range of versions here: two pages that take turns would become as many as there are versions, and
 * clients ask for each.
 */
function pagesOfSource(entries: readonly Entry[]): readonly Page[] | undefined {
  const pages = new Map<number, { readonly entries: Entry[]; readonly isInlined: boolean }>();
  let before: number | undefined;
  for (const entry of entries) {
    const { page } = entry.record;
    if (page === undefined) return undefined;
    const known = pages.get(page.number);
    if (known === undefined) pages.set(page.number, { entries: [entry], isInlined: page.isInlined });
    else if (page.number === before) known.entries.push(entry);
    else return undefined;
    before = page.number;
  }
  const all = [...pages.values()];
  return mostInDocument(all) > MAX_DOCUMENT_VERSIONS ? undefined : all;
}

function mostInDocument(pages: readonly Page[]): number {
  let most = 0;
  let inlined = 0;
  for (const { entries, isInlined } of pages) {
    if (isInlined) inlined += entries.length;
    most = Math.max(most, inlined, entries.length);
  }
  return most;
}

function pagesOf(entries: readonly Entry[]): readonly Page[] {
  const isInlined = entries.length <= INLINED_PAGES * PAGE_VERSIONS;
  const pages: Page[] = [];
  for (let i = 0; i < entries.length; i += PAGE_VERSIONS) {
    pages.push({ entries: entries.slice(i, i + PAGE_VERSIONS), isInlined });
  }
  return pages;
}
