import { knownFramework } from '../frameworks/known-framework.js';
import { nearestFramework } from '../frameworks/nearest.js';
import type { NuGetFramework } from '../frameworks/nuget-framework.js';
import type { FrameworkItems } from '../packages/nuspec-groups.js';
import type { GroupFit } from '../resolver/dependency-provider.js';

/** What a package has that projects take for their framework. */
export interface PackageAssets {
  readonly id: string;
  /** Paths of its files. */
  readonly files: Iterable<string>;
  /** What its nuspec names of .NET Framework itself. Default nothing. */
  readonly frameworkAssemblies?: readonly FrameworkItems[] | undefined;
  /** What its nuspec names of what .NET brings along, such as ASP.NET Core. Default nothing. */
  readonly frameworkReferences?: readonly FrameworkItems[] | undefined;
}

/** Where what projects compile or run against is; a package with something there is for the frameworks of that only. */
const LIBRARY = /^(?:lib|ref)\//i;
/** `lib/A.dll` is for any .NET Framework. */
const BARE_ASSEMBLY = /^lib\/(?=(?:[^/]+\.(?:dll|exe|winmd)|_\._)$)/i;
/** What takes part in builds whatever they are for. For builds for several frameworks there is nothing else. */
const BARE_BUILD = /^build(?:Transitive|MultiTargeting|CrossTargeting)?\/[^/]+$/i;

/** Something that projects take from packages, out of the folder of the nearest framework. */
interface AssetKind {
  /** Files that make a folder one to choose from. */
  readonly folder: RegExp;
  /** Whether one is taken. A folder that has others only, such as documentation, is chosen all the same. */
  readonly isAsset: (path: string, id: string) => boolean;
}

const ASSEMBLIES = /^(?:lib|ref|embed)\/[^/]+\/(?:[^/]+\.(?:dll|exe|winmd)|_\._)$/i;
const TRANSLATIONS = /^lib(?:\/[^/]+){2}\/(?:[^/]+\.resources\.dll|_\._)$/i;
const isAssembly = (path: string) => ASSEMBLIES.test(path);
const isTranslation = (path: string) => TRANSLATIONS.test(path);

/** As NuGet has them. `_._` stands for nothing, where a framework needs nothing. */
const KINDS: readonly AssetKind[] = [
  { folder: /^lib\/([^/]+)\/./i, isAsset: isAssembly },
  { folder: /^ref\/([^/]+)\/./i, isAsset: isAssembly },
  { folder: /^embed\/([^/]+)\/./i, isAsset: isAssembly },
  // Translations of the texts of assemblies, by language.
  { folder: /^lib\/([^/]+)\/[^/]{2}(?:-[^/]+)?\/./i, isAsset: isTranslation },
  { folder: /^build\/([^/]+)\/(?:[^/]+\.(?:props|targets)|_\._)$/i, isAsset: isImported },
  { folder: /^buildTransitive\/([^/]+)\/(?:[^/]+\.(?:props|targets)|_\._)$/i, isAsset: isImported },
];
/** Files for projects themselves, by language and framework. What is for other frameworks is never taken for want of better. */
const CONTENT: AssetKind = { folder: /^contentFiles\/[^/]+\/([^/]+)\/./i, isAsset: () => true };

/**
 * How well what a package has for projects fits a target framework. One without `lib` and `ref` is never incompatible: it
 * has tools, content or nothing but dependencies. One whose assemblies are for others still fits where it brings something
 * to the build, or names something that comes with the framework.
 */
export function assetFit(
  { id, files, frameworkAssemblies = [], frameworkReferences = [] }: PackageAssets,
  framework: NuGetFramework,
  fallbacks: readonly NuGetFramework[] = [],
): GroupFit {
  const paths = [...files].map((file) => file.replace(BARE_ASSEMBLY, 'lib/net/'));
  if (paths.some((path) => BARE_BUILD.test(path) && isImported(path, id))) return 'compatible';
  const kinds = KINDS.map((kind) => foldersOf(kind, paths, id));
  const fits = (target: NuGetFramework) => kinds.some((folders) => hasAssets(folders, target));
  if (fits(framework) || hasAssets(foldersOf(CONTENT, paths, id), framework)) return 'compatible';
  // What is made of packages has no assemblies of .NET Framework.
  if (!framework.isPackageBased && namesSome(frameworkAssemblies, framework)) return 'compatible';
  if (namesSome(frameworkReferences, framework)) return 'compatible';
  if (fallbacks.some(fits)) return 'fallback';
  return paths.some((path) => LIBRARY.test(path)) ? 'incompatible' : 'compatible';
}

/** Builds import what is named after the package; what else lies beside it is for that to import. */
function isImported(path: string, id: string): boolean {
  const name = path.slice(path.lastIndexOf('/') + 1).toLowerCase();
  return name === '_._' || name === `${id}.props`.toLowerCase() || name === `${id}.targets`.toLowerCase();
}

function namesSome(groups: readonly FrameworkItems[], target: NuGetFramework): boolean {
  const frameworks = groups.map(({ targetFramework }) => targetFramework);
  const nearest = nearestFramework(target, frameworks);
  return groups.some(({ targetFramework, items }) => items.length > 0 && targetFramework.equals(nearest));
}

interface Folder {
  readonly framework: NuGetFramework;
  readonly hasAssets: boolean;
}

/** The folders of a kind that a package has, by the keys of their frameworks. */
function foldersOf({ folder, isAsset }: AssetKind, paths: readonly string[], id: string): ReadonlyMap<string, Folder> {
  const folders = new Map<string, Folder>();
  for (const path of paths) {
    const name = folder.exec(path)?.[1];
    if (name === undefined) continue;
    const framework = frameworkOf(name, path);
    const before = folders.get(framework.key);
    folders.set(framework.key, { framework, hasAssets: before?.hasAssets === true || isAsset(path, id) });
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
