import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import {
  assetFit,
  clientDependencies,
  clientPackages,
  type DependencyProvider,
  type Diagnostic,
  type InstallEvent,
  type InstallResult,
  installedDependencies,
  type NuGetFramework,
  PackageInstaller,
  PackagesFolder,
  parseNuspec,
  resolveDependencies,
  sdkFallbacks,
} from '@granary/nuget';
import { redactText } from '@granary/telemetry';
import type { ExitCode } from '../../io.js';
import type { Progress } from '../../terminal/progress.js';
import { toJson } from '../json.js';
import { concurrencyOf } from '../numbers.js';
import { explain, type NuGetIo } from '../run-command.js';
import { openSession } from '../session.js';
import { wantedRange } from '../wanted-range.js';
import { auditOf, type DepsOptions, frameworkOf, mappingOf, reportDiagnostics, withoutCause } from './deps.js';

export interface InstallCommandOptions extends DepsOptions {
  /** Folder of packages. Default: the one that restores share. */
  readonly packages?: string;
  /** The same. */
  readonly output?: string;
  readonly concurrency?: string;
}

/** Installs a package with all that it needs where restores find it. */
export async function install(
  id: string,
  text: string | undefined,
  options: InstallCommandOptions,
  io: NuGetIo,
): Promise<ExitCode> {
  const framework = frameworkOf(options.framework);
  const maxParallel = concurrencyOf(options.concurrency);
  await using session = await openSession(options, io);
  const { client, call, config } = session;
  const folder = resolve(options.packages ?? options.output ?? config.globalPackagesFolder);
  const fallbacks = sdkFallbacks(framework);
  // Without the cache, what is read in packages would be downloaded twice.
  const read = options.cache === false ? 'metadata' : 'package';
  const sources = clientDependencies(client, { ...call, mapping: mappingOf(options, session), read });
  const reading = io.progress(0);
  const graph = await resolveDependencies({
    provider: shownOn(reading, installedDependencies(folder, sources)),
    dependencies: [{ id, range: await wantedRange(id, text, options, session) }],
    framework,
    fallbacks,
    audit: await auditOf(options, session),
    maxParallel,
    signal: io.signal,
  }).finally(() => reading.end());
  reportDiagnostics(graph.diagnostics, io);
  if (!graph.success) {
    if (options.json) io.out(toJson({ folder, packages: [], diagnostics: graph.diagnostics.map(withoutCause) }));
    else io.err('granary: nothing was installed\n');
    return 1;
  }

  const progress = io.progress(graph.packages.length);
  const installer = new PackageInstaller({ folder, packages: clientPackages(client, call), maxParallel });
  const results = await installer
    .install(graph.packages, { signal: io.signal, onEvent: showOn(progress) })
    .finally(() => progress.end());
  const told = new Set(graph.diagnostics.map(({ code, id: about }) => `${code} ${about}`));
  const misfits: Diagnostic[] = [];
  for (const result of results) misfits.push(...(await findMisfit(result, folder, framework, fallbacks)));
  const news = misfits.filter(({ code, id: about }) => !told.has(`${code} ${about}`));
  reportDiagnostics(news, io);
  const failed = results.filter(({ outcome }) => outcome === 'failed');
  for (const { identity, error } of failed) io.err(`granary: ${nameOf({ identity })}: ${explain(error)}\n`);
  if (options.json) {
    const diagnostics = [...graph.diagnostics, ...news].map(withoutCause);
    io.out(toJson({ folder, packages: results.map(resultOf), diagnostics }));
  } else {
    for (const result of results)
      if (result.outcome === 'installed') io.out(`${io.style.bold(nameOf(result))} ${result.folder}\n`);
    io.out(summary(results, folder));
  }
  return failed.length > 0 || misfits.some(({ level }) => level === 'error') ? 1 : 0;
}

/** The same, on a terminal with how far it is: what is read are packages, which may be large. */
function shownOn(progress: Progress, provider: DependencyProvider): DependencyProvider {
  const [sources, triesLowest] = [provider.sources?.bind(provider), provider.triesLowest?.bind(provider)];
  const listVersionsAnew = provider.listVersionsAnew?.bind(provider);
  return {
    ...(listVersionsAnew && { listVersionsAnew }),
    ...(sources && { sources }),
    ...(triesLowest && { triesLowest }),
    listVersions: (id, options) => provider.listVersions(id, options),
    async dependencies(identity, framework, options) {
      progress.expectOne();
      progress.start(nameOf({ identity }));
      try {
        return await provider.dependencies(identity, framework, options);
      } finally {
        progress.finishOne();
      }
    },
  };
}

function showOn(progress: Progress): (event: InstallEvent) => void {
  const seen = new Map<string, number>();
  return (event) => {
    const name = nameOf(event);
    if (event.kind === 'downloading') {
      progress.start(name);
      progress.add(event.bytes - (seen.get(name) ?? 0));
      seen.set(name, event.bytes);
    } else if (event.kind === 'extracting') {
      progress.start(name);
    } else {
      seen.delete(name);
      progress.finishOne();
    }
  };
}

/** What only the files of a package, and what its nuspec names of the framework, can tell. */
async function findMisfit(
  { identity, files, outcome }: InstallResult,
  folder: string,
  framework: NuGetFramework,
  fallbacks: readonly NuGetFramework[],
): Promise<Diagnostic[]> {
  if (outcome === 'failed' || assetFit({ id: identity.id, files }, framework, fallbacks) === 'compatible') return [];
  const { frameworkAssemblies, frameworkReferences } = parseNuspec(
    await readFile(new PackagesFolder(folder).locate(identity).nuspec),
  );
  const { id, version } = identity;
  const fit = assetFit({ id, frameworkAssemblies, frameworkReferences, files }, framework, fallbacks);
  if (fit === 'compatible') return [];
  const target = framework.shortFolderName;
  return fit === 'incompatible'
    ? [
        {
          code: 'NU1202',
          level: 'error',
          id,
          version,
          paths: [],
          message: `${nameOf({ identity })} has no assembly for ${target}`,
        },
      ]
    : [
        {
          code: 'NU1701',
          level: 'warning',
          id,
          version,
          paths: [],
          message: `${nameOf({ identity })} has assemblies for .NET Framework only, which may not work with ${target}`,
        },
      ];
}

function summary(results: readonly InstallResult[], folder: string): string {
  const count = (outcome: InstallResult['outcome']) => results.filter((result) => result.outcome === outcome).length;
  const failed = count('failed') === 0 ? '' : `, ${count('failed')} failed`;
  return `${count('installed')} installed, ${count('present')} there already${failed}: ${folder}\n`;
}

function resultOf({ identity, outcome, folder, source, error }: InstallResult) {
  const { id, version } = identity;
  // It may come from a marker that somebody else has written.
  const from = source === undefined ? undefined : redactText(source);
  return { id, version, outcome, folder, source: from, ...(error === undefined ? {} : { error: explain(error) }) };
}

function nameOf({ identity }: Pick<InstallResult, 'identity'>): string {
  return `${identity.id} ${identity.version.toNormalizedString()}`;
}
