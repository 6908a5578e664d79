import { NuGetVersion } from '../../versions/nuget-version.js';
import { httpUrl } from '../endpoint-url.js';
import { asObject, asText, asTexts, type JsonObject } from '../json.js';
import type { RegistrationEntry } from './catalog-entry.js';

/** Some versions of a package: in the document, or in another one that is to be fetched. */
export interface RegistrationPage {
  /** What is in it, where it is there already. */
  readonly items: readonly unknown[] | undefined;
  /** Where it is, where it can be fetched. */
  readonly url: string | undefined;
  readonly lower: NuGetVersion | undefined;
  readonly upper: NuGetVersion | undefined;
}

/** One version that a document only points to: where its catalog entry, or else its leaf, is. */
export interface RegistrationPointer {
  readonly leaf: JsonObject;
  readonly entryUrl: string | undefined;
  readonly leafUrl: string | undefined;
}

/** What is in the `items` of a document, and what made no sense. */
export interface RegistrationItems {
  readonly pages: readonly RegistrationPage[];
  readonly entries: readonly RegistrationEntry[];
  readonly pointers: readonly RegistrationPointer[];
  readonly skipped: number;
}

/** Sorts what an index or a page holds: feeds write pages into indexes, and entries into either. */
export function readItems(items: readonly unknown[], url: string): RegistrationItems {
  const pages: RegistrationPage[] = [];
  const entries: RegistrationEntry[] = [];
  const pointers: RegistrationPointer[] = [];
  let skipped = 0;
  for (const value of items) {
    const item = asObject(value);
    const entry = asObject(item?.['catalogEntry']);
    if (item === undefined) skipped++;
    else if (entry !== undefined) entries.push({ entry, leaf: item, url });
    else if (isPage(item)) pages.push(readPage(item, url));
    else if (item['catalogEntry'] === undefined && typeof item['version'] === 'string') {
      entries.push({ entry: item, leaf: item, url });
    } else {
      const entryUrl = httpUrl(item['catalogEntry'], url);
      const leafUrl = httpUrl(item['@id'], url);
      if (entryUrl === undefined && leafUrl === undefined) skipped++;
      else pointers.push({ leaf: item, entryUrl, leafUrl });
    }
  }
  return { pages, entries, pointers, skipped };
}

/** Whether a page may hold a version: it may when it doesn't say what it holds. */
export function mayHold({ lower, upper }: RegistrationPage, version: NuGetVersion): boolean {
  if (lower !== undefined && NuGetVersion.compare(version, lower) < 0) return false;
  return upper === undefined || NuGetVersion.compare(version, upper) <= 0;
}

function isPage(item: JsonObject): boolean {
  if (item['catalogEntry'] !== undefined) return false;
  if (['items', 'lower', 'upper', 'count'].some((name) => item[name] !== undefined)) return true;
  return asTexts(item['@type']).includes('catalog:CatalogPage');
}

function readPage(item: JsonObject, url: string): RegistrationPage {
  return {
    items: Array.isArray(item['items']) ? item['items'] : undefined,
    url: httpUrl(item['@id'], url),
    lower: bound(item['lower']),
    upper: bound(item['upper']),
  };
}

function bound(value: unknown): NuGetVersion | undefined {
  const text = asText(value);
  return text === undefined ? undefined : NuGetVersion.tryParse(text);
}
