import { homedir } from 'node:os';
import { join } from 'node:path';

export interface PlatformFacts {
  readonly platform: NodeJS.Platform;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly home: string;
}

/** Where the store lies when `storage.dir` is not set: the folder that the platform has for caches. */
export function defaultStorageDirectory(facts: PlatformFacts = hereAndNow()): string {
  const { platform, environment, home } = facts;
  if (platform === 'win32') return join(environment['LOCALAPPDATA'] || join(home, 'AppData', 'Local'), 'granary');
  if (platform === 'darwin') return join(home, 'Library', 'Caches', 'granary');
  const xdg = environment['XDG_CACHE_HOME'];
  // The XDG base directory specification says to ignore a path that is not absolute.
  return join(xdg?.startsWith('/') ? xdg : join(home, '.cache'), 'granary');
}

function hereAndNow(): PlatformFacts {
  return { platform: process.platform, environment: process.env, home: homedir() };
}
