import { randomBytes } from 'node:crypto';
import { basename, join, resolve } from 'node:path';
import { lowerId, lowerVersion, type PackageIdentity } from '../package-identity.js';

/** Where a package lies in a folder of packages. All absolute. */
export interface InstalledPaths {
  /** Folder of the id. */
  readonly parent: string;
  /** Folder of the version: what is in it and not named below are the package's files. */
  readonly folder: string;
  readonly nupkg: string;
  readonly nuspec: string;
  /** The SHA-512 of the nupkg in base64. */
  readonly hash: string;
  /** `.nupkg.metadata`: with it the package is whole. */
  readonly marker: string;
}

/**
 * A folder of packages as restores share it: `{id}/{version}/`, both in lower case, the version normalized and without
 * metadata.
 */
export class PackagesFolder {
  readonly path: string;

  constructor(path: string) {
    this.path = resolve(path);
  }

  /** Whether a folder beside those of a package's versions is one that an installer fills or removes, or has left behind. */
  static isStaged(name: string): boolean {
    return name.startsWith(ASIDE_PREFIX);
  }

  /** @throws {@link NuGetError} `INVALID_PACKAGE_ID` */
  locate(identity: PackageIdentity): InstalledPaths {
    const id = lowerId(identity.id);
    const version = lowerVersion(identity.version);
    const parent = join(this.path, id);
    return installedPaths(parent, join(parent, version), id, version);
  }
}

/** The same names in a folder beside the real one that nobody takes for a version. */
export function stagedPaths(paths: InstalledPaths, identity: PackageIdentity): InstalledPaths {
  const version = lowerVersion(identity.version);
  return installedPaths(paths.parent, asidePath(paths), lowerId(identity.id), version);
}

/** A name beside a package's folder that isn't in use. */
export function asidePath(paths: InstalledPaths): string {
  return join(paths.parent, `${ASIDE_PREFIX}${randomBytes(8).toString('hex')}`);
}

/** A name beside a package's folder that is there while one process moves that away. */
export function claimPath({ parent, folder }: InstalledPaths): string {
  return join(parent, `${ASIDE_PREFIX}${basename(folder)}`);
}

/** What names of folders begin with that are being filled or removed. */
const ASIDE_PREFIX = '.granary~';

function installedPaths(parent: string, folder: string, id: string, version: string): InstalledPaths {
  const nupkg = join(folder, `${id}.${version}.nupkg`);
  return {
    parent,
    folder,
    nupkg,
    nuspec: join(folder, `${id}.nuspec`),
    hash: `${nupkg}.sha512`,
    marker: join(folder, '.nupkg.metadata'),
  };
}
