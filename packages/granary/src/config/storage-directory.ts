import { homedir } from 'node:os';
import { join } from 'node:path';
import { ConfigError } from './mistake.js';

export interface PlatformFacts {
  readonly platform: NodeJS.Platform;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Throws for a user that has none, as in a container that runs as any number; empty where HOME is. */
  readonly home: () => string;
}

/**
 * Where the store lies when `storage.dir` is not set: the folder that the platform has for caches.
 *
 * @throws ConfigError where that would be in a home, and the user has none
 */
export function defaultStorageDirectory(facts: PlatformFacts = hereAndNow()): string {
  const { platform, environment } = facts;
  if (platform === 'win32')
    return join(environment['LOCALAPPDATA'] || join(homeIn(facts), 'AppData', 'Local'), 'granary');
  if (platform === 'darwin') return join(homeIn(facts), 'Library', 'Caches', 'granary');
  const xdg = environment['XDG_CACHE_HOME'];
  // The XDG base directory specification says to ignore a path that is not absolute.
  return join(xdg?.startsWith('/') ? xdg : join(homeIn(facts), '.cache'), 'granary');
}

function hereAndNow(): PlatformFacts {
  return { platform: process.platform, environment: process.env, home: homedir };
}

function homeIn({ home }: PlatformFacts): string {
  try {
    const found = home();
    // Of an empty HOME Node makes an empty path, and the store would lie wherever the server was started.
    if (found !== '') return found;
  } catch {}
  const message = 'is not set, and the user that this runs as has no home to keep a cache in; name a folder';
  throw new ConfigError([{ origin: 'default', key: 'storage.dir', message }]);
}
