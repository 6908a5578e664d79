import type { FeedUrls } from '../../http/feed-urls.js';
import type { PackageEntry } from '../lists/package-history.js';
import { ATOM_NAMESPACES, atomDate, writeEntry } from './entry-document.js';
import { publishedOf } from './package-properties.js';
import { XmlWriter } from './xml-writer.js';

export interface FeedDocumentInit {
  /** What was asked for: `Packages`, `Search`, … */
  readonly name: string;
  readonly entries: readonly PackageEntry[];
  /** How many there are on all pages; undefined when nobody asked. */
  readonly count: number | undefined;
  /** The whole URL of the next page. */
  readonly next: string | undefined;
}

/** A page of packages. */
export function feedDocument(urls: FeedUrls, { name, entries, count, next }: FeedDocumentInit): string {
  const xml = new XmlWriter();
  xml.element('feed', { 'xml:base': `${urls.v2}/`, ...ATOM_NAMESPACES }, () => {
    if (count !== undefined) xml.leaf('m:count', String(count));
    xml.leaf('id', `${urls.v2}/${name}`);
    xml.leaf('title', name, { type: 'text' });
    xml.leaf('updated', atomDate(Math.max(0, ...entries.map(publishedOf))));
    xml.empty('link', { rel: 'self', title: name, href: name });
    // Atom wants an author where entries have none.
    if (entries.length === 0) xml.element('author', {}, () => xml.empty('name'));
    for (const entry of entries) writeEntry(xml, urls, entry);
    if (next !== undefined) xml.empty('link', { rel: 'next', href: next });
  });
  return xml.toString();
}
