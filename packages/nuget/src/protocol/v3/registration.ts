import { createHash } from 'node:crypto';
import { isNuGetError, SourceError } from '../../errors.js';
import { lowerId, type PackageIdentity } from '../../package-identity.js';
import { SourceCacheContext } from '../../source/source-cache-context.js';
import { NuGetVersion } from '../../versions/nuget-version.js';
import { below, httpUrl, shownUrl } from '../endpoint-url.js';
import type { CallOptions } from '../feed.js';
import { asArrayOrNone, asCount, asObject, type JsonObject, parseJsonObject } from '../json.js';
import type { PackageMetadata, RegistrationPagePlace } from '../model.js';
import { firstToAnswer, mapBounded } from './bounded.js';
import { entryVersion, isEntryOf, MetadataReader, type RegistrationEntry } from './catalog-entry.js';
import { mayHold, type RegistrationPage, type RegistrationPointer, readItems } from './registration-document.js';
import { PackagePages } from './templates.js';
import type { V3Source } from './v3-source.js';

/** Bounds of what one question may lead to. */
export interface RegistrationLimits {
  /** Documents fetched at the same time. */
  readonly concurrency: number;
  /** Documents fetched in all. */
  readonly maxDocuments: number;
}

/** An index leads to pages, and pages to versions; some more levels are put up with. */
const MAX_DEPTH = 4;
const MAX_ENTRY_BYTES = 4 * 1024 * 1024;

/** What a document of a registration says. Parsed as far as JSON: most of it nobody ever looks at. */
interface RegistrationDocument {
  readonly url: string;
  readonly items: readonly unknown[];
}

/**
 * What a source says of the versions of a package. An index holds pages, or says where they are; pages hold entries, or
 * say where those are. What makes no sense in them is left out, and the rest is as good as ever.
 */
export class Registration {
  readonly #source: V3Source;
  readonly #limits: RegistrationLimits;

  constructor(source: V3Source, limits: RegistrationLimits) {
    this.#source = source;
    this.#limits = limits;
  }

  /** What the source says of one version; fetches only pages that may hold it. */
  async get({ id, version }: PackageIdentity, options: CallOptions = {}): Promise<PackageMetadata | undefined> {
    const [found] = await this.#read(id, version, options);
    return found;
  }

  /** What the source says of all versions, in ascending order. */
  async list(id: string, options: CallOptions = {}): Promise<readonly PackageMetadata[]> {
    return await this.#read(id, undefined, options);
  }

