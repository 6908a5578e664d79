import { NuGetError } from '../errors.js';
import type { PackageIdentity } from '../package-identity.js';
import { attribute, named, type XmlElement } from '../packages/xml-tree.js';
import { identityOf } from './identity-of.js';
import type { WantedPackages } from './wanted-packages.js';

/** The packages of a `packages.config`: all of them, since it names what others bring with them, too. */
export function readPackagesConfig(path: string, root: XmlElement): WantedPackages {
  if (root.name !== 'packages') {
    throw new NuGetError(
      'INVALID_PROJECT',
      `${path} is no packages.config: it has <${root.name}> instead of <packages>`,
    );
  }
  const packages: PackageIdentity[] = [];
  const problems: string[] = [];
  for (const element of named(root, 'package')) {
    const identity = identityOf(attribute(element, 'id'), attribute(element, 'version'));
    if (identity) packages.push(identity);
    else problems.push(`${path}: ${attribute(element, 'id') ?? 'a package'} has no version`);
  }
  return { packages, projects: [], restored: [], problems };
}
