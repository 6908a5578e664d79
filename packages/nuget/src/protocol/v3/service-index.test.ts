import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isNuGetError } from '../../errors.js';
import { NuGetVersion } from '../../versions/nuget-version.js';
import { ServiceIndex, type ServiceResource } from './service-index.js';

const URL = 'https://feed.test/v3/index.json';
const CLIENT = NuGetVersion.parse('6.14.0');

const parse = (document: unknown) =>
  ServiceIndex.parse(Buffer.from(typeof document === 'string' ? document : JSON.stringify(document)), 'feed', URL);
const index = (...resources: readonly unknown[]) => parse({ version: '3.0.0', resources });
const urls = (from: ServiceIndex, resource: ServiceResource, client = CLIENT) =>
  from.endpoints(resource, client).map(({ url }) => url);
const resource = (type: unknown, id: unknown = `https://feed.test/${type}`, more: object = {}) => ({
  '@id': id,
  '@type': type,
  ...more,
});

describe('a service index', () => {
  it.each([['3.0.0'], ['3.1.0-beta.2'], ['3.99.1']])('may have version %s', (version) => {
    expect(parse({ version, resources: [] }).version.toNormalizedString()).toBe(version);
  });

  it.each([
    ['HTML of a login page', '\n<!DOCTYPE html><html><body>Sign in</body></html>', /web page/],
    ['no JSON', 'nothing', /no JSON/],
    ['nothing', '', /no JSON/],
    ['an array', '[]', /no object/],
    ['null', 'null', /no object/],
    ['no version', { resources: [] }, /no version/],
    ['a number as version', { version: 3, resources: [] }, /no version/],
    ['version 2', { version: '2.0.0', resources: [] }, /version is 2.0.0/],
    ['version 4', { version: '4.0.0', resources: [] }, /version is 4.0.0/],
    ['no resources', { version: '3.0.0' }, /no resources/],
  ])('is a protocol error when it is %s', (_, document, message) => {
    const error = thrownBy(() => parse(document));
    expect(error).toMatchObject({ code: 'PROTOCOL', source: 'feed' });
    expect(String(error)).toMatch(message);
  });

  it('looks at 16 client versions of a resource: with as many types, a long list would make far more than was sent', () => {
    const newer = Array.from({ length: 16 }, (_, i) => `99.0.${i}`);
    const withVersions = (clientVersion: readonly string[]) =>
      urls(index(resource('PackageBaseAddress/Versioned', 'https://feed.test/c/', { clientVersion })), 'flatContainer');
    expect(withVersions([...newer.slice(1), '4.0.0'])).toEqual(['https://feed.test/c/']);
    expect(withVersions([...newer, '4.0.0'])).toEqual([]);
  });

  it('may begin with a byte order mark', () => {
    expect(parse('\u{feff}{"version":"3.0.0","resources":[]}').url).toBe(URL);
  });

  it('may be in UTF-16, if its byte order mark says so', () => {
    const little = Buffer.from('\u{feff}{"version":"3.0.0","resources":[]}', 'utf16le');
    for (const body of [little, Buffer.from(little).swap16()]) {
      expect(ServiceIndex.parse(body, 'feed', URL).version.toString()).toBe('3.0.0');
    }
  });

  it('knows where everything lies, whatever it is', () => {
    const all = index(
      resource('SearchQueryService', 'https://search.test/query'),
      resource('SearchQueryService/3.5.0', 'https://search.test/query'),
      resource('PackageDetailsUriTemplate/5.1.0', 'https://www.test/packages/{id}/{version}?_src=template'),
      resource('Unheard.Of/1.0.0', '../flat/'),
      resource('Other/1.0.0', 'file:///etc/passwd'),
      resource('{None}', '{nothing}'),
      resource('None', 7),
    );
    expect(all.addresses).toEqual([
      URL,
      'https://search.test/query',
      'https://www.test/packages/',
      'https://feed.test/flat/',
    ]);
  });

  it('gives the best type that it has of each resource', () => {
    const all = index(
      resource('RegistrationsBaseUrl', 'https://feed.test/plain'),
      resource('RegistrationsBaseUrl/3.0.0-beta', 'https://feed.test/beta'),
      resource('RegistrationsBaseUrl/3.4.0', 'https://feed.test/gzip'),
      resource('RegistrationsBaseUrl/3.6.0', 'https://feed.test/semver2'),
      resource('RepositorySignatures/4.7.0', 'https://feed.test/old'),
      resource('RepositorySignatures/5.0.0', 'https://feed.test/new'),
    );
    expect(urls(all, 'registration')).toEqual(['https://feed.test/semver2']);
    expect(urls(all, 'repositorySignatures')).toEqual(['https://feed.test/new']);
    expect(urls(all, 'search')).toEqual([]);
  });

  it.each<[ServiceResource, string]>([
    ['registration', 'RegistrationsBaseUrl'],
    ['registration', 'RegistrationsBaseUrl/3.0.0'],
    ['registration', 'RegistrationsBaseUrl/3.0.0-rc'],
    ['flatContainer', 'PackageBaseAddress/3.0.0'],
    ['search', 'SearchQueryService'],
    ['search', 'SearchQueryService/3.0.0'],
    ['search', 'SearchQueryService/3.0.0-rc'],
    ['search', 'SearchQueryService/3.0.0-beta'],
    ['search', 'SearchQueryService/3.5.0'],
    ['autocomplete', 'SearchAutocompleteService'],
    ['autocomplete', 'SearchAutocompleteService/3.0.0'],
    ['autocomplete', 'SearchAutocompleteService/3.5.0'],
    ['publish', 'PackagePublish/2.0.0'],
    ['symbolPublish', 'SymbolPackagePublish/4.9.0'],
    ['vulnerabilities', 'VulnerabilityInfo/6.7.0'],
    ['repositorySignatures', 'RepositorySignatures/4.9.0'],
    ['reportAbuse', 'ReportAbuseUriTemplate/3.0.0'],
    ['packageDetails', 'PackageDetailsUriTemplate/5.1.0'],
    ['ownerDetails', 'OwnerDetailsUriTemplate/6.11.0'],
    ['readme', 'ReadmeUriTemplate/6.13.0'],
    ['legacyGallery', 'LegacyGallery/2.0.0'],
    ['catalog', 'Catalog/3.0.0'],
  ])('finds %s as %s', (name, type) => {
    expect(urls(index(resource(type, 'https://feed.test/it')), name)).toEqual(['https://feed.test/it']);
  });

  it('prefers what is for clients of this version, the newest that is not too new', () => {
    const versioned = index(
      resource('RegistrationsBaseUrl/3.6.0', 'https://feed.test/plain'),
      resource('RegistrationsBaseUrl/Versioned', 'https://feed.test/4.3', { clientVersion: '4.3.0-alpha' }),
      resource('RegistrationsBaseUrl/Versioned', 'https://feed.test/6', { clientVersion: ['5.0.0', '6.0.0'] }),
      resource('RegistrationsBaseUrl/Versioned', 'https://feed.test/9', { clientVersion: '9.0.0' }),
      resource('RegistrationsBaseUrl/Versioned', 'https://feed.test/none', { clientVersion: ['nonsense', 7] }),
    );
    expect(urls(versioned, 'registration')).toEqual(['https://feed.test/6']);
    expect(urls(versioned, 'registration', NuGetVersion.parse('4.9.0'))).toEqual(['https://feed.test/4.3']);
    expect(urls(versioned, 'registration', NuGetVersion.parse('4.0.0'))).toEqual(['https://feed.test/plain']);
  });

  it('gives several endpoints of one type in the order of the index', () => {
    const several = index(
      resource('SearchQueryService', 'https://b.test/'),
      resource('SearchQueryService', 'https://a.test/'),
      resource(['SearchQueryService', 'Other'], 'https://c.test/'),
    );
    expect(urls(several, 'search')).toEqual(['https://b.test/', 'https://a.test/', 'https://c.test/']);
  });

  it('sees relative ids from its own URL, and takes only http and https', () => {
    const mixed = index(
      resource('SearchQueryService', '/query'),
      resource('SearchQueryService', '../other?x=1'),
      resource('SearchQueryService', 'http://plain.test/'),
      resource('SearchQueryService', 'file:///etc/passwd'),
      resource('SearchQueryService', 'ftp://feed.test/'),
      resource('SearchQueryService', 'javascript:alert(1)'),
      resource('SearchQueryService', 'https://'),
      resource('SearchQueryService', ''),
      resource('SearchQueryService', null),
      resource('SearchQueryService', 7),
    );
    expect(urls(mixed, 'search')).toEqual([
      'https://feed.test/query',
      'https://feed.test/other?x=1',
      'http://plain.test/',
    ]);
  });

  it('keeps the braces of templates', () => {
    const [endpoint] = index(resource('ReadmeUriTemplate/6.13.0', 'https://feed.test/{lower_id}')).endpoints(
      'readme',
      CLIENT,
    );
    expect(endpoint?.text).toBe('https://feed.test/{lower_id}');
  });

  it('reads anything, or says that it is none', () => {
    const value = fc.anything({ maxDepth: 2 });
    const some = fc.record({ '@id': value, '@type': value, clientVersion: value }, { requiredKeys: [] });
    const document = fc.record({ version: fc.constantFrom('3.0.0', 3), resources: fc.array(fc.oneof(some, value)) });
    fc.assert(
      fc.property(fc.oneof(document, value), (thing) => {
        const text = JSON.stringify(thing, (_, each) => (typeof each === 'bigint' ? `${each}` : each)) ?? '';
        try {
          parse(text).endpoints('search', CLIENT);
        } catch (error) {
          expect(isNuGetError(error) && error.code).toBe('PROTOCOL');
        }
      }),
    );
  });
});

function thrownBy(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}
