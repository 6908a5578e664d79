import { type Logger, nullLogger } from '@granary/telemetry';
import { NUGET_CLIENT_VERSION } from '../../client-version.js';
import { NuGetError } from '../../errors.js';
import type { PackageIdentity } from '../../package-identity.js';
import { NuGetVersion } from '../../versions/nuget-version.js';
import { httpUrl } from '../endpoint-url.js';
import type { CallOptions, Feed, PackageStream, StreamOptions } from '../feed.js';
import type { PackageMetadata, SearchOptions, SearchPage, VulnerabilityIndex } from '../model.js';
import type { FileOptions, Provider, PushedPackage, PushOptions } from '../provider.js';
import { readFile } from '../read-file.js';
import { FlatContainer } from './flat-container.js';
import { Publish } from './publish.js';
import { Registration } from './registration.js';
import {
  type RepositoryCertificate,
  type RepositorySignatures,
  readRepositoryCertificate,
  readRepositorySignatures,
} from './repository-signatures.js';
import { Search } from './search.js';
import type { ServiceIndex } from './service-index.js';
import { PackagePages } from './templates.js';
import { V3Source } from './v3-source.js';
import { readKnownVulnerabilities } from './vulnerabilities.js';

/** What a `V3Provider` says of itself, and its limits. */
export interface V3ProviderOptions {
  /** The NuGet version that the source sees, and whose resources are used where it has some for newer ones only. Default 6.14.0. */
  readonly clientVersion?: string | undefined;
  /** Says at debug what of the source's answers made no sense. Default: nobody. */
  readonly logger?: Logger | undefined;
  /** Pages of one package's metadata fetched at the same time. Default 8. */
  readonly concurrency?: number | undefined;
  /** Documents that the metadata of one package may be in. Default 1024: 65 000 versions, as nuget.org pages them. */
  readonly maxDocuments?: number | undefined;
}

const DEFAULT_CONCURRENCY = 8;
const DEFAULT_MAX_DOCUMENTS = 1024;

/**
 * Protocol 3: JSON documents that a service index leads to. What a source doesn't offer rejects with a `SourceError`
 * `UNSUPPORTED`, what makes no sense with `PROTOCOL`, and what doesn't end with `LIMIT`.
 */
export class V3Provider implements Provider {
  readonly protocol = 'v3';
  readonly #source: V3Source;
  readonly #registration: Registration;
  readonly #search: Search;
  readonly #publish: Publish;

  /** @throws {@link NuGetError} `INVALID_OPTION`, `INVALID_VERSION` */
  constructor(feed: Feed, options: V3ProviderOptions = {}) {
    const { clientVersion = NUGET_CLIENT_VERSION, logger = nullLogger } = options;
    const { concurrency = DEFAULT_CONCURRENCY, maxDocuments = DEFAULT_MAX_DOCUMENTS } = options;
    for (const [name, value] of Object.entries({ concurrency, maxDocuments })) {
      if (Number.isSafeInteger(value) && value > 0) continue;
      throw new NuGetError('INVALID_OPTION', `${name} must be a whole number from 1, not ${value}`);
    }
    this.#source = new V3Source(feed, NuGetVersion.parse(clientVersion), logger);
    this.#registration = new Registration(this.#source, { concurrency, maxDocuments });
    this.#search = new Search(this.#source);
    this.#publish = new Publish(this.#source);
  }

  /** What the source offers, and where. */
  async serviceIndex(options?: CallOptions): Promise<ServiceIndex> {
    return await this.#source.index(options);
  }

  async listVersions(id: string, options?: CallOptions): Promise<readonly NuGetVersion[]> {
    const content = await this.#content(options);
    if (content !== undefined) return await content.listVersions(id, options);
    return (await this.#registration.list(id, options)).map(({ version }) => version);
  }

  async getMetadata(identity: PackageIdentity, options?: CallOptions): Promise<PackageMetadata | undefined> {
    return await this.#registration.get(identity, options);
  }

  async listMetadata(id: string, options?: CallOptions): Promise<readonly PackageMetadata[]> {
    return await this.#registration.list(id, options);
  }

  async search(query: string, search?: SearchOptions, options?: CallOptions): Promise<SearchPage> {
    return await this.#search.find(query, search, options);
  }

  async autocomplete(prefix: string, search?: SearchOptions, options?: CallOptions): Promise<readonly string[]> {
    return await this.#search.ids(prefix, search, options);
  }

  /** The listed versions of a package in ascending order, from the source's search. */
  async autocompleteVersions(
    id: string,
    search?: Pick<SearchOptions, 'includePrerelease'>,
    options?: CallOptions,
  ): Promise<readonly NuGetVersion[]> {
    return await this.#search.versions(id, search, options);
  }

  /** From the flat container, or, where a source has none, from where its metadata says that the package lies. */
  async downloadPackage(identity: PackageIdentity, options?: StreamOptions): Promise<PackageStream | undefined> {
    const content = await this.#content(options);
    if (content !== undefined) return await content.download(identity, options);
    const url = httpUrl((await this.#registration.get(identity, options))?.packageUrl, this.#source.feed.url);
    return url === undefined ? undefined : await this.#source.feed.stream(url, options);
  }

  async getNuspec(identity: PackageIdentity, options?: CallOptions): Promise<Buffer | undefined> {
    const content = await this.#content(options);
    if (content === undefined) throw this.#source.error('UNSUPPORTED', "it doesn't offer nuspecs beside its packages");
    return await content.nuspec(identity, options);
  }

  async getReadme(identity: PackageIdentity, options?: FileOptions): Promise<Buffer | undefined> {
    const url = (await this.pages(options)).readme(identity);
    if (url === undefined) throw this.#source.error('UNSUPPORTED', "it doesn't offer readmes beside its packages");
    return await readFile(this.#source.feed, url, options);
  }

  async getFile(url: string, options?: FileOptions): Promise<Buffer | undefined> {
    return await readFile(this.#source.feed, url, options);
  }

  async push(pkg: PushedPackage, options?: PushOptions): Promise<void> {
    await this.#publish.push(pkg, options);
  }

  async delete(identity: PackageIdentity, options?: PushOptions): Promise<boolean> {
    return await this.#publish.delete(identity, options);
  }

  /** Puts a version that was unlisted on the list again; false when it isn't there. */
  async relist(identity: PackageIdentity, options?: PushOptions): Promise<boolean> {
    return await this.#publish.relist(identity, options);
  }

  async vulnerabilities(options?: CallOptions): Promise<VulnerabilityIndex | undefined> {
    return await readKnownVulnerabilities(this.#source, options);
  }

  /** What the source says of the signatures of its packages; undefined when it says nothing. */
  async repositorySignatures(options?: CallOptions): Promise<RepositorySignatures | undefined> {
    return await readRepositorySignatures(this.#source, options);
  }

  /** A certificate that the source names there, in DER; undefined when it isn't there. */
  async repositoryCertificate(certificate: RepositoryCertificate, options?: CallOptions): Promise<Buffer | undefined> {
    return await readRepositoryCertificate(this.#source, certificate, options);
  }

  async addresses(options?: CallOptions): Promise<readonly string[]> {
    return (await this.#source.index(options)).addresses;
  }

  /** Web pages and readmes that belong to packages. */
  async pages(options?: CallOptions): Promise<PackagePages> {
    return new PackagePages(await this.#source.index(options), this.#source.clientVersion);
  }

  async #content(options: CallOptions | undefined): Promise<FlatContainer | undefined> {
    return FlatContainer.of(this.#source, await this.#source.index(options));
  }
}
