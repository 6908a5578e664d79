import { knownFramework } from '../frameworks/known-framework.js';
import { nearestFramework } from '../frameworks/nearest.js';
import type { NuGetFramework } from '../frameworks/nuget-framework.js';
import type { GroupFit } from '../resolver/dependency-provider.js';

/** Where what projects compile or run against is; a package with something there is for the frameworks of that only. */
const LIBRARY = /^(?:lib|ref)\//i;
/**
 * Assemblies right below the folder of a framework, and translations of their texts one below that. `lib/A.dll` is for any
 * .NET Framework, and `_._` stands for nothing, where a framework needs nothing.
 */
const ASSEMBLY = /^(?:lib|ref)\/(?:([^/]+)\/)?(?:[^/]+\.(?:dll|exe|winmd)|_\._)$/i;
const TRANSLATION = /^lib\/([^/]+)\/[^/]+\/[^/]+\.resources\.dll$/i;
/** What builds of projects take part in: `build/net8.0/A.targets`, or `build/A.props` for all. */
const BUILD = /^build(?:Transitive|MultiTargeting|CrossTargeting)?\/(?:([^/]+)\/)?(?:[^/]+\.(?:props|targets)|_\._)$/i;
/** Files for projects themselves, by language and framework. */
const CONTENT = /^contentFiles\/[^/]+\/([^/]+)\/./i;

/**
 * How well what a package has for projects fits a target framework. One without `lib` and `ref` fits: it has tools, content
 * or nothing but dependencies. One whose assemblies are for others still does where it brings something to the build.
 */
export function assetFit(
  files: Iterable<string>,
  framework: NuGetFramework,
  fallbacks: readonly NuGetFramework[] = [],
): GroupFit {
  const folders = new Map<string, NuGetFramework>();
  let hasLibrary = false;
  for (const file of files) {
    hasLibrary ||= LIBRARY.test(file);
    const name = frameworkFolder(file);
    if (name !== undefined && !folders.has(name)) folders.set(name, knownFramework(name));
  }
  if (!hasLibrary) return 'compatible';
  const candidates = [...folders.values()];
  if (nearestFramework(framework, candidates) !== undefined) return 'compatible';
  const isFallback = fallbacks.some((fallback) => nearestFramework(fallback, candidates) !== undefined);
  return isFallback ? 'fallback' : 'incompatible';
}

/** Name of the framework that a file is for; undefined for one that projects don't use. */
function frameworkFolder(file: string): string | undefined {
  const assembly = ASSEMBLY.exec(file);
  if (assembly !== null) return assembly[1] ?? 'net';
  const build = BUILD.exec(file);
  if (build !== null) return build[1] ?? 'any';
  return (TRANSLATION.exec(file) ?? CONTENT.exec(file))?.[1];
}
