import { nearestFramework } from '../frameworks/nearest.js';
import { NuGetFramework } from '../frameworks/nuget-framework.js';
import type { GroupFit } from '../resolver/dependency-provider.js';

/** What projects compile or run against; `_._` stands for nothing, where a framework needs nothing. */
const ASSEMBLY = /^(?:lib|ref)\/.*(?:\.dll|\.exe|\.winmd|\/_\._)$/i;

/**
 * How well a package's assemblies fit a target framework. One without any fits: it has tools, content or nothing but
 * dependencies.
 */
export function assetFit(
  files: Iterable<string>,
  framework: NuGetFramework,
  fallbacks: readonly NuGetFramework[] = [],
): GroupFit {
  const folders = new Map<string, NuGetFramework>();
  for (const file of files) {
    if (!ASSEMBLY.test(file)) continue;
    const [, folder = '', ...rest] = file.split('/');
    // `lib/A.dll` is for any .NET Framework.
    const name = rest.length === 0 ? 'net' : folder;
    if (!folders.has(name)) folders.set(name, NuGetFramework.parse(name));
  }
  if (folders.size === 0) return 'compatible';
  const candidates = [...folders.values()];
  if (nearestFramework(framework, candidates) !== undefined) return 'compatible';
  const isFallback = fallbacks.some((fallback) => nearestFramework(fallback, candidates) !== undefined);
  return isFallback ? 'fallback' : 'incompatible';
}
