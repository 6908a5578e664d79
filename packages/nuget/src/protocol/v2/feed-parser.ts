import type { SaxesTagNS } from 'saxes';
import { NuGetVersion } from '../../versions/nuget-version.js';
import { httpUrl } from '../endpoint-url.js';
import type { FeedEntry } from './feed-entry.js';
import { type DocumentOrigin, notXml, readXml, tooMuch, type XmlHandler } from './xml-document.js';

/** One page of an OData feed, or a single entry as the only one on its page. */
export interface FeedPage {
  readonly entries: readonly FeedEntry[];
  /** Where the next page is, as an absolute URL. */
  readonly next: string | undefined;
  /** How many entries all pages have, where the source tells. */
  readonly count: number | undefined;
  /** How many entries are left out, because their version is none. */
  readonly skipped: number;
}

const ATOM = 'http://www.w3.org/2005/Atom';
const METADATA = 'http://schemas.microsoft.com/ado/2007/08/dataservices/metadata';
const DATA = 'http://schemas.microsoft.com/ado/2007/08/dataservices';

const MAX_ENTRIES = 20_000;
/** The longest release notes on nuget.org have 35,000 characters. */
const MAX_TEXT_LENGTH = 1024 * 1024;
const MAX_PROPERTIES = 200;

/**
 * Reads the answer to `FindPackagesById()`, `Search()`, `Packages(…)` and their like. Prefixes of namespaces don't
 * matter, links are resolved against `xml:base` and the document's URL, and entries that don't say their id have the one
 * that was asked for. One whose version is none is left out: the others are as good as ever.
 *
 * @throws {@link SourceError} `PROTOCOL` for anything else (a login page, a truncated document), `LIMIT` for more than
 * 20,000 entries, or a text of more than a million characters
 */
export function parseFeed(body: Buffer, origin: DocumentOrigin, requestedId?: string): FeedPage {
  const reader = new FeedReader(origin, requestedId);
  readXml(body, origin, reader);
  const { entries, next, count, skipped } = reader;
  return { entries, next, count, skipped };
}

/** An element that matters by where it is; everything else, and what is in it, is passed over. */
type Place = 'feed' | 'entry' | 'author' | 'content' | 'properties' | 'text' | 'other';

interface EntryDraft {
  readonly authors: string[];
  readonly properties: Map<string, string>;
  title?: string;
  summary?: string;
  contentUrl?: string | undefined;
}

class FeedReader implements XmlHandler {
  readonly entries: FeedEntry[] = [];
  next: string | undefined;
  count: number | undefined;
  skipped = 0;

  readonly #origin: DocumentOrigin;
  readonly #requestedId: string | undefined;
  readonly #places: Place[] = [];
  /** Base URL of each open element. */
  readonly #bases: string[] = [];
  #entry: EntryDraft | undefined;
  /** Takes the text of the element that is being read. */
  #take: ((text: string) => void) | undefined;
  #takenAt = 0;
  #text = '';

  constructor(origin: DocumentOrigin, requestedId: string | undefined) {
    this.#origin = origin;
    this.#requestedId = requestedId;
  }

  open(element: SaxesTagNS): void {
    const base = element.attributes['xml:base']?.value;
    this.#bases.push(base === undefined ? this.#base() : (this.#resolve(base) ?? this.#base()));
    this.#places.push(this.#enter(this.#places.at(-1), element));
  }

