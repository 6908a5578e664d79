import { NuGetError } from '../errors.js';
import type { PackageIdentity } from '../package-identity.js';
import { identityOf } from './identity-of.js';
import { isObject } from './json-file.js';
import type { WantedPackages } from './wanted-packages.js';

/** From here on frameworks stand where their dependencies stood before, under what the project calls them. */
const ALIASED_VERSION = 3;

/** The packages of a `packages.lock.json` of any version, for all of its frameworks. */
export function readLockFile(path: string, lock: Readonly<Record<string, unknown>>): WantedPackages {
  const dependencies = dependenciesByFramework(lock);
  if (dependencies === undefined) throw new NuGetError('INVALID_PROJECT', `${path}: there are no dependencies in it`);
  const packages: PackageIdentity[] = [];
  const problems: string[] = [];
  for (const [framework, locked] of Object.entries(dependencies)) {
    if (!isObject(locked)) continue;
    for (const [id, entry] of Object.entries(locked)) {
      if (!isObject(entry) || String(entry['type']).toLowerCase() === 'project') continue;
      const identity = identityOf(id, entry['resolved']);
      if (identity) packages.push(identity);
      else problems.push(`${path}: ${framework}: ${id} has no version`);
    }
  }
  return { packages, projects: [], restored: [], problems };
}

function dependenciesByFramework(
  lock: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> | undefined {
  const { version, dependencies } = lock;
  if (typeof version !== 'number' || version < ALIASED_VERSION)
    return isObject(dependencies) ? dependencies : undefined;
  const frameworks = Object.entries(lock).flatMap(([name, target]) =>
    isObject(target) && target['framework'] ? [[name, target['dependencies']] as const] : [],
  );
  return frameworks.length > 0 ? Object.fromEntries(frameworks) : undefined;
}
