import { finished } from 'node:stream/promises';
import {
  clientDependencies,
  type DependencyProvider,
  type Diagnostic,
  isNuGetError,
  type NuGetVersion,
  type PackageIdentity,
  type ProjectDependencies,
  readWantedPackages,
  resolveDependencies,
  SourceCacheContext,
  sdkFallbacks,
} from '@granary/nuget';
import { SemaphoreThrottle } from '@granary/resilience';
import { formatSize } from '../../../config/size.js';
import type { ExitCode } from '../../io.js';
import { plain } from '../../terminal/text.js';
import { toJson } from '../json.js';
import { concurrencyOf } from '../numbers.js';
import { explain, type NuGetIo } from '../run-command.js';
import { openSession, type Session, type SessionOptions } from '../session.js';
import { reportDiagnostics, withoutCause } from './deps.js';

export interface WarmOptions extends SessionOptions {
  readonly concurrency?: string;
}

interface Outcome {
  readonly id: string;
  readonly version: string;
  readonly size?: number;
  readonly error?: string;
}

/** Where a server listens that nobody configured. */
const DEFAULT_SOURCE = 'http://127.0.0.1:8080/nuget/v3/index.json';
/** A proxy says of packages whose own source is down that it can't give them: it is there, and has those of others. */
const NO_ANSWER_IS_AN_OUTAGE = () => false;

/**
 * Asks a feed proxy for everything that a restore of these files would ask it for, so that it has it: packages, their
 * versions and metadata, known vulnerabilities. Nothing stays on this machine.
 */
export async function warm(files: readonly string[], options: WarmOptions, io: NuGetIo): Promise<ExitCode> {
  const maxParallel = concurrencyOf(options.concurrency);
  const wanted = await Promise.all(files.map((file) => readWantedPackages(file, io)));
  const problems = wanted.flatMap((each) => each.problems);
  for (const problem of problems) io.err(`granary: ${plain(problem)}\n`);
  const asked = { ...options, source: options.source ?? [DEFAULT_SOURCE] };
  await using opened = await openSession(asked, io, NO_ANSWER_IS_AN_OUTAGE);
  // What comes from a cache of this machine's own doesn't reach the proxy.
  const cacheContext = new SourceCacheContext({ directDownload: true });
  const session = { ...opened, call: { ...opened.call, cacheContext } };
  await reach(session);

  const packages = new PackageSet(wanted.flatMap((each) => each.packages));
  const errors: Diagnostic[] = [];
  let isResolved = true;
  for (const project of wanted.flatMap((each) => each.restored)) {
    const { visited } = await resolve(project, maxParallel, session);
    packages.add(visited);
  }
  for (const project of wanted.flatMap((each) => each.projects)) {
    const { graph, visited } = await resolve(project, maxParallel, session);
    packages.add(visited);
    // As they write their ids themselves.
    packages.add(graph.packages);
    errors.push(...graph.diagnostics.filter(({ level }) => level === 'error'));
    isResolved &&= graph.success;
  }

  reportDiagnostics(errors, io);

  const outcomes = await fetchAll(packages, maxParallel, session, io);
  const failed = outcomes.filter(({ error }) => error !== undefined);
  for (const { id, version, error } of failed) io.err(`granary: ${plain(`${id} ${version}`)}: ${error}\n`);
  const fetched = outcomes.filter(({ size }) => size !== undefined);
  const bytes = fetched.reduce((sum, { size = 0 }) => sum + size, 0);
  if (options.json) io.out(toJson({ packages: outcomes, problems, diagnostics: errors.map(withoutCause) }));
  else io.out(`${fetched.length} of ${packages.size} packages fetched, ${formatSize(bytes)}\n`);
  return isResolved && failed.length + problems.length === 0 ? 0 : 1;
}

/** Asks for the service index first: a proxy that isn't there is said once, not for each package. */
async function reach({ client, sources, call }: Session): Promise<void> {
  for (const { name } of sources) {
    try {
      await client.source(name).provider(call);
    } catch (error) {
      if (!isNuGetError(error) || error.code !== 'SOURCE_UNAVAILABLE') throw error;
      throw new Error(explain(error, 'is granary serve running there? --source names another proxy'));
    }
  }
}

