import { VersionRange } from '../../versions/version-range.js';
import { httpUrl, shownUrl } from '../endpoint-url.js';
import type { CallOptions } from '../feed.js';
import { asArray, asObject, asText, parseJson, parseJsonObject } from '../json.js';
import { mergeVulnerabilityIndexes, vulnerabilityKey } from '../merge-vulnerability-indexes.js';
import type { KnownVulnerability, VulnerabilityIndex } from '../model.js';
import { mapBounded } from './bounded.js';
import { readSeverity } from './catalog-entry.js';
import type { V3Source } from './v3-source.js';

/** Sources may have 16; some more are put up with. */
const MAX_PAGES = 32;
const MAX_INDEX_BYTES = 1024 * 1024;
const MAX_PAGE_BYTES = 32 * 1024 * 1024;
const CONCURRENCY = 4;
/** What a page's name may be, if it is to be that of a file too. */
const PAGE_NAME = /^[\w-]{1,32}$/;

interface VulnerabilityPage {
  readonly name: string | undefined;
  readonly url: string;
}

/**
 * All known vulnerabilities of packages; undefined when the source doesn't tell any. A page that fails fails it all:
 * what was only in that page would look like no vulnerability.
 */
export async function readKnownVulnerabilities(
  source: V3Source,
  options: CallOptions = {},
): Promise<VulnerabilityIndex | undefined> {
  const endpoint = source.offered(await source.index(options), 'vulnerabilities')?.[0];
  if (endpoint === undefined) return undefined;
  const { feed } = source;
  const pages = await feed.document(endpoint, {
    ...options,
    cacheKey: 'vuln_index',
    maxBytes: MAX_INDEX_BYTES,
    parse: (body, url) => parseIndex(source, body, url),
  });
  if (pages === undefined) throw missing(source, endpoint);
  const parts = await mapBounded(pages, CONCURRENCY, async ({ name, url }) => {
    const part = await feed.document(url, {
      ...options,
      cacheKey: name === undefined ? undefined : `vuln_data_${name}`,
      maxBytes: MAX_PAGE_BYTES,
      parse: (body, from) => parsePage(source, body, from),
    });
    return part ?? Promise.reject(missing(source, url));
  });
  // How severe it is may have been said anew.
  return mergeVulnerabilityIndexes(parts, (known) => `${known.severity} ${vulnerabilityKey(known)}`);
}

function missing(source: V3Source, url: string): Error {
  return source.error('PROTOCOL', `its known vulnerabilities aren't at ${shownUrl(url)}`, 404);
}

function parseIndex(source: V3Source, body: Buffer, url: string): readonly VulnerabilityPage[] {
  const items = parseJson(body, source.feed.name, url);
  if (!Array.isArray(items)) throw source.error('PROTOCOL', `${shownUrl(url)} is no index of vulnerabilities`);
  if (items.length > MAX_PAGES) {
    throw source.error('LIMIT', `its known vulnerabilities are in ${items.length} pages; at most ${MAX_PAGES} may be`);
  }
  return items.map((value) => {
    const item = asObject(value);
    const page = httpUrl(item?.['@id'], url);
    if (page === undefined) throw source.error('PROTOCOL', `a page in ${shownUrl(url)} has no URL`);
    const name = asText(item?.['@name']);
    return { name: name !== undefined && PAGE_NAME.test(name) ? name : undefined, url: page };
  });
}

function parsePage(source: V3Source, body: Buffer, url: string): VulnerabilityIndex {
  const page = new Map<string, KnownVulnerability[]>();
  let skipped = 0;
  for (const [id, values] of Object.entries(parseJsonObject(body, source.feed.name, url))) {
    const key = id.toLowerCase();
    // An id may come in many spellings.
    const known = page.get(key) ?? [];
    for (const value of asArray(values)) {
      const vulnerability = readVulnerability(value);
      if (vulnerability === undefined) skipped++;
      else known.push(vulnerability);
    }
    if (known.length > 0) page.set(key, known);
  }
  if (skipped > 0) source.logger.debug('{Count} vulnerabilities in {Url} make no sense', skipped, shownUrl(url));
  return page;
}

function readVulnerability(value: unknown): KnownVulnerability | undefined {
  const item = asObject(value);
  const advisoryUrl = asText(item?.['url']);
  const versions = asText(item?.['versions']);
  const range = versions === undefined ? undefined : VersionRange.tryParse(versions);
  if (advisoryUrl === undefined || range === undefined) return undefined;
  return { advisoryUrl, severity: readSeverity(item?.['severity']), range };
}
