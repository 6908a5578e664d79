import { NuGetError } from '../errors.js';
import type { NuGetFramework } from '../frameworks/nuget-framework.js';
import { isPackageId, type PackageIdentity } from '../package-identity.js';
import { projectFramework } from '../resolver/project-framework.js';
import { VersionRange } from '../versions/version-range.js';
import { exactVersionOf, identityOf } from './identity-of.js';
import { isObject } from './json-file.js';
import type { ProjectDependencies, WantedPackages } from './wanted-packages.js';

/**
 * The packages of a `project.assets.json`: those that the restore took, those that it only downloads, and what it was that
 * it resolved.
 */
export function readAssetsFile(path: string, assets: Readonly<Record<string, unknown>>): WantedPackages {
  const { libraries, project, targets } = assets;
  if (!isObject(libraries)) throw new NuGetError('INVALID_PROJECT', `${path}: there are no libraries in it`);
  const packages: PackageIdentity[] = [];
  const problems: string[] = [];
  for (const [name, library] of Object.entries(libraries)) {
    if (!isObject(library) || library['type'] !== 'package') continue;
    const slash = name.indexOf('/');
    const identity = identityOf(name.slice(0, slash), name.slice(slash + 1));
    if (identity) packages.push(identity);
    else problems.push(`${path}: ${JSON.stringify(name)} is no id and version`);
  }
  for (const [id, version] of downloadsOf(project)) {
    const identity = identityOf(id, exactVersionOf(String(version))?.toString());
    if (identity) packages.push(identity);
    else problems.push(`${path}: ${JSON.stringify(id)} is to be downloaded in no exact version`);
  }
  return { packages, projects: [], restored: [...wishesOf(project), ...wishesOfProjects(project, targets)], problems };
}

/** Targeting packs, hosts and the like, by exact versions: `[8.0.11, 8.0.11]`. */
function downloadsOf(project: unknown): (readonly [id: unknown, version: unknown])[] {
  const lists = Object.values(frameworksOf(project)).map(
    (framework) => isObject(framework) && framework['downloadDependencies'],
  );
  const entries = lists.flatMap((list): unknown[] => (Array.isArray(list) ? list : []));
  return entries.filter(isObject).flatMap(({ name, version }) =>
    // Several versions of one stand side by side.
    String(version)
      .split(';')
      .map((each) => [name, each.trim()] as const),
  );
}

/**
 * A project's frameworks by their names. From version 4 of the file on those are what the project calls them, and
 * `framework` is what they are; in older files they are the frameworks.
 */
function frameworksOf(project: unknown): Readonly<Record<string, unknown>> {
  return isObject(project) && isObject(project['frameworks']) ? project['frameworks'] : {};
}

/** What the project itself refers to. */
function wishesOf(project: unknown): ProjectDependencies[] {
  return Object.entries(frameworksOf(project)).flatMap(([name, framework]) => {
    const all = isObject(framework) && isObject(framework['dependencies']) ? framework['dependencies'] : {};
    const wishes = Object.entries(all).map(([id, wish]): [string, unknown] => {
      const isPackage = isObject(wish) && (wish['target'] === undefined || wish['target'] === 'Package');
      return [id, isPackage ? wish['version'] : undefined];
    });
    return dependenciesOf(frameworkOf(name, project), wishes);
  });
}

/** What the projects that it refers to bring with them. */
function wishesOfProjects(project: unknown, targets: unknown): ProjectDependencies[] {
  return Object.entries(isObject(targets) ? targets : {}).flatMap(([target, libraries]) => {
    const all = Object.entries(isObject(libraries) ? libraries : {});
    const isProject = (library: unknown) => isObject(library) && library['type'] === 'project';
    const ours = new Set(all.flatMap(([name, library]) => (isProject(library) ? nameOf(name) : [])));
    const [name = ''] = target.split('/', 1);
    return all.flatMap(([, library]) => {
      const wishes = isObject(library) && isProject(library) && library['dependencies'];
      if (!isObject(wishes)) return [];
      return dependenciesOf(
        frameworkOf(name, project),
        Object.entries(wishes).filter(([id]) => !ours.has(id.toLowerCase())),
      );
    });
  });
}

function nameOf(library: string): string {
  return library.slice(0, library.indexOf('/')).toLowerCase();
}

/** What can't be read is left to what was taken. */
function dependenciesOf(
  framework: NuGetFramework | undefined,
  wishes: readonly (readonly [string, unknown])[],
): ProjectDependencies[] {
  const dependencies = wishes.flatMap(([id, text]) => {
    const range = typeof text === 'string' && isPackageId(id) ? VersionRange.tryParse(text) : undefined;
    return range === undefined ? [] : { id, range };
  });
  return framework === undefined || dependencies.length === 0 ? [] : [{ framework, dependencies }];
}

function frameworkOf(name: string, project: unknown): NuGetFramework | undefined {
  const named = frameworksOf(project)[name];
  const text = isObject(named) && typeof named['framework'] === 'string' ? named['framework'] : name;
  try {
    const framework = projectFramework(text);
    return framework.isSpecific ? framework : undefined;
  } catch {
    return undefined;
  }
}
