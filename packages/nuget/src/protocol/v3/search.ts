import { checkPackageId, lowerVersion } from '../../package-identity.js';
import { NuGetVersion } from '../../versions/nuget-version.js';
import { shownUrl, withQuery } from '../endpoint-url.js';
import type { CallOptions } from '../feed.js';
import {
  asArray,
  asArrayOrNone,
  asBoolean,
  asCount,
  asList,
  asObject,
  asText,
  type JsonObject,
  parseJsonObject,
} from '../json.js';
import type { SearchOptions, SearchPage, SearchResult } from '../model.js';
import { type ResultPage, resultPage } from '../result-page.js';
import { firstToAnswer } from './bounded.js';
import { readDeprecation, readVulnerabilities } from './catalog-entry.js';
import type { Endpoints, V3Source } from './v3-source.js';

const MAX_BYTES = 32 * 1024 * 1024;

type Parameters = readonly (readonly [name: string, value: string])[];

/** Packages by what people type, and ids by how they begin. Nothing of it is kept. */
export class Search {
  readonly #source: V3Source;

  constructor(source: V3Source) {
    this.#source = source;
  }

  /** @throws NuGetError `INVALID_OPTION` for a skip or take that is no number of results */
  async find(query: string, search: SearchOptions = {}, options: CallOptions = {}): Promise<SearchPage> {
    const { packageType, supportedFrameworks = [] } = search;
    const { wanted, parameters } = page(search);
    const index = await this.#source.index(options);
    const byType = packageType === undefined ? undefined : this.#source.offered(index, 'searchByPackageType');
    const endpoints = byType ?? this.#source.endpoints(index, 'search');
    const answer = await this.#ask(options, endpoints, [
      ['q', query],
      ...parameters,
      ...supportedFrameworks.map((framework) => ['supportedFramework', framework] as const),
      ...(packageType === undefined ? [] : [['packageType', packageType] as const]),
    ]);
    const results: SearchResult[] = [];
    for (const value of onPage(answer.data, answer, wanted)) {
      if (results.length === wanted.take) break;
      const result = readResult(value);
      if (result === undefined)
        this.#source.logger.debug('A search result of {Source} makes no sense', this.#source.feed.name);
      else if (isOfType(result, packageType)) results.push(result);
    }
    return { total: answer.total, results };
  }

  /** Ids that begin with a text. Sources look for words anywhere in ids, so some of what they find is left out. */
  async ids(prefix: string, search: SearchOptions = {}, options: CallOptions = {}): Promise<readonly string[]> {
    const { wanted, parameters } = page(search);
    if (wanted.take === 0) return [];
    const packageType = search.packageType === undefined ? [] : [['packageType', search.packageType] as const];
    const endpoints = this.#source.endpoints(await this.#source.index(options), 'autocomplete');
    const answer = await this.#ask(options, endpoints, [['q', prefix], ...parameters, ...packageType]);
    const start = prefix.toLowerCase();
    const ids = answer.data.filter((id): id is string => typeof id === 'string' && id.toLowerCase().startsWith(start));
    return onPage(ids, answer, wanted).slice(0, wanted.take);
  }

  /** Listed versions of a package in ascending order. */
  async versions(
    id: string,
    search: Pick<SearchOptions, 'includePrerelease' | 'semVer2'> = {},
    options: CallOptions = {},
  ): Promise<readonly NuGetVersion[]> {
    const endpoints = this.#source.endpoints(await this.#source.index(options), 'autocomplete');
    const parameters = [['id', checkPackageId(id)] as const, ...common(search)];
    const { data } = await this.#ask(options, endpoints, parameters);
    return data
      .map((text) => (typeof text === 'string' ? NuGetVersion.tryParse(text) : undefined))
      .filter((version) => version !== undefined)
      .sort(NuGetVersion.compare);
  }

  async #ask(options: CallOptions, endpoints: Endpoints, parameters: Parameters): Promise<Answer> {
    const { feed } = this.#source;
    return await firstToAnswer(endpoints, options.signal, async (endpoint) => {
      const answer = await feed.document(withQuery(endpoint, parameters), {
        ...options,
        cacheKey: undefined,
        maxBytes: MAX_BYTES,
        parse: (body, url) => this.#parse(body, url),
      });
      if (answer !== undefined) return answer;
      // An index may name what its source hasn't got. That says nothing of how the source does.
      throw this.#source.error('UNSUPPORTED', `there is nothing at ${shownUrl(endpoint)}`, 404);
    });
  }

  #parse(body: Buffer, url: string): Answer {
    const { totalHits, ...answer } = parseJsonObject(body, this.#source.feed.name, url);
    const data = asArrayOrNone(answer['data']);
    if (data !== undefined) return { data, total: asCount(totalHits) };
    throw this.#source.error('PROTOCOL', `${shownUrl(url)} answered with something that is no result of a search`);
  }
}