/**
 * Restores read dependencies in the packages themselves, and so download those that lose against others, too: all that
 * were visited.
 */
async function resolve(project: ProjectDependencies, maxParallel: number, session: Session) {
  const { framework, dependencies, pins = [] } = project;
  const { client, call } = session;
  const pinned = new Map(pins.map(({ id, range }) => [id.toLowerCase(), range]));
  const from = clientDependencies(client, call);
  const visited: PackageIdentity[] = [];
  const provider: DependencyProvider = {
    listVersions: (id, options) => from.listVersions(id, options),
    async dependencies(identity, target, options) {
      visited.push(identity);
      const found = await from.dependencies(identity, target, options);
      if (found === undefined || pinned.size === 0) return found;
      const asPinned = found.dependencies.map((each) => {
        return { ...each, range: pinned.get(each.id.toLowerCase()) ?? each.range };
      });
      return { ...found, dependencies: asPinned };
    },
  };
  const graph = await resolveDependencies({
    provider,
    dependencies,
    framework,
    fallbacks: sdkFallbacks(framework),
    maxParallel,
    signal: call.signal,
  });
  return { graph, visited };
}

/** Packages, each once. */
class PackageSet {
  readonly #byName = new Map<string, PackageIdentity>();

  constructor(packages: Iterable<PackageIdentity>) {
    this.add(packages);
  }

  get size(): number {
    return this.#byName.size;
  }

  add(packages: Iterable<PackageIdentity>): void {
    for (const { id, version } of packages) this.#byName.set(`${id}/${nameOf(version)}`.toLowerCase(), { id, version });
  }

  all(): readonly PackageIdentity[] {
    return [...this.#byName.values()];
  }

  ids(): readonly string[] {
    return [...new Map(this.all().map(({ id }) => [id.toLowerCase(), id])).values()];
  }
}

/** One that fails doesn't stop the others. */
async function fetchAll(packages: PackageSet, maxParallel: number, session: Session, io: NuGetIo): Promise<Outcome[]> {
  const { client, call } = session;
  const ids = packages.ids();
  const progress = io.progress(packages.size + ids.length);
  const throttle = new SemaphoreThrottle(maxParallel, { maxQueue: packages.size + ids.length + 1 });
  const step = async (id: string, version: string, work: () => Promise<number | undefined>): Promise<Outcome> => {
    progress.start(`${id} ${version}`.trim());
    try {
      const size = await work();
      return { id, version, ...(size !== undefined && { size }) };
    } catch (error) {
      call.signal.throwIfAborted();
      return { id, version, error: explain(error) };
    } finally {
      progress.finishOne();
    }
  };
  const describe = async (id: string): Promise<undefined> => {
    await client.listVersions(id, call);
    try {
      await client.listMetadata(id, call);
    } catch (error) {
      // Where no source has metadata beside its packages, nobody asks for any: restores do without.
      if (!isNuGetError(error) || error.code !== 'UNSUPPORTED') throw error;
    }
  };
  const download = async ({ id, version }: PackageIdentity): Promise<number> => {
    const stream = await client.downloadPackage(id, version, call);
    stream.on('data', (chunk: Buffer) => progress.add(chunk.length));
    await finished(stream, { signal: call.signal });
    return stream.size;
  };
  const run = (work: () => Promise<Outcome>) => throttle.run(work, { signal: call.signal });
  const steps = [
    ...ids.map((id) => run(() => step(id, '', () => describe(id)))),
    ...packages.all().map((each) => run(() => step(each.id, nameOf(each.version), () => download(each)))),
  ];
  // All are waited for before anything is closed.
  const settled = await Promise.allSettled(steps);
  await client.vulnerabilities(call).catch(() => {});
  progress.clear();
  call.signal.throwIfAborted();
  return settled.flatMap((each) => {
    if (each.status === 'rejected') throw each.reason;
    const { version, error } = each.value;
    return version === '' && error === undefined ? [] : [each.value];
  });
}

function nameOf(version: NuGetVersion): string {
  return version.toNormalizedString();
}
