import { basename } from 'node:path';
import type { Environment } from '../config/expand-environment.js';
import { NuGetError } from '../errors.js';
import { readAssetsFile } from './assets-file.js';
import { parseJson } from './json-file.js';
import { readLockFile } from './lock-file.js';
import { readPackagesConfig } from './packages-config.js';
import { readProjectFile } from './project-file.js';
import { readBounded } from './read-bounded.js';
import type { WantedPackages } from './wanted-packages.js';
import { readXml } from './xml-file.js';

/** The largest `project.assets.json` of thousands of packages has a tenth of this. */
const MAX_JSON_BYTES = 64 * 1024 * 1024;

/** How `readWantedPackages` reads. */
export interface WantedPackagesOptions {
  /** Variables that project files may refer to as properties. Default `process.env`. */
  readonly environment?: Environment | undefined;
}

/**
 * What a project asks for in packages: a `packages.lock.json`, a `project.assets.json`, a `packages.config`, or a project
 * file (`*.csproj`, `*.fsproj`, …), which is understood as far as people write such files; the other files say exactly
 * what a restore takes.
 *
 * @throws NuGetError `INVALID_PROJECT` for a file that isn't there, can't be read or is none of these, `LIMIT` for one
 * that is too large
 */
export async function readWantedPackages(path: string, options: WantedPackagesOptions = {}): Promise<WantedPackages> {
  const name = basename(path).toLowerCase();
  if (name.endsWith('.json')) {
    const json = parseJson(path, readBounded(path, MAX_JSON_BYTES));
    return 'libraries' in json ? readAssetsFile(path, json) : readLockFile(path, json);
  }
  if (name.endsWith('proj')) return readProjectFile(path, options.environment ?? process.env);
  if (name.endsWith('.config')) return readPackagesConfig(path, readXml(path));
  throw new NuGetError(
    'INVALID_PROJECT',
    `${path}: allowed: a packages.lock.json, project.assets.json or packages.config, or a project such as *.csproj`,
  );
}
