import { listenForAbort, unlistenForAbort } from '@granary/resilience';
import { NuGetError } from '../errors.js';
import type { NuGetFramework } from '../frameworks/nuget-framework.js';
import type { PackageDependency } from '../protocol/model.js';
import type { AuditOptions } from './audit.js';
import { buildGraph } from './build-graph.js';
import { Catalog } from './catalog.js';
import { Crawl } from './crawl.js';
import type { DependencyGraph } from './dependency-graph.js';
import type { DependencyProvider } from './dependency-provider.js';
import { diagnose } from './diagnose.js';
import { readResolution } from './resolution.js';
import { settle } from './settle.js';
import { findReach } from './walk.js';

/** What a project wants, for which framework, and who knows the packages. */
export interface ResolveOptions {
  readonly provider: DependencyProvider;
  /** The project's own dependencies: they decide over all that is deeper. */
  readonly dependencies: readonly Pick<PackageDependency, 'id' | 'range'>[];
  readonly framework: NuGetFramework;
  /**
   * Frameworks whose groups are taken, with a warning, where a package has none for the target: what projects call
   * AssetTargetFallback. Default none.
   */
  readonly fallbacks?: readonly NuGetFramework[] | undefined;
  /** Warns of known vulnerabilities. Default: none are looked for. */
  readonly audit?: AuditOptions | undefined;
  /** How many questions are asked at the same time. Default 32. */
  readonly maxParallel?: number | undefined;
  /** How many versions of packages are looked at. Default 10 000. */
  readonly maxPackages?: number | undefined;
  /** How long the way from the root may be. Default 256. */
  readonly maxDepth?: number | undefined;
  /** How many places of the tree are visited at most for one decision. Default 200 000. */
  readonly maxNodes?: number | undefined;
  /** Ends it: it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Resolves the dependencies of a project for a framework as a restore with package references does: the nearest
 * wish decides, of those on different branches the one for the highest version; of a range the lowest version is taken,
 * of a floating one the highest; of a package's groups that of the nearest framework.
 *
 * What is wrong with the graph is told in its diagnostics, and so is what sources fail with. The result doesn't depend on
 * the order in which answers come. It takes as many rounds of questions as the graph is deep: two for each level.
 *
 * @throws {@link NuGetError} `LIMIT` when the graph is larger than the options allow, `INVALID_OPTION`
 * @throws the signal's reason
 */
export async function resolveDependencies(options: ResolveOptions): Promise<DependencyGraph> {
  const { provider, framework, fallbacks = [], signal: outer } = options;
  const maxParallel = whole('maxParallel', options.maxParallel, 32);
  const maxPackages = whole('maxPackages', options.maxPackages, 10_000);
  const maxDepth = whole('maxDepth', options.maxDepth, 256);
  const maxNodes = whole('maxNodes', options.maxNodes, 200_000);
  outer?.throwIfAborted();

  // Ends what has been asked when the whole fails.
  const abort = new AbortController();
  const catalog = new Catalog({ provider, framework, fallbacks, maxPackages, maxParallel, signal: abort.signal });
  const root = catalog.root(options.dependencies);
  const crawl = new Crawl(catalog, root, maxDepth);
  const listener = { end: (reason: unknown) => crawl.fail(reason) };
  if (outer !== undefined) listenForAbort(outer, listener);
  try {
    await crawl.done;
  } catch (error) {
    abort.abort(error);
    throw error;
  } finally {
    if (outer !== undefined) unlistenForAbort(outer, listener);
  }

  const limits = { maxNodes, maxDepth };
  const reach = findReach(catalog.packages, ({ answer }) => (answer?.kind === 'package' ? answer.pkg : undefined));
  for (const [pkg, ids] of reach) pkg.reach = ids;
  const resolution = readResolution(root, settle(root, limits), limits);
  return buildGraph(framework, resolution, diagnose(resolution, framework, options.audit));
}

function whole(name: string, value: number | undefined, byDefault: number): number {
  if (value === undefined) return byDefault;
  if (Number.isSafeInteger(value) && value >= 1) return value;
  throw new NuGetError('INVALID_OPTION', `${name} must be a whole number of at least 1, not ${value}`);
}
