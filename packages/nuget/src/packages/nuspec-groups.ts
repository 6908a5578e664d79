import { NuGetError } from '../errors.js';
import { NuGetFramework } from '../frameworks/nuget-framework.js';
import { isPackageId } from '../package-identity.js';
import type { DependencyGroup, PackageDependency } from '../protocol/model.js';
import { VersionRange } from '../versions/version-range.js';
import { shown } from './entry-path.js';
import { attribute, attributes, named, within, type XmlElement } from './xml-tree.js';

/** Names that count for a target framework. */
export interface FrameworkItems {
  readonly targetFramework: NuGetFramework;
  readonly items: readonly string[];
}

/** In groups, or, as packages for clients before 2.0 have it, in one list, which counts where there are no groups. */
export function readDependencyGroups(metadata: XmlElement): readonly DependencyGroup[] {
  const groups = within(metadata, 'dependencies', 'group');
  if (groups.length > 0) {
    return groups.map((group) => ({
      targetFramework: frameworkOf(group),
      dependencies: readDependencies(named(group, 'dependency')),
    }));
  }
  const dependencies = readDependencies(within(metadata, 'dependencies', 'dependency'));
  return dependencies.length === 0 ? [] : [{ targetFramework: NuGetFramework.any, dependencies }];
}

function readDependencies(elements: readonly XmlElement[]): readonly PackageDependency[] {
  const dependencies = new Map<string, PackageDependency>();
  for (const element of elements) {
    const id = attribute(element, 'id');
    if (id === undefined) throw invalidNuspec('has a dependency without an id');
    if (!isPackageId(id)) throw invalidNuspec(`has a dependency on an id that is none: ${shown(id)}`);
    const range = VersionRange.tryParse(attribute(element, 'version') ?? '') ?? VersionRange.all;
    const include = attribute(element, 'include');
    const exclude = attribute(element, 'exclude');
    const key = [id.toLowerCase(), range.toNormalizedString(), include, exclude].join('\n');
    if (!dependencies.has(key)) dependencies.set(key, { id, range, include, exclude });
  }
  return [...dependencies.values()];
}

export function readReferences(metadata: XmlElement): readonly FrameworkItems[] {
  const groups = within(metadata, 'references', 'group');
  if (groups.length > 0) {
    return groups.map((group) => ({
      targetFramework: frameworkOf(group),
      items: attributes(named(group, 'reference'), 'file'),
    }));
  }
  const items = attributes(within(metadata, 'references', 'reference'), 'file');
  return items.length === 0 ? [] : [{ targetFramework: NuGetFramework.any, items }];
}

export function readFrameworkReferences(metadata: XmlElement): readonly FrameworkItems[] {
  return within(metadata, 'frameworkReferences', 'group').map((group) => ({
    targetFramework: frameworkOf(group),
    items: unique(attributes(named(group, 'frameworkReference'), 'name')),
  }));
}

/** Each assembly names its frameworks, so that the groups have to be made. */
export function readFrameworkAssemblies(metadata: XmlElement): readonly FrameworkItems[] {
  const groups = new Map<string, { targetFramework: NuGetFramework; items: string[] }>();
  for (const element of within(metadata, 'frameworkAssemblies', 'frameworkAssembly')) {
    const name = attribute(element, 'assemblyName');
    const frameworks = split(attribute(element, 'targetFramework'), /,/);
    for (const framework of frameworks.length === 0 ? [''] : frameworks) {
      const targetFramework = parseFramework(framework);
      const { key } = targetFramework;
      const group = groups.get(key) ?? { targetFramework, items: [] };
      groups.set(key, group);
      if (name !== undefined) group.items.push(name);
    }
  }
  return [...groups.values()].map(({ targetFramework, items }) => ({ targetFramework, items: unique(items) }));
}

/** Not trimmed, as NuGet has it and as feeds tell it: with white space around it, it is a framework that nobody knows. */
function frameworkOf(element: XmlElement): NuGetFramework {
  return parseFramework(element.attributes.get('targetFramework') ?? '');
}

function parseFramework(text: string): NuGetFramework {
  if (text === '') return NuGetFramework.any;
  try {
    return NuGetFramework.parse(text);
  } catch (error) {
    throw invalidNuspec(`has a target framework that is none: ${shown(text)}`, error);
  }
}

/** The parts of a list, trimmed, the empty ones left out. */
export function split(text: string | undefined, separator: RegExp): readonly string[] {
  if (text === undefined) return [];
  return text
    .split(separator)
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

/** Without those that differ in nothing but case from an earlier one. */
function unique(items: readonly string[]): readonly string[] {
  return [...new Map(items.toReversed().map((item) => [item.toLowerCase(), item])).values()].toReversed();
}

/** That a nuspec says something that makes no sense. */
export function invalidNuspec(what: string, cause?: unknown): NuGetError {
  return new NuGetError('INVALID_PACKAGE', `the nuspec ${what}`, cause === undefined ? undefined : { cause });
}
