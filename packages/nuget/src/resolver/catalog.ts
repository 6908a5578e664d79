import { SemaphoreThrottle } from '@granary/resilience';
import { NuGetError, PackageNotFoundError } from '../errors.js';
import type { NuGetFramework } from '../frameworks/nuget-framework.js';
import type { PackageDependency } from '../protocol/model.js';
import { PartialVersionsError } from '../source/partial-versions-error.js';
import { NuGetVersion } from '../versions/nuget-version.js';
import type { VersionRange } from '../versions/version-range.js';
import type { DependencyProvider } from './dependency-provider.js';
import type { Answer, Edge, IdSet, PackageNode } from './nodes.js';

export interface CatalogOptions {
  readonly provider: DependencyProvider;
  readonly framework: NuGetFramework;
  readonly fallbacks: readonly NuGetFramework[];
  readonly maxPackages: number;
  readonly maxParallel: number;
  readonly signal: AbortSignal;
}

/** What is known of ranges, ids and packages: each is asked for once. */
export class Catalog {
  readonly packages: PackageNode[] = [];
  readonly #options: CatalogOptions;
  readonly #slots: SemaphoreThrottle;
  readonly #bits = new Map<string, IdSet>();
  readonly #answers = new Map<string, Promise<Answer>>();
  readonly #versions = new Map<string, Promise<readonly NuGetVersion[]>>();
  readonly #newVersions = new Map<string, Promise<readonly NuGetVersion[] | undefined>>();
  readonly #loads = new Map<string, Promise<PackageNode | undefined>>();

  constructor(options: CatalogOptions) {
    this.#options = options;
    this.#slots = new SemaphoreThrottle(options.maxParallel, { maxQueue: options.maxPackages * (IDS_PER_PACKAGE + 1) });
  }

  /** The package that nothing depends on. */
  root(dependencies: readonly PackageDependency[]): PackageNode {
    const root = this.#add('', 0n, NO_VERSION);
    this.#setDependencies(root, dependencies);
    return root;
  }

  /** What a range names, with its dependencies. Rejects only when the whole work has to end. */
  answer(edge: Edge): Promise<Answer> {
    const key = `${edge.id.toLowerCase()} ${edge.range.toNormalizedString().toLowerCase()}`;
    let answer = this.#answers.get(key);
    if (answer === undefined) {
      answer = this.#find(edge.id, edge.range).catch((error: unknown): Answer => {
        if (this.#options.signal.aborted) throw this.#options.signal.reason;
        if (error instanceof TooManyPackagesError) throw error;
        return { kind: 'failed', error };
      });
      this.#answers.set(key, answer);
    }
    return answer;
  }

  async #find(id: string, range: VersionRange): Promise<Answer> {
    const { provider } = this.#options;
    const lowest = lowestOf(range);
    const isTried = lowest !== undefined && (await provider.triesLowest?.(id, lowest));
    const found = isTried ? await this.#load(id, lowest) : undefined;
    if (found !== undefined) return { kind: 'package', pkg: found };
    const sources = provider.sources?.(id);
    if (sources?.length === 0) return { kind: 'missing', versions: [], sources };
    const known = (error: unknown) => {
      // As for a restore, a source that fails matters only where it might have a version that is wanted rather.
      const isThere = error instanceof PartialVersionsError && error.versions.some((each) => each.equals(lowest));
      if (isThere) return error.versions;
      throw error;
    };
    let versions = await this.#listVersions(id).catch(known);
    if (range.findBestMatch(versions) === undefined) {
      versions = (await this.#listVersionsAnew(id).catch(known)) ?? versions;
    }
    const version = range.findBestMatch(versions);
    if (version === undefined) return { kind: 'missing', versions, sources };
    const pkg = await this.#load(id, version);
    if (pkg !== undefined) return { kind: 'package', pkg };
    throw new PackageNotFoundError(id, version.toNormalizedString(), 'the source that lists it');
  }

  #listVersions(id: string): Promise<readonly NuGetVersion[]> {
    const key = id.toLowerCase();
    let versions = this.#versions.get(key);
    if (versions === undefined) {
      const { provider, signal, fallbacks } = this.#options;
      versions = this.#slots.run(() => provider.listVersions(id, { signal, fallbacks }), { signal });
      this.#versions.set(key, versions);
    }
    return versions;
  }

  #listVersionsAnew(id: string): Promise<readonly NuGetVersion[] | undefined> {
    const key = id.toLowerCase();
    let versions = this.#newVersions.get(key);
    if (versions === undefined) {
      const { provider, signal, fallbacks } = this.#options;
      versions = this.#slots.run(async () => provider.listVersionsAnew?.(id, { signal, fallbacks }), { signal });
      this.#newVersions.set(key, versions);
    }
    return versions;
  }

  /** A version with its dependencies; undefined when it isn't there. */
  #load(id: string, version: NuGetVersion): Promise<PackageNode | undefined> {
    const key = `${id} ${version.toNormalizedString()}`.toLowerCase();
    let load = this.#loads.get(key);
    if (load === undefined) {
      const { provider, framework, signal, fallbacks, maxPackages } = this.#options;
      if (this.#loads.size >= maxPackages) throw new TooManyPackagesError(maxPackages);
      load = this.#slots
        .run(() => provider.dependencies({ id, version }, framework, { signal, fallbacks }), { signal })
        .then((selected) => {
          if (selected === undefined) return undefined;
          const pkg = this.#add(selected.id, this.#bitOf(id), version);
          pkg.fit = selected.fit;
          this.#setDependencies(pkg, selected.dependencies);
          return pkg;
        });
      this.#loads.set(key, load);
    }
    return load;
  }

  #add(id: string, bit: IdSet, version: NuGetVersion): PackageNode {
    const index = this.packages.length;
    const pkg: PackageNode = { index, bit, version, id, edges: [], needs: 0n, reach: 0n, fit: 'compatible' };
    this.packages.push(pkg);
    return pkg;
  }

  /** Of dependencies on the same id the first counts: two would each be nearer than the other. */
  #setDependencies(pkg: PackageNode, dependencies: readonly PackageDependency[]): void {
    const edges: Edge[] = [];
    for (const { id, range } of dependencies) {
      const bit = this.#bitOf(id);
      if ((pkg.needs & bit) !== 0n) continue;
      pkg.needs |= bit;
      edges.push({ id, bit, range, answer: undefined });
    }
    pkg.edges = edges;
  }

  #bitOf(id: string): IdSet {
    const key = id.toLowerCase();
    let bit = this.#bits.get(key);
    if (bit === undefined) {
      if (this.#bits.size >= this.#options.maxPackages * IDS_PER_PACKAGE)
        throw new TooManyPackagesError(this.#options.maxPackages);
      bit = 1n << BigInt(this.#bits.size);
      this.#bits.set(key, bit);
    }
    return bit;
  }
}

/** The version of a range that no other one is wanted rather than, as lists of versions have it. */
function lowestOf(range: VersionRange): NuGetVersion | undefined {
  const { minVersion, isFloating } = range;
  if (minVersion === undefined || isFloating || !range.isBetter(undefined, minVersion)) return undefined;
  return NuGetVersion.parse(minVersion.toNormalizedString());
}

/** Ids are looked up more often than packages are loaded, and some are depended on where nobody asks for them. */
const IDS_PER_PACKAGE = 4;
const NO_VERSION = NuGetVersion.parse('0.0.0');

class TooManyPackagesError extends NuGetError {
  constructor(max: number) {
    super('LIMIT', `the dependency graph has more than ${max} packages (maxPackages)`);
  }
}