interface Answer {
  readonly data: readonly unknown[];
  readonly total: number | undefined;
}

function page(search: SearchOptions): { readonly wanted: ResultPage; readonly parameters: Parameters } {
  const { skip, take } = resultPage(search);
  return { wanted: { skip, take }, parameters: [['skip', `${skip}`], ['take', `${take}`], ...common(search)] };
}

/**
 * Feeds that are made of files have one for all searches: whatever is asked for, it begins with the first result. It says that
 * it has all of them, and there are more than were asked for.
 */
function onPage<T>(results: readonly T[], { data, total }: Answer, { skip, take }: ResultPage): readonly T[] {
  return data.length > take && total === data.length ? results.slice(skip) : results;
}

function common({ includePrerelease = false, semVer2 = true }: SearchOptions): Parameters {
  const prerelease = ['prerelease', `${includePrerelease}`] as const;
  return semVer2 ? [prerelease, ['semVerLevel', '2.0.0']] : [prerelease];
}

/** Sources that know nothing of package types find packages of all of them, and say of none which it is. */
function isOfType({ packageTypes }: SearchResult, wanted: string | undefined): boolean {
  if (wanted === undefined || packageTypes.length === 0) return true;
  return packageTypes.some((type) => type.toLowerCase() === wanted.toLowerCase());
}

function readResult(value: unknown): SearchResult | undefined {
  const result = asObject(value);
  const id = asText(result?.['id']);
  const version = typeof result?.['version'] === 'string' ? NuGetVersion.tryParse(result['version']) : undefined;
  if (result === undefined || id === undefined || version === undefined) return undefined;
  const versions = readVersions(result, version);
  return {
    id,
    version,
    title: asText(result['title']),
    description: asText(result['description']),
    summary: asText(result['summary']),
    authors: asList(result['authors'], /,/),
    owners: asList(result['owners'], /,/),
    tags: asList(result['tags'], /[\s,;]+/),
    iconUrl: asText(result['iconUrl']),
    projectUrl: asText(result['projectUrl']),
    licenseUrl: asText(result['licenseUrl']),
    totalDownloads: asCount(result['totalDownloads']) ?? sumOf(versions),
    verified: asBoolean(result['verified']) ?? false,
    packageTypes: asArray(result['packageTypes'])
      .map((type) => asText(asObject(type)?.['name']))
      .filter((name) => name !== undefined),
    versions,
    vulnerabilities: readVulnerabilities(result['vulnerabilities']),
    deprecation: readDeprecation(result['deprecation']),
  };
}

/** The versions that the result lists, and the one that it is about when that isn't among them. */
function readVersions(result: JsonObject, newest: NuGetVersion): SearchResult['versions'] {
  const versions = new Map<string, SearchResult['versions'][number]>();
  for (const value of asArray(result['versions'])) {
    const item = asObject(value);
    const version = typeof item?.['version'] === 'string' ? NuGetVersion.tryParse(item['version']) : undefined;
    if (version !== undefined)
      versions.set(lowerVersion(version), { version, downloads: asCount(item?.['downloads']) });
  }
  if (!versions.has(lowerVersion(newest))) versions.set(lowerVersion(newest), { version: newest });
  return [...versions.values()];
}

function sumOf(versions: SearchResult['versions']): number | undefined {
  const known = versions.map(({ downloads }) => downloads).filter((downloads) => downloads !== undefined);
  return known.length === 0 ? undefined : known.reduce((sum, downloads) => sum + downloads, 0);
}
