import { lowerId, lowerVersion, type PackageIdentity } from '../../package-identity.js';
import { NuGetVersion } from '../../versions/nuget-version.js';
import { below, shownUrl } from '../endpoint-url.js';
import type { CallOptions, PackageStream, StreamOptions } from '../feed.js';
import { asArrayOrNone, parseJsonObject } from '../json.js';
import { firstToAnswer } from './bounded.js';
import type { ServiceIndex } from './service-index.js';
import type { Endpoints, V3Source } from './v3-source.js';

const MAX_VERSIONS_BYTES = 16 * 1024 * 1024;
const MAX_NUSPEC_BYTES = 4 * 1024 * 1024;

/** The content of packages, as files in folders by id and version, both in lower case. */
export class FlatContainer {
  readonly #source: V3Source;
  readonly #endpoints: Endpoints;

  private constructor(source: V3Source, endpoints: Endpoints) {
    this.#source = source;
    this.#endpoints = endpoints;
  }

  /** The content as the source offers it; undefined when it doesn't. */
  static of(source: V3Source, index: ServiceIndex): FlatContainer | undefined {
    const endpoints = source.offered(index, 'flatContainer');
    return endpoints === undefined ? undefined : new FlatContainer(source, endpoints);
  }

  /** All versions in ascending order, unlisted ones included; empty when there is no such package. */
  async listVersions(id: string, options: CallOptions = {}): Promise<readonly NuGetVersion[]> {
    const name = lowerId(id);
    const { feed } = this.#source;
    const versions = await firstToAnswer(this.#endpoints, options.signal, (endpoint) =>
      feed.document(below(endpoint, name, 'index.json'), {
        ...options,
        cacheKey: `list_${name}`,
        maxBytes: MAX_VERSIONS_BYTES,
        parse: (body, url) => this.#parseVersions(body, url),
      }),
    );
    return versions ?? [];
  }

  /** The package as it is; undefined when the source hasn't got it. */
  async download(identity: PackageIdentity, options: StreamOptions = {}): Promise<PackageStream | undefined> {
    const { id, version } = inLowerCase(identity);
    return await firstToAnswer(this.#endpoints, options.signal, (endpoint) =>
      this.#source.feed.stream(below(endpoint, id, version, `${id}.${version}.nupkg`), options),
    );
  }

  /** The package's nuspec; undefined when the source hasn't got it. */
  async nuspec(identity: PackageIdentity, options: CallOptions = {}): Promise<Buffer | undefined> {
    const { id, version } = inLowerCase(identity);
    return await firstToAnswer(this.#endpoints, options.signal, (endpoint) =>
      this.#source.feed.document(below(endpoint, id, version, `${id}.nuspec`), {
        ...options,
        cacheKey: `nuspec_${id}.${version}`,
        maxBytes: MAX_NUSPEC_BYTES,
        parse: (body, url) => {
          if (isMarkup(body)) return body;
          throw this.#source.error('PROTOCOL', `${shownUrl(url)} is no nuspec`);
        },
      }),
    );
  }

  #parseVersions(body: Buffer, url: string): readonly NuGetVersion[] {
    const versions = asArrayOrNone(parseJsonObject(body, this.#source.feed.name, url)['versions']);
    if (versions === undefined) throw this.#source.error('PROTOCOL', `${shownUrl(url)} is no list of versions`);
    const byName = new Map<string, NuGetVersion>();
    for (const text of versions) {
      const version = typeof text === 'string' ? NuGetVersion.tryParse(text) : undefined;
      if (version === undefined)
        this.#source.logger.debug('{Version} in {Url} is left out: it is no version', text, shownUrl(url));
      else byName.set(lowerVersion(version), version);
    }
    return [...byName.values()].sort(NuGetVersion.compare);
  }
}

/** Whether it may be a nuspec, in whatever encoding, and isn't the web page that somebody is to sign in on. */
function isMarkup(body: Buffer): boolean {
  return body.includes('<') && !/<!doctype html|<html/i.test(body.toString('latin1', 0, 1024));
}

function inLowerCase({ id, version }: PackageIdentity): { readonly id: string; readonly version: string } {
  return { id: lowerId(id), version: lowerVersion(version) };
}
