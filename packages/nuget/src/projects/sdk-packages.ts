import { dirname } from 'node:path';
import type { PackageIdentity } from '../package-identity.js';
import { identityOf } from './identity-of.js';
import { isObject, parseLenientJson } from './json-file.js';
import { fileAbove } from './msbuild/file-above.js';
import type { Note } from './package-items.js';
import { readBounded } from './read-bounded.js';

/** An SDK that a project names: `Sdk="Microsoft.Build.NoTargets/3.7.56"`. */
export interface SdkReference {
  readonly name: string;
  /** Undefined where the project leaves it to `global.json`, or to the .NET SDK, which brings its own. */
  readonly version: string | undefined;
}

const MAX_BYTES = 1024 * 1024;
/** What every .NET SDK has, and takes from itself whatever version somebody names, in lower case. */
const OWN = new Set([
  'microsoft.net.sdk',
  ...['blazorwebassembly', 'publish', 'razor', 'staticwebassets', 'web', 'webassembly', 'windowsdesktop', 'worker'].map(
    (name) => `microsoft.net.sdk.${name}`,
  ),
]);

/** The packages that MSBuild fetches before it can read a project: SDKs with a version, there or in `global.json`. */
export function sdkPackages(path: string, sdks: readonly SdkReference[], note: Note): PackageIdentity[] {
  const wanted = new Map(sdks.map((sdk) => [`${sdk.name}/${sdk.version}`.toLowerCase(), sdk]));
  const others = [...wanted.values()].filter(({ name }) => !OWN.has(name.toLowerCase()));
  if (others.length === 0) return [];
  const versions = versionsAbove(dirname(path), note);
  return others.flatMap(({ name, version = versions.get(name.toLowerCase()) }) => {
    if (version === undefined) return [];
    const identity = identityOf(name, version);
    if (identity === undefined) note(`the SDK ${JSON.stringify(`${name}/${version}`)} is no id and version`);
    return identity ?? [];
  });
}

/** What the nearest `global.json` says of SDKs, by name in lower case. */
function versionsAbove(folder: string, note: Note): ReadonlyMap<string, string> {
  const path = fileAbove('global.json', folder);
  if (path === undefined) return new Map();
  try {
    const sdks = parseLenientJson(path, readBounded(path, MAX_BYTES))['msbuild-sdks'];
    const entries = Object.entries(isObject(sdks) ? sdks : {});
    return new Map(entries.map(([name, version]) => [name.toLowerCase(), String(version)]));
  } catch (error) {
    note((error as Error).message);
    return new Map();
  }
}
