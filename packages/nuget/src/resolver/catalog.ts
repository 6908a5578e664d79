import { SemaphoreThrottle } from '@granary/resilience';
import { NuGetError, PackageNotFoundError } from '../errors.js';
import type { NuGetFramework } from '../frameworks/nuget-framework.js';
import type { PackageDependency } from '../protocol/model.js';
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
  readonly #byIdentity = new Map<string, PackageNode>();
  readonly #loads = new Map<PackageNode, Promise<void>>();

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
    const sources = this.#options.provider.sources?.(id);
    if (sources?.length === 0) return { kind: 'missing', versions: [], sources };
    const versions = await this.#listVersions(id);
    const version = range.findBestMatch(versions);
    if (version === undefined) return { kind: 'missing', versions, sources };
    const pkg = this.#package(id, version);
    await this.#load(pkg);
    return { kind: 'package', pkg };
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

  #package(id: string, version: NuGetVersion): PackageNode {
    const key = `${id} ${version.toNormalizedString()}`.toLowerCase();
    let pkg = this.#byIdentity.get(key);
    if (pkg === undefined) {
      if (this.#byIdentity.size >= this.#options.maxPackages) throw new TooManyPackagesError(this.#options.maxPackages);
      pkg = this.#add(id, this.#bitOf(id), version);
      this.#byIdentity.set(key, pkg);
    }
    return pkg;
  }

  #load(pkg: PackageNode): Promise<void> {
    let load = this.#loads.get(pkg);
    if (load === undefined) {
      const { provider, framework, signal, fallbacks } = this.#options;
      const identity = { id: pkg.id, version: pkg.version };
      load = this.#slots
        .run(() => provider.dependencies(identity, framework, { signal, fallbacks }), { signal })
        .then((selected) => {
          if (selected === undefined) {
            throw new PackageNotFoundError(pkg.id, pkg.version.toNormalizedString(), 'the source that lists it');
          }
          pkg.id = selected.id;
          pkg.fit = selected.fit;
          this.#setDependencies(pkg, selected.dependencies);
        });
      this.#loads.set(pkg, load);
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

/** Ids are looked up more often than packages are loaded, and some are depended on where nobody asks for them. */
const IDS_PER_PACKAGE = 4;
const NO_VERSION = NuGetVersion.parse('0.0.0');

class TooManyPackagesError extends NuGetError {
  constructor(max: number) {
    super('LIMIT', `the dependency graph has more than ${max} packages (maxPackages)`);
  }
}
