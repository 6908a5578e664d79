import { NuGetError } from '../errors.js';
import type { PackageIdentity } from '../package-identity.js';
import { exactVersionOf, identityOf } from './identity-of.js';
import { isObject } from './json-file.js';
import type { WantedPackages } from './wanted-packages.js';

/** The packages of a `project.assets.json`: those that the restore took, and those that it only downloads. */
export function readAssetsFile(path: string, assets: Readonly<Record<string, unknown>>): WantedPackages {
  const { libraries, project } = assets;
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
  return { packages, projects: [], problems };
}

/** Targeting packs, hosts and the like, by exact versions: `[8.0.11, 8.0.11]`. */
function downloadsOf(project: unknown): (readonly [id: unknown, version: unknown])[] {
  const frameworks = isObject(project) && isObject(project['frameworks']) ? project['frameworks'] : {};
  const lists = Object.values(frameworks).map((framework) => isObject(framework) && framework['downloadDependencies']);
  const entries = lists.flatMap((list): unknown[] => (Array.isArray(list) ? list : []));
  return entries.filter(isObject).flatMap(({ name, version }) =>
    // Several versions of one stand side by side.
    String(version)
      .split(';')
      .map((each) => [name, each.trim()] as const),
  );
}