  async #read(id: string, wanted: NuGetVersion | undefined, options: CallOptions): Promise<readonly PackageMetadata[]> {
    const name = lowerId(id);
    const index = await this.#source.index(options);
    const endpoints = this.#source.endpoints(index, 'registration');
    const pages = new PackagePages(index, this.#source.clientVersion);
    return await firstToAnswer(endpoints, options.signal, async (endpoint) => {
      const indexUrl = below(endpoint, name, 'index.json');
      const walk = (call: CallOptions) => new RegistrationWalk(this.#source, this.#limits, name, wanted, call);
      const first = walk(options);
      const found = await first.from(indexUrl).catch((error: unknown) => {
        if (!first.isOutdated) throw error;
        // The index is from a cache, or was there a moment before its pages were changed.
        const { cacheContext = new SourceCacheContext() } = options;
        return walk({ ...options, cacheContext: cacheContext.with({ maxAgeMs: 0 }) }).from(indexUrl);
      });
      const reader = new MetadataReader(pages, this.#source.logger);
      return found.map(({ entry, version, page }) => reader.read(entry, version, id, page));
    });
  }
}

/** Where a walk is. */
interface Place {
  /** Addresses of the documents that led there. */
  readonly above: readonly string[];
  readonly depth: number;
  /** The page of the index that led there. */
  readonly page: RegistrationPagePlace | undefined;
}

interface FoundEntry {
  readonly entry: RegistrationEntry;
  readonly version: NuGetVersion;
  readonly page: RegistrationPagePlace | undefined;
}

/** One way through the documents of a package. It sees no document twice and ends, whatever they point to. */
class RegistrationWalk {
  readonly #source: V3Source;
  readonly #limits: RegistrationLimits;
  readonly #lowerId: string;
  readonly #wanted: NuGetVersion | undefined;
  readonly #options: CallOptions;
  readonly #found: FoundEntry[] = [];
  readonly #seen = new Set<string>();
  #documents = 0;
  #skipped = 0;
  #isOutdated = false;

  constructor(
    source: V3Source,
    limits: RegistrationLimits,
    lowerId: string,
    wanted: NuGetVersion | undefined,
    options: CallOptions,
  ) {
    this.#source = source;
    this.#limits = limits;
    this.#lowerId = lowerId;
    this.#wanted = wanted;
    this.#options = options;
  }

  /** Whether a page wasn't where the registration said. */
  get isOutdated(): boolean {
    return this.#isOutdated;
  }

  /** The entries of all versions in ascending order, or of the wanted one. Each version is there once. */
  async from(indexUrl: string): Promise<readonly FoundEntry[]> {
    const index = await this.#document(indexUrl, `list_${this.#lowerId}_index`);
    if (index === undefined) return [];
    await this.#take(index, { above: [indexUrl], depth: 0, page: undefined });
    if (this.#skipped > 0) {
      const text = '{Count} entries about {PackageId} in the registration of {Source} are left out: they make no sense';
      this.#source.logger.debug(text, this.#skipped, this.#lowerId, this.#source.feed.name);
    }
    // All of it about something else: that is no way to say that there is no such package.
    if (this.#skipped > 0 && this.#found.length === 0 && this.#wanted === undefined) {
      throw this.#source.error('PROTOCOL', `${shownUrl(indexUrl)} says nothing about ${this.#lowerId}`);
    }
    return inOrder(this.#found);
  }

  async #take({ items, url }: RegistrationDocument, place: Place): Promise<void> {
    if (place.depth > MAX_DEPTH) throw this.#endless(url, 'is too deep');
    const { pages, entries, pointers, skipped } = readItems(items, url);
    this.#skipped += skipped;
    for (const entry of entries) this.#takeEntry(entry, place.page);
    const wanted = this.#wanted;
    const candidates = [...pages.entries()].filter(([, page]) => wanted === undefined || mayHold(page, wanted));
    const { concurrency } = this.#limits;
    await mapBounded(candidates, concurrency, ([number, page]) => {
      const first = place.page ?? { number, isInlined: page.items !== undefined };
      return this.#takePage(page, url, { ...place, page: first });
    });
    await mapBounded(pointers, concurrency, (pointer) => this.#follow(pointer, place.page));
  }

  /** @param place of the document that has the page in it, or says where it is */
  async #takePage(page: RegistrationPage, documentUrl: string, place: Place): Promise<void> {
    if (this.#isDone()) return;
    const { url, items } = page;
    const { above } = place;
    const depth = place.depth + 1;
    if (items !== undefined) return await this.#take({ items, url: documentUrl }, { ...place, depth });
    if (url === undefined) {
      this.#skipped++;
      return;
    }
    const address = withoutFragment(url);
    if (above.includes(address)) throw this.#endless(url, 'refers to itself');
    if (this.#seen.has(address)) return;
    const document = await this.#document(address, this.#pageKey(page));
    // Its versions would seem not to exist.
    if (document === undefined) {
      this.#isOutdated = true;
      throw this.#source.error('PROTOCOL', `${shownUrl(url)} isn't there, though the registration has it as a page`);
    }
    await this.#take(document, { ...place, above: [...above, address], depth });
  }

  #pageKey({ lower, upper }: RegistrationPage): string | undefined {
    if (lower === undefined || upper === undefined) return undefined;
    return `list_${this.#lowerId}_range_${lower.toNormalizedString()}-${upper.toNormalizedString()}`;
  }

  /** Entries have no name that is theirs alone but their URL. */
  #entryKey(url: string): string {
    return `list_${this.#lowerId}_entry_${createHash('sha256').update(url).digest('hex').slice(0, 32)}`;
  }

  #takeEntry(entry: RegistrationEntry, page: RegistrationPagePlace | undefined): void {
    const version = isEntryOf(entry, this.#lowerId) ? entryVersion(entry) : undefined;
    if (version === undefined) this.#skipped++;
    else if (this.#wanted === undefined || version.equals(this.#wanted)) this.#found.push({ entry, version, page });
  }

  /** Takes the entry that is in a document of its own, or in one that the leaf's own document points to. */
  async #follow(
    { leaf, entryUrl, leafUrl }: RegistrationPointer,
    page: RegistrationPagePlace | undefined,
  ): Promise<void> {
    if (this.#isDone()) return;
    let url = entryUrl;
    let beside = leaf;
    if (url === undefined && leafUrl !== undefined) {
      const document = await this.#fetchEntry(leafUrl);
      const inline = asObject(document?.['catalogEntry']);
      if (document !== undefined) beside = document;
      if (inline !== undefined) return this.#takeEntry({ entry: inline, leaf: beside, url: leafUrl }, page);
      url = httpUrl(document?.['catalogEntry'], leafUrl);
    }
    const entry = url === undefined ? undefined : await this.#fetchEntry(url);
    if (entry === undefined || url === undefined) this.#skipped++;
    else this.#takeEntry({ entry, leaf: beside, url }, page);
  }

  /** A document about one version; undefined when there is none, or it makes no sense. */
  async #fetchEntry(url: string): Promise<JsonObject | undefined> {
    this.#count(url);
    const { feed } = this.#source;
    try {
      return await feed.document(url, {
        ...this.#options,
        cacheKey: this.#entryKey(url),
        maxBytes: MAX_ENTRY_BYTES,
        parse: (body, from) => parseJsonObject(body, feed.name, from),
      });
    } catch (error) {
      if (isNuGetError(error) && error.code === 'PROTOCOL') return undefined;
      throw error;
    }
  }

  async #document(url: string, cacheKey: string | undefined): Promise<RegistrationDocument | undefined> {
    this.#count(url);
    const { feed } = this.#source;
    return await feed.document(url, {
      ...this.#options,
      cacheKey,
      parse: (body, from) => parseRegistration(body, feed.name, from),
    });
  }

  #count(url: string): void {
    this.#seen.add(url);
    if (++this.#documents > this.#limits.maxDocuments) {
      throw this.#endless(url, `is in more than ${this.#limits.maxDocuments} documents`);
    }
  }

