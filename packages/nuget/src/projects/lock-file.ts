import { NuGetError } from '../errors.js';
import type { PackageIdentity } from '../package-identity.js';
import { identityOf } from './identity-of.js';
import { isObject } from './json-file.js';
import type { WantedPackages } from './wanted-packages.js';

/** The packages of a `packages.lock.json` of any version, for all of its frameworks. */
export function readLockFile(path: string, lock: Readonly<Record<string, unknown>>): WantedPackages {
  const { dependencies } = lock;
  if (!isObject(dependencies)) throw new NuGetError('INVALID_PROJECT', `${path}: there are no dependencies in it`);
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
