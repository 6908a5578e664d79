import { describe, expect, it } from 'vitest';
import { FeedUrls } from '../http/feed-urls.js';
import { serviceIndex } from './service-index.js';

const BASE = 'http://cache.test/nuget';
const V3 = `${BASE}/v3`;
const EVERYTHING = { canPublish: true, hasVulnerabilities: true };

interface Resource {
  readonly '@id': string;
  readonly '@type': string;
  readonly comment?: string;
  readonly clientVersion?: string;
}

const resourcesOf = (options = EVERYTHING, urls = new FeedUrls({ base: BASE })) =>
  (serviceIndex(urls, options) as { resources: Resource[] }).resources;

/** What clients of some age look for, best first; the first one that is there is taken. */
const WANTED: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  'NuGet 3.0': {
    SearchQueryService: ['SearchQueryService/3.0.0-beta'],
    SearchAutocompleteService: ['SearchAutocompleteService/3.0.0-beta'],
    RegistrationsBaseUrl: ['RegistrationsBaseUrl/3.0.0-beta'],
    ReportAbuse: ['ReportAbuseUriTemplate/3.0.0-beta'],
    LegacyGallery: ['LegacyGallery/2.0.0'],
    PackagePublish: ['PackagePublish/2.0.0'],
    PackageBaseAddress: ['PackageBaseAddress/3.0.0'],
  },
  'NuGet 3.4': {
    SearchQueryService: ['SearchQueryService/3.4.0', 'SearchQueryService/3.0.0-beta'],
    RegistrationsBaseUrl: ['RegistrationsBaseUrl/3.4.0', 'RegistrationsBaseUrl/3.0.0-beta'],
    ReportAbuse: ['ReportAbuseUriTemplate/3.0.0'],
  },
  'nuget.exe 5.8': {
    SearchQueryService: ['SearchQueryService/Versioned', 'SearchQueryService/3.4.0', 'SearchQueryService/3.0.0-beta'],
    SearchAutocompleteService: ['SearchAutocompleteService/Versioned', 'SearchAutocompleteService/3.0.0-beta'],
    RegistrationsBaseUrl: [
      'RegistrationsBaseUrl/Versioned',
      'RegistrationsBaseUrl/3.6.0',
      'RegistrationsBaseUrl/3.4.0',
      'RegistrationsBaseUrl/3.0.0-beta',
    ],
    ReportAbuse: ['ReportAbuseUriTemplate/Versioned', 'ReportAbuseUriTemplate/3.0.0'],
    PackageDetails: ['PackageDetailsUriTemplate/5.1.0'],
    LegacyGallery: ['LegacyGallery/Versioned', 'LegacyGallery/2.0.0'],
    PackagePublish: ['PackagePublish/Versioned', 'PackagePublish/2.0.0'],
    PackageBaseAddress: ['PackageBaseAddress/Versioned', 'PackageBaseAddress/3.0.0'],
  },
  'dotnet 6 to 9 and Visual Studio 2022': {
    SearchByPackageType: ['SearchQueryService/3.5.0'],
    VulnerabilityInfo: ['VulnerabilityInfo/6.7.0'],
  },
  'who goes by the documentation': {
    SearchQueryService: ['SearchQueryService'],
    SearchQueryServiceRc: ['SearchQueryService/3.0.0-rc'],
    SearchAutocompleteService: ['SearchAutocompleteService'],
    SearchAutocompleteServiceRc: ['SearchAutocompleteService/3.0.0-rc'],
    SearchAutocompleteService350: ['SearchAutocompleteService/3.5.0'],
    RegistrationsBaseUrl: ['RegistrationsBaseUrl'],
    RegistrationsBaseUrlRc: ['RegistrationsBaseUrl/3.0.0-rc'],
    RegistrationsBaseUrl360: ['RegistrationsBaseUrl/3.6.0'],
    ReportAbuse: ['ReportAbuseUriTemplate/3.0.0-rc'],
  },
};