  text(text: string): void {
    if (this.#take === undefined) return;
    if (this.#text.length + text.length > MAX_TEXT_LENGTH) {
      throw tooMuch(this.#origin, `has a text of more than ${MAX_TEXT_LENGTH} characters`);
    }
    this.#text += text;
  }

  close(): void {
    const place = this.#places.pop();
    this.#bases.pop();
    if (place === 'entry') this.#finishEntry();
    else if (this.#take !== undefined && this.#places.length < this.#takenAt) {
      this.#take(this.#text);
      this.#take = undefined;
    }
  }

  #enter(parent: Place | undefined, element: SaxesTagNS): Place {
    const { uri, local } = element;
    const atom = uri === ATOM;
    switch (parent) {
      case undefined:
        if (atom && local === 'feed') return 'feed';
        if (atom && local === 'entry') return this.#startEntry();
        throw notXml(this.#origin, local.toLowerCase() === 'html' ? 'it is an HTML page' : `it begins with <${local}>`);
      case 'feed':
        if (atom && local === 'entry') return this.#startEntry();
        if (atom && local === 'link') this.#link(element);
        if (uri === METADATA && local === 'count') return this.#read(this.#setCount);
        return 'other';
      case 'entry':
        if (uri === METADATA && local === 'properties') return 'properties';
        if (!atom) return 'other';
        if (local === 'title') return this.#read((text) => this.#set('title', text));
        if (local === 'summary') return this.#read((text) => this.#set('summary', text));
        if (local === 'content') return this.#content(element);
        return local === 'author' ? 'author' : 'other';
      case 'content':
        // Entries without a stream of their own have their properties in here.
        return uri === METADATA && local === 'properties' ? 'properties' : 'other';
      case 'author':
        return atom && local === 'name' ? this.#read((text) => this.#entry?.authors.push(text)) : 'other';
      case 'properties':
        return uri === DATA && !isNull(element) ? this.#read((text) => this.#property(local, text)) : 'other';
      default:
        return 'other';
    }
  }

  /** All text up to this element's end, that of elements in it too. */
  #read(take: (text: string) => void): Place {
    this.#take = take;
    this.#takenAt = this.#places.length + 1;
    this.#text = '';
    return 'text';
  }

  #startEntry(): Place {
    if (this.entries.length + this.skipped === MAX_ENTRIES)
      throw tooMuch(this.#origin, `has more than ${MAX_ENTRIES} entries`);
    this.#entry = { authors: [], properties: new Map() };
    return 'entry';
  }

  #finishEntry(): void {
    const entry = this.#entry;
    if (entry === undefined) return;
    this.#entry = undefined;
    const id = entry.properties.get('Id') ?? (entry.title || this.#requestedId);
    const text = entry.properties.get('Version') ?? entry.properties.get('NormalizedVersion');
    if (id === undefined || text === undefined) {
      const shown = JSON.stringify(`${id} ${text}`.slice(0, 200));
      throw notXml(this.#origin, `it has an entry ${shown}, which is no package with a version`);
    }
    const version = NuGetVersion.tryParse(text);
    if (version === undefined) this.skipped++;
    else this.entries.push({ ...entry, id, version });
  }

  #set(field: 'title' | 'summary', text: string): void {
    if (this.#entry !== undefined) this.#entry[field] = text;
  }

  #property(name: string, text: string): void {
    const properties = this.#entry?.properties;
    if (properties === undefined || text === '') return;
    if (properties.size === MAX_PROPERTIES) {
      throw tooMuch(this.#origin, `has an entry with more than ${MAX_PROPERTIES} properties`);
    }
    properties.set(name, text);
  }

  #content(element: SaxesTagNS): Place {
    const src = element.attributes['src']?.value;
    if (src !== undefined && this.#entry !== undefined) this.#entry.contentUrl = this.#resolve(src);
    return 'content';
  }

  #link(element: SaxesTagNS): void {
    const href = element.attributes['href']?.value;
    if (this.next !== undefined || !href || element.attributes['rel']?.value.toLowerCase() !== 'next') return;
    this.next = this.#resolve(href);
    if (this.next === undefined)
      throw notXml(this.#origin, `its next page is at ${JSON.stringify(href.slice(0, 200))}`);
  }

  readonly #setCount = (text: string): void => {
    const count = Number(text.trim());
    if (Number.isSafeInteger(count) && count >= 0) this.count = count;
  };

  #base(): string {
    return this.#bases.at(-1) ?? this.#origin.url;
  }

  #resolve(reference: string): string | undefined {
    return httpUrl(reference, this.#base());
  }
}

function isNull(element: SaxesTagNS): boolean {
  for (const name in element.attributes) {
    const attribute = element.attributes[name];
    if (attribute?.uri === METADATA && attribute.local === 'null') return attribute.value === 'true';
  }
  return false;
}