  #isDone(): boolean {
    return this.#wanted !== undefined && this.#found.length > 0;
  }

  #endless(url: string, what: string): Error {
    return this.#source.error('LIMIT', `the registration of ${this.#lowerId} ${what} (${shownUrl(url)})`);
  }
}

/**
 * Parses an index or a page of a registration.
 *
 * @throws SourceError `PROTOCOL` when it is none
 */
function parseRegistration(body: Buffer, source: string, url: string): RegistrationDocument {
  const { items: said, count } = parseJsonObject(body, source, url);
  const items = asArrayOrNone(said);
  // What it counts and doesn't have would seem not to exist.
  if (items !== undefined && (said !== null || !asCount(count))) return { url, items };
  throw new SourceError('PROTOCOL', source, `${shownUrl(url)} is no registration: it has no items`);
}

/** Each version from the first page that has it: pages arrive in any order, and what is told mustn't depend on it. */
function inOrder(found: readonly FoundEntry[]): readonly FoundEntry[] {
  const place = ({ page }: FoundEntry) => page?.number ?? -1;
  const sorted = found.toSorted((a, b) => NuGetVersion.compare(a.version, b.version) || place(a) - place(b));
  return sorted.filter(({ version }, i) => i === 0 || !version.equals((sorted[i - 1] as FoundEntry).version));
}

function withoutFragment(url: string): string {
  const at = url.indexOf('#');
  return at === -1 ? url : url.slice(0, at);
}
