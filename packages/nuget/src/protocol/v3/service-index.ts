import { SourceError } from '../../errors.js';
import { NuGetVersion } from '../../versions/nuget-version.js';
import { httpUrl, shownUrl } from '../endpoint-url.js';
import { asArray, asObject, asTexts, type JsonObject, parseJsonObject } from '../json.js';

/**
 * The types that a resource goes by in service indexes, best first. `Versioned` is for clients of a version at least as
 * new as its `clientVersion`. Of metadata and search, clients of this protocol understand more names than NuGet.Client looks
 * for: all of them mean the same, and some feeds have only the bare one, or that of 3.0.0, which no document names.
 */
const TYPES = {
  registration: types(
    'RegistrationsBaseUrl',
    '/Versioned',
    '/3.6.0',
    '/3.4.0',
    '/3.0.0',
    '/3.0.0-rc',
    '/3.0.0-beta',
    '',
  ),
  flatContainer: types('PackageBaseAddress', '/Versioned', '/3.0.0'),
  search: types('SearchQueryService', '/Versioned', '/3.5.0', '/3.4.0', '/3.0.0', '/3.0.0-rc', '/3.0.0-beta', ''),
  searchByPackageType: types('SearchQueryService', '/3.5.0'),
  autocomplete: types('SearchAutocompleteService', '/Versioned', '/3.5.0', '/3.0.0', '/3.0.0-rc', '/3.0.0-beta', ''),
  publish: types('PackagePublish', '/Versioned', '/2.0.0'),
  symbolPublish: types('SymbolPackagePublish', '/4.9.0'),
  vulnerabilities: types('VulnerabilityInfo', '/6.7.0'),
  repositorySignatures: types('RepositorySignatures', '/5.0.0', '/4.9.0', '/4.7.0'),
  reportAbuse: types('ReportAbuseUriTemplate', '/Versioned', '/3.0.0', '/3.0.0-rc', '/3.0.0-beta'),
  packageDetails: types('PackageDetailsUriTemplate', '/5.1.0'),
  ownerDetails: types('OwnerDetailsUriTemplate', '/6.11.0'),
  readme: types('ReadmeUriTemplate', '/Versioned', '/6.13.0'),
  legacyGallery: types('LegacyGallery', '/Versioned', '/2.0.0'),
  catalog: types('Catalog', '/3.0.0'),
} as const;

/** What a source of protocol 3 may offer. */
export type ServiceResource = keyof typeof TYPES;

/** One place where a source offers something. */
export interface ServiceEndpoint {
  readonly url: string;
  /** As the index has it: templates have braces, which URLs don't keep. */
  readonly text: string;
  /** Oldest client that it is for. */
  readonly clientVersion: NuGetVersion;
}

const KNOWN_TYPES: ReadonlySet<string> = new Set(Object.values(TYPES).flat());

const ANY_CLIENT = NuGetVersion.parse('0.0.0');
/** Feeds name one. Each is kept for each type of its resource, so that two long lists would make far more than was sent. */
const MAX_CLIENT_VERSIONS = 16;

/** What a source offers, and where: the document that its URL names. */
export class ServiceIndex {
  readonly url: string;
  readonly version: NuGetVersion;
  /** Where it lies itself, and its resources, whatever their type; of templates what comes before their first hole. */
  readonly addresses: readonly string[];
  readonly #endpoints: ReadonlyMap<string, readonly ServiceEndpoint[]>;

  private constructor(
    url: string,
    version: NuGetVersion,
    endpoints: ReadonlyMap<string, readonly ServiceEndpoint[]>,
    addresses: readonly string[],
  ) {
    this.url = url;
    this.version = version;
    this.addresses = addresses;
    this.#endpoints = endpoints;
  }

  /**
   * Reads a service index of a version 3.x. Ids are seen from `url`; resources without one, or with one that is
   * neither http nor https, are left out.
   *
   * @throws SourceError `PROTOCOL` when it is none
   */
  static parse(body: Buffer, source: string, url: string): ServiceIndex {
    const document = parseJsonObject(body, source, url);
    const version = typeof document['version'] === 'string' ? NuGetVersion.tryParse(document['version']) : undefined;
    const refuse = (why: string) =>
      new SourceError('PROTOCOL', source, `${shownUrl(url)} is no service index of version 3: ${why}`);
    if (version === undefined) throw refuse('it has no version');
    if (version.major !== 3) throw refuse(`its version is ${version.toNormalizedString()}`);
    if (!Array.isArray(document['resources'])) throw refuse('it has no resources');

    const endpoints = new Map<string, ServiceEndpoint[]>();
    const addresses = new Set([url]);
    for (const value of document['resources']) {
      const resource = asObject(value);
      if (resource === undefined) continue;
      addResource(endpoints, resource, url);
      const address = addressOf(resource, url);
      if (address !== undefined) addresses.add(address);
    }
    for (const list of endpoints.values()) {
      list.sort((a, b) => NuGetVersion.compare(b.clientVersion, a.clientVersion));
    }
    return new ServiceIndex(url, version, endpoints, [...addresses]);
  }

  /**
   * Where the source offers a resource: the endpoints of the best type that the index has for a client of a version, in
   * the index's order; empty when it doesn't offer it.
   */
  endpoints(resource: ServiceResource, client: NuGetVersion): readonly ServiceEndpoint[] {
    for (const type of TYPES[resource]) {
      const best = bestFor(client, this.#endpoints.get(type) ?? []);
      if (best.length > 0) return best;
    }
    return [];
  }
}

function types(name: string, ...versions: readonly string[]): readonly string[] {
  return versions.map((version) => name + version);
}

function addResource(endpoints: Map<string, ServiceEndpoint[]>, resource: JsonObject, base: string): void {
  const text = asTexts(resource['@id'])[0];
  const url = httpUrl(text, base);
  if (text === undefined || url === undefined) return;
  const known = new Set(asTexts(resource['@type']).filter((type) => KNOWN_TYPES.has(type)));
  for (const clientVersion of clientVersions(resource['clientVersion'])) {
    for (const type of known) {
      const list = endpoints.get(type);
      if (list === undefined) endpoints.set(type, [{ url, text, clientVersion }]);
      else list.push({ url, text, clientVersion });
    }
  }
}

function addressOf(resource: JsonObject, base: string): string | undefined {
  return httpUrl(asTexts(resource['@id'])[0]?.split('{', 1)[0], base);
}

function clientVersions(value: unknown): readonly NuGetVersion[] {
  if (value === undefined || value === null) return [ANY_CLIENT];
  const texts = typeof value === 'string' ? [value] : asArray(value);
  return texts
    .slice(0, MAX_CLIENT_VERSIONS)
    .map((text) => (typeof text === 'string' ? NuGetVersion.tryParse(text) : undefined))
    .filter((v) => v !== undefined);
}

/** Those for the newest client version that isn't newer than the client; `endpoints` has the newest first. */
function bestFor(client: NuGetVersion, endpoints: readonly ServiceEndpoint[]): readonly ServiceEndpoint[] {
  const best = endpoints.find(({ clientVersion }) => NuGetVersion.compare(clientVersion, client) <= 0);
  if (best === undefined) return [];
  return endpoints.filter(({ clientVersion }) => NuGetVersion.compare(clientVersion, best.clientVersion) === 0);
}
