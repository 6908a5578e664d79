import type { SearchAnswer, SearchHit } from '../feed/feed-content.js';
import type { FeedUrls, RegistrationHive } from '../http/feed-urls.js';
import { vulnerabilitiesOf } from './registration.js';

/**
 * What a search answers with (search resource, 3.0.0 to 3.5.0).
 *
 * @param hive where it leads to: one that the client understands
 */
export function searchDocument(urls: FeedUrls, answer: SearchAnswer, hive: RegistrationHive): object {
  return { totalHits: answer.total, data: answer.hits.map((hit) => searchResult(urls, hit, hive)) };
}

function searchResult(urls: FeedUrls, hit: SearchHit, hive: RegistrationHive): object {
  const { record, versions, totalDownloads, verified } = hit;
  const registration = urls.registrationIndex(hive, record.id);
  return {
    '@id': registration,
    '@type': 'Package',
    registration,
    id: record.id,
    version: record.version,
    title: record.title ?? record.id,
    description: record.description ?? '',
    summary: record.summary ?? '',
    authors: record.authors,
    owners: record.owners,
    tags: record.tags,
    iconUrl: urls.icon(record),
    licenseUrl: urls.outward(record.licenseUrl),
    projectUrl: urls.outward(record.projectUrl),
    totalDownloads,
    verified,
    packageTypes: (record.packageTypes ?? ['Dependency']).map((name) => ({ name })),
    versions: versions.map(({ version, downloads }) => {
      const plain = version.split('+', 1)[0] as string;
      return { '@id': urls.registrationLeaf(hive, record.id, plain), version, downloads };
    }),
    deprecation: record.deprecation,
    vulnerabilities: vulnerabilitiesOf(urls, record),
  };
}

/** Ids, or the versions of one id (autocomplete resource). */
export function autocompleteDocument(data: readonly string[]): object {
  return { totalHits: data.length, data };
}
