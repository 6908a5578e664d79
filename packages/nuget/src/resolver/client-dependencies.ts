import { isNuGetError } from '../errors.js';
import type { NuGetFramework } from '../frameworks/nuget-framework.js';
import { assetFit, type PackageAssets } from '../install/asset-fit.js';
import type { PackageIdentity } from '../package-identity.js';
import { NupkgReader } from '../packages/nupkg-reader.js';
import { parseNuspec } from '../packages/nuspec.js';
import type { CallOptions } from '../protocol/feed.js';
import type { DependencyGroup } from '../protocol/model.js';
import type { NuGetClient, SourceMapping } from '../source/nuget-client.js';
import type { PackageDownload } from '../source/packages/package-download.js';
import { SourceCacheContext } from '../source/source-cache-context.js';
import type { NuGetVersion } from '../versions/nuget-version.js';
import type { DependencyCallOptions, DependencyProvider, SelectedDependencies } from './dependency-provider.js';
import { selectDependencies } from './select-dependencies.js';

/** How `clientDependencies` asks a client. */
export interface ClientDependenciesOptions {
  readonly cacheContext?: SourceCacheContext | undefined;
  /** That of the client, so that the resolver can tell what it leaves without a source. Default: there is none. */
  readonly mapping?: SourceMapping | undefined;
  /**
   * Where dependencies are read. `metadata`: what is small, and packages only where no group is for the target framework,
   * to see whether their assemblies are. `package`: in
   * the packages themselves, which then are in the cache, together with those that lose against others; for whoever
   * installs them that saves a request for each package, and where one source has them, a list of versions for each
   * whose lowest version is there. Default `metadata`.
   */
  readonly read?: 'metadata' | 'package' | undefined;
}

/** What the sources of a client have, for a resolver. */
export function clientDependencies(client: NuGetClient, options: ClientDependenciesOptions = {}): DependencyProvider {
  return new ClientDependencies(client, options);
}

class ClientDependencies implements DependencyProvider {
  readonly #client: NuGetClient;
  readonly #options: ClientDependenciesOptions;
  readonly #context: SourceCacheContext;
  #hasMetadataAtHand: Promise<boolean> | undefined;

  constructor(client: NuGetClient, options: ClientDependenciesOptions) {
    this.#client = client;
    this.#options = options;
    this.#context = options.cacheContext ?? new SourceCacheContext();
  }

  sources(id: string): readonly string[] {
    const mapped = this.#options.mapping?.sourcesFor(id)?.map((name) => name.toLowerCase());
    const names = this.#client.sources.map(({ name }) => name);
    return mapped === undefined ? names : names.filter((name) => mapped.includes(name.toLowerCase()));
  }

  /** Which of several sources has a version is found out from their lists. */
  triesLowest(id: string): boolean {
    return this.#options.read === 'package' && this.sources(id).length === 1;
  }

  async listVersions(id: string, { signal }: DependencyCallOptions): Promise<readonly NuGetVersion[]> {
    return this.#client.listVersions(id, { signal, cacheContext: this.#options.cacheContext, ofAll: true });
  }

  async listVersionsAnew(id: string, { signal }: DependencyCallOptions): Promise<readonly NuGetVersion[] | undefined> {
    const cacheContext = this.#context.forMissing();
    return cacheContext && (await this.#client.listVersions(id, { signal, cacheContext, ofAll: true }));
  }

  async dependencies(
    { id, version }: PackageIdentity,
    framework: NuGetFramework,
    { signal, fallbacks }: DependencyCallOptions,
  ): Promise<SelectedDependencies | undefined> {
    const call = { signal, cacheContext: this.#options.cacheContext };
    let found: { readonly id: string; readonly dependencyGroups: readonly DependencyGroup[] } | undefined;
    if (this.#options.read === 'package') {
      found = await this.#readPackage(id, version, call, (download) => download.nuspec());
    } else if (await this.#metadataIsAtHand(signal)) {
      found = await this.#client.getMetadata(id, version, call);
    } else {
      const nuspec = await this.#client.getNuspec(id, version, call);
      found = nuspec && parseNuspec(nuspec);
    }
    if (found === undefined) return undefined;
    const selected = selectDependencies(found.id, found.dependencyGroups, framework, fallbacks);
    if (selected.fit === 'compatible') return selected;
    const assets = await this.#assetsOf(id, version, call);
    return assets === undefined ? selected : { ...selected, fit: assetFit(assets, framework, fallbacks) };
  }

  /** Undefined when they can't be had: then the groups have the last word. */
  async #assetsOf(id: string, version: NuGetVersion, call: CallOptions): Promise<PackageAssets | undefined> {
    try {
      return await this.#readPackage(id, version, call, assetsOf);
    } catch (error) {
      if (isNuGetError(error)) return undefined;
      throw error;
    }
  }

  async #readPackage<T>(
    id: string,
    version: NuGetVersion,
    call: CallOptions,
    read: (download: PackageDownload) => Promise<T>,
  ): Promise<T | undefined> {
    try {
      const download = await this.#client.downloadPackage(id, version, call);
      try {
        return await read(download);
      } finally {
        download.destroy();
      }
    } catch (error) {
      if (isNuGetError(error) && error.code === 'PACKAGE_NOT_FOUND') return undefined;
      throw error;
    }
  }

  /**
   * Sources of protocol 2 tell dependencies with the versions, and have nuspecs in packages only. With protocol 3 a
   * nuspec is a small document of its own, and metadata is a large one. A source that doesn't say which it speaks isn't
   * going to answer either.
   */
  #metadataIsAtHand(signal: AbortSignal): Promise<boolean> {
    this.#hasMetadataAtHand ??= Promise.allSettled(
      this.#client.sources.map((source) => source.provider({ signal, cacheContext: this.#options.cacheContext })),
    ).then((all) => all.some((each) => each.status === 'fulfilled' && each.value.protocol === 'v2'));
    return this.#hasMetadataAtHand;
  }
}

async function assetsOf(download: PackageDownload): Promise<PackageAssets> {
  await using reader = await NupkgReader.open(download.bytes);
  const { id, frameworkAssemblies, frameworkReferences } = await reader.nuspec();
  return { id, frameworkAssemblies, frameworkReferences, files: reader.files().map(({ path }) => path) };
}
