import type { FeedUrls } from '../http/feed-urls.js';

export interface ServiceIndexOptions {
  /** Whether packages can be pushed here. */
  readonly canPublish: boolean;
  readonly hasVulnerabilities: boolean;
}

/**
 * What the feed offers: every type under all the names by which clients of some age look for it.
 *
 * @param hasSignatures whether it says something of the signatures of its packages
 */
export function serviceIndex(
  urls: FeedUrls,
  { canPublish, hasVulnerabilities }: ServiceIndexOptions,
  hasSignatures = false,
): object {
  const resources: object[] = [];
  const offer = (id: string, comment: string, ...types: string[]) => {
    for (const type of types) resources.push({ '@id': id, '@type': type, comment });
  };
  offer(urls.flatContainer, 'Packages, manifests and lists of versions', 'PackageBaseAddress/3.0.0');
  offer(
    urls.registration('registration'),
    'Package metadata, without packages of SemVer 2',
    'RegistrationsBaseUrl',
    'RegistrationsBaseUrl/3.0.0-beta',
    'RegistrationsBaseUrl/3.0.0-rc',
  );
  offer(
    urls.registration('registration-gz'),
    'Package metadata, compressed, without packages of SemVer 2',
    'RegistrationsBaseUrl/3.4.0',
  );
  offer(
    urls.registration('registration-gz-semver2'),
    'Package metadata, compressed, with packages of SemVer 2',
    'RegistrationsBaseUrl/3.6.0',
  );
  // Where NuGet.Client looks first: it takes the newest hive that its own version is up to, and some know no 3.6.0.
  resources.push({
    '@id': urls.registration('registration-gz-semver2'),
    '@type': 'RegistrationsBaseUrl/Versioned',
    clientVersion: '4.3.0-alpha',
  });
  offer(urls.search, 'Search', ...searchTypes('SearchQueryService'), 'SearchQueryService/3.4.0');
  offer(urls.autocomplete, 'Completion of ids and versions', ...searchTypes('SearchAutocompleteService'));
  offer(urls.detailsTemplate, 'A page about a package', 'PackageDetailsUriTemplate/5.1.0');
  offer(urls.readmeTemplate, 'The readme of a package', 'ReadmeUriTemplate/6.13.0');
  offer(
    urls.reportAbuseTemplate,
    'Where to report a package',
    'ReportAbuseUriTemplate/3.0.0-beta',
    'ReportAbuseUriTemplate/3.0.0-rc',
    'ReportAbuseUriTemplate/3.0.0',
  );
  offer(urls.legacyGallery, 'The same feed in protocol 2', 'LegacyGallery', 'LegacyGallery/2.0.0');
  if (canPublish) offer(urls.publish, 'Push, unlist and relist', 'PackagePublish/2.0.0');
  if (hasVulnerabilities) offer(urls.vulnerabilities, 'Known vulnerabilities', 'VulnerabilityInfo/6.7.0');
  if (hasSignatures) {
    const comment = 'Certificates that packages are signed with';
    offer(urls.signatures(), comment, 'RepositorySignatures/4.7.0', 'RepositorySignatures/4.9.0');
    offer(urls.signatures('5.0.0'), comment, 'RepositorySignatures/5.0.0');
  }
  return { version: '3.0.0', resources };
}

const searchTypes = (type: string): string[] => [type, `${type}/3.0.0-beta`, `${type}/3.0.0-rc`, `${type}/3.5.0`];
