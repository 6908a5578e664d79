import { knownFramework } from '../frameworks/known-framework.js';
import { nearestFramework } from '../frameworks/nearest.js';
import type { NuGetFramework } from '../frameworks/nuget-framework.js';
import type { GroupFit } from '../resolver/dependency-provider.js';

/** Where what projects compile or run against is; a package with something there is for the frameworks of that only. */
const LIBRARY = /^(?:lib|ref)\//i;
/** `lib/A.dll` is for any .NET Framework. */
const BARE_ASSEMBLY = /^lib\/(?=(?:[^/]+\.(?:dll|exe|winmd)|_\._)$)/i;
/** What takes part in builds whatever they are for. For builds for several frameworks there is nothing else. */
const BARE_BUILD = /^build(?:Transitive|MultiTargeting|CrossTargeting)?\/(?:[^/]+\.(?:props|targets)|_\._)$/i;

/** Something that projects take from packages, out of the folder of the nearest framework. */
interface AssetKind {
  /** Files that make a folder one to choose from. */
  readonly folder: RegExp;
  /** Those that are taken. A folder that has others only, such as documentation, is chosen all the same. */
  readonly asset: RegExp;
}

const ASSEMBLIES = /^(?:lib|ref|embed)\/[^/]+\/(?:[^/]+\.(?:dll|exe|winmd)|_\._)$/i;
const ALL = /./;

/** As NuGet has them. `_._` stands for nothing, where a framework needs nothing. */
const KINDS: readonly AssetKind[] = [
  { folder: /^lib\/([^/]+)\/./i, asset: ASSEMBLIES },
  { folder: /^ref\/([^/]+)\/./i, asset: ASSEMBLIES },
  { folder: /^embed\/([^/]+)\/./i, asset: ASSEMBLIES },
  // Translations of the texts of assemblies, by language.
  { folder: /^lib\/([^/]+)\/[^/]{2}(?:-[^/]+)?\/./i, asset: /^lib(?:\/[^/]+){2}\/(?:[^/]+\.resources\.dll|_\._)$/i },
  { folder: /^build\/([^/]+)\/(?:[^/]+\.(?:props|targets)|_\._)$/i, asset: ALL },
  { folder: /^buildTransitive\/([^/]+)\/(?:[^/]+\.(?:props|targets)|_\._)$/i, asset: ALL },
];
/** Files for projects themselves, by language and framework. What is for other frameworks is never taken for want of better. */
const CONTENT: AssetKind = { folder: /^contentFiles\/[^/]+\/([^/]+)\/./i, asset: ALL };

/**
 * How well what a package has for projects fits a target framework. One without `lib` and `ref` is never incompatible: it
 * has tools, content or nothing but dependencies. One whose assemblies are for others still fits where it brings something
 * to the build.
 */
export function assetFit(
  files: Iterable<string>,
  framework: NuGetFramework,
  fallbacks: readonly NuGetFramework[] = [],
): GroupFit {
  const paths = [...files].map((file) => file.replace(BARE_ASSEMBLY, 'lib/net/'));
  if (paths.some((path) => BARE_BUILD.test(path))) return 'compatible';
  const kinds = KINDS.map((kind) => foldersOf(kind, paths));
  const fits = (target: NuGetFramework) => kinds.some((folders) => hasAssets(folders, target));
  if (fits(framework) || hasAssets(foldersOf(CONTENT, paths), framework)) return 'compatible';
  if (fallbacks.some(fits)) return 'fallback';
  return paths.some((path) => LIBRARY.test(path)) ? 'incompatible' : 'compatible';
}

interface Folder {
  readonly framework: NuGetFramework;
  readonly hasAssets: boolean;
}

/** The folders of a kind that a package has, by the keys of their frameworks. */
function foldersOf({ folder, asset }: AssetKind, paths: readonly string[]): ReadonlyMap<string, Folder> {
  const folders = new Map<string, Folder>();
  for (const path of paths) {
    const name = folder.exec(path)?.[1];
    if (name === undefined) continue;
    const framework = frameworkOf(name, path);
    const before = folders.get(framework.key);
    folders.set(framework.key, { framework, hasAssets: before?.hasAssets === true || asset.test(path) });
  }
  return folders;
}

function hasAssets(folders: ReadonlyMap<string, Folder>, target: NuGetFramework): boolean {
  const nearest = nearestFramework(
    target,
    [...folders.values()].map(({ framework }) => framework),
  );
  return nearest !== undefined && folders.get(nearest.key)?.hasAssets === true;
}

/** What the name of a folder means. Only content is for whatever framework there is. */
function frameworkOf(name: string, path: string): NuGetFramework {
  return knownFramework(name === 'any' && !/^contentFiles\//i.test(path) ? 'dotnet' : name);
}