describe('a service index', () => {
  it('has every resource under every name, each once', () => {
    const resources = resourcesOf();
    expect(serviceIndex(new FeedUrls({ base: BASE }), EVERYTHING)).toMatchObject({ version: '3.0.0' });
    const types = resources.map((resource) => resource['@type']);
    expect(new Set(types).size).toBe(types.length);
    expect(Object.fromEntries(resources.map((resource) => [resource['@type'], resource['@id']]))).toEqual({
      'PackageBaseAddress/3.0.0': `${V3}/flatcontainer/`,
      RegistrationsBaseUrl: `${V3}/registration/`,
      'RegistrationsBaseUrl/3.0.0-beta': `${V3}/registration/`,
      'RegistrationsBaseUrl/3.0.0-rc': `${V3}/registration/`,
      'RegistrationsBaseUrl/3.4.0': `${V3}/registration-gz/`,
      'RegistrationsBaseUrl/3.6.0': `${V3}/registration-gz-semver2/`,
      'RegistrationsBaseUrl/Versioned': `${V3}/registration-gz-semver2/`,
      SearchQueryService: `${V3}/search`,
      'SearchQueryService/3.0.0-beta': `${V3}/search`,
      'SearchQueryService/3.0.0-rc': `${V3}/search`,
      'SearchQueryService/3.4.0': `${V3}/search`,
      'SearchQueryService/3.5.0': `${V3}/search`,
      SearchAutocompleteService: `${V3}/autocomplete`,
      'SearchAutocompleteService/3.0.0-beta': `${V3}/autocomplete`,
      'SearchAutocompleteService/3.0.0-rc': `${V3}/autocomplete`,
      'SearchAutocompleteService/3.5.0': `${V3}/autocomplete`,
      'PackageDetailsUriTemplate/5.1.0': `${V3}/details/{id}/{version}`,
      'ReadmeUriTemplate/6.13.0': `${V3}/flatcontainer/{lower_id}/{lower_version}/readme`,
      'ReportAbuseUriTemplate/3.0.0-beta': `${V3}/details/{id}/{version}#contact`,
      'ReportAbuseUriTemplate/3.0.0-rc': `${V3}/details/{id}/{version}#contact`,
      'ReportAbuseUriTemplate/3.0.0': `${V3}/details/{id}/{version}#contact`,
      LegacyGallery: `${V3}/v2`,
      'LegacyGallery/2.0.0': `${V3}/v2`,
      'PackagePublish/2.0.0': `${V3}/package`,
      'VulnerabilityInfo/6.7.0': `${V3}/vulnerabilities/index.json`,
    });
    expect(resources.find((resource) => resource['@type'] === 'RegistrationsBaseUrl/Versioned')).toMatchObject({
      clientVersion: '4.3.0-alpha',
    });
  });

  it.each(Object.entries(WANTED))('has what %s looks for', (_, wanted) => {
    const types = new Set(resourcesOf().map((resource) => resource['@type']));
    for (const [name, names] of Object.entries(wanted)) {
      expect([name, names.find((type) => types.has(type))]).toEqual([name, expect.any(String)]);
    }
  });

  it('has everything in the folder that it is in itself: clients send credentials unasked only there', () => {
    for (const urls of [new FeedUrls({ base: BASE }), new FeedUrls({ base: BASE, source: 'my feed' })]) {
      const folder = urls.serviceIndex.slice(0, -'index.json'.length);
      for (const resource of resourcesOf(EVERYTHING, urls)) expect(resource['@id'].startsWith(folder)).toBe(true);
    }
  });

  it('of one source names that source', () => {
    expect(resourcesOf(EVERYTHING, new FeedUrls({ base: BASE, source: 'my feed' }))[0]).toMatchObject({
      '@id': `${BASE}/my%20feed/v3/flatcontainer/`,
    });
  });

  it("offers nothing that the feed hasn't got", () => {
    const types = resourcesOf({ canPublish: false, hasVulnerabilities: false }).map((resource) => resource['@type']);
    expect(types.filter((type) => /Publish|Vulnerability/.test(type))).toEqual([]);
    expect(types.length).toBe(resourcesOf().length - 2);
  });
});
