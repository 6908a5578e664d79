import type { FeedUrls } from '../../http/feed-urls.js';
import type { PackageEntry } from '../lists/package-history.js';
import { PACKAGE_PROPERTIES, type PackageProperty, publishedOf } from './package-properties.js';
import { type Attributes, XmlWriter } from './xml-writer.js';

/** Namespaces of the root of every document with packages in it. */
export const ATOM_NAMESPACES: Attributes = {
  xmlns: 'http://www.w3.org/2005/Atom',
  'xmlns:d': 'http://schemas.microsoft.com/ado/2007/08/dataservices',
  'xmlns:m': 'http://schemas.microsoft.com/ado/2007/08/dataservices/metadata',
};

const CATEGORY: Attributes = {
  term: 'NuGetGallery.OData.V2FeedPackage',
  scheme: 'http://schemas.microsoft.com/ado/2007/08/dataservices/scheme',
};

/** The document that is a single package. */
export function entryDocument(urls: FeedUrls, entry: PackageEntry): string {
  const xml = new XmlWriter();
  writeEntry(xml, urls, entry, { 'xml:base': `${urls.v2}/`, ...ATOM_NAMESPACES });
  return xml.toString();
}

/** A package in Atom: some clients read its properties, others the same from Atom's own elements. */
export function writeEntry(xml: XmlWriter, urls: FeedUrls, entry: PackageEntry, attributes: Attributes = {}): void {
  const { id, authors, summary } = entry.record;
  const version = entry.version.toNormalizedString();
  const key = `Packages(Id='${encodeURIComponent(id)}',Version='${encodeURIComponent(version)}')`;
  xml.element('entry', attributes, () => {
    xml.leaf('id', `${urls.v2}/${key}`);
    xml.empty('category', CATEGORY);
    xml.empty('link', { rel: 'edit', title: 'V2FeedPackage', href: key });
    xml.leaf('title', id, { type: 'text' });
    xml.leaf('summary', summary ?? '', { type: 'text' });
    xml.leaf('updated', atomDate(publishedOf(entry)));
    xml.element('author', {}, () => xml.leaf('name', authors.join(', ')));
    xml.empty('link', { rel: 'edit-media', title: 'V2FeedPackage', href: `${key}/$value` });
    xml.empty('content', { type: 'application/zip', src: packageUrl(urls, id, version) });
    xml.element('m:properties', {}, () => {
      for (const property of PACKAGE_PROPERTIES) writeProperty(xml, property, property.read(entry, urls));
    });
  });
}

/** Where protocol 2 has a package's bytes. */
export function packageUrl(urls: FeedUrls, id: string, version: string): string {
  return `${urls.v2}/package/${encodeURIComponent(id)}/${encodeURIComponent(version)}`;
}

export function atomDate(ms: number): string {
  return new Date(ms).toISOString();
}

function writeProperty(xml: XmlWriter, { name, type }: PackageProperty, value: ReturnType<PackageProperty['read']>) {
  const attributes = { 'm:type': type === 'Edm.String' ? undefined : type };
  if (value === null) xml.empty(`d:${name}`, { ...attributes, 'm:null': 'true' });
  // Without a zone: it is UTC.
  else if (type === 'Edm.DateTime') xml.leaf(`d:${name}`, atomDate(Number(value)).slice(0, -1), attributes);
  else xml.leaf(`d:${name}`, String(value), attributes);
}
