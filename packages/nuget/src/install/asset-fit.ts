import { nearestFramework } from '../frameworks/nearest.js';
import { NuGetFramework } from '../frameworks/nuget-framework.js';
import type { GroupFit } from '../resolver/dependency-provider.js';

/** What projects compile or run against; `_._` stands for nothing, where a framework needs nothing. */
const ASSEMBLY = /^(?:lib|ref)\/.*(?:\.dll|\.exe|\.winmd|\/_\._)$/i;
/** What builds of projects take part in: `build/net8.0/A.targets`, or `build/A.props` for all. */
const BUILD = /^build(?:Transitive|MultiTargeting|CrossTargeting)?\/(?:([^/]+)\/)?(?:[^/]+\.(?:props|targets)|_\._)$/i;
/** Files for projects themselves, by language and framework. */
const CONTENT = /^contentFiles\/[^/]+\/([^/]+)\/./i;

/**
 * How well what a package has for projects fits a target framework. One without assemblies fits: it has tools, content or
 * nothing but dependencies. One whose assemblies are for others still does where it brings something to the build.
 */
export function assetFit(
  files: Iterable<string>,
  framework: NuGetFramework,
  fallbacks: readonly NuGetFramework[] = [],
): GroupFit {
  const folders = new Map<string, NuGetFramework>();
  let hasAssemblies = false;
  for (const file of files) {
    const name = frameworkFolder(file);
    if (name === undefined) continue;
    hasAssemblies ||= ASSEMBLY.test(file);
    if (!folders.has(name)) folders.set(name, NuGetFramework.parse(name));
  }
  if (!hasAssemblies) return 'compatible';
  const candidates = [...folders.values()];
  if (nearestFramework(framework, candidates) !== undefined) return 'compatible';
  const isFallback = fallbacks.some((fallback) => nearestFramework(fallback, candidates) !== undefined);
  return isFallback ? 'fallback' : 'incompatible';
}

/** Name of the framework that a file is for; undefined for one that projects don't use. */
function frameworkFolder(file: string): string | undefined {
  if (ASSEMBLY.test(file)) {
    const [, folder = '', ...rest] = file.split('/');
    // `lib/A.dll` is for any .NET Framework.
    return rest.length === 0 ? 'net' : folder;
  }
  const build = BUILD.exec(file);
  return build === null ? CONTENT.exec(file)?.[1] : (build[1] ?? 'any');
}
