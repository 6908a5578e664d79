import { lstat, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { loadNuGetConfig, type NuGetConfig, PackagesFolder } from '@granary/nuget';
import { formatSize } from '../../../config/size.js';
import type { ExitCode } from '../../io.js';
import { table } from '../../terminal/table.js';
import { type NuGetIo, UsageError } from '../run-command.js';

export interface CacheOptions {
  readonly configFile?: string;
  readonly json?: boolean;
}

/** What is kept in a folder, and how to tell it from what somebody else put there. */
interface Cache {
  readonly name: string;
  readonly folder: (config: NuGetConfig) => string;
  /** Whether a folder right below is one of the cache's own. */
  readonly owns: (path: string, name: string) => Promise<boolean> | boolean;
}

const CACHES: readonly Cache[] = [
  {
    name: 'http-cache',
    folder: (config) => config.httpCacheFolder,
    owns: (_, name) => /^[0-9a-f]{40}\$/.test(name),
  },
  { name: 'global-packages', folder: (config) => config.globalPackagesFolder, owns: isInstalledPackage },
];
const ALL = 'all';

/** Shows the folders of the caches, and how much is in them. */
export async function listCaches(options: CacheOptions, io: NuGetIo): Promise<ExitCode> {
  const config = await loadNuGetConfig({ configFile: options.configFile, environment: io.environment });
  const caches: { name: string; folder: string; entries: number; bytes: number }[] = [];
  for (const cache of CACHES) {
    const folder = cache.folder(config);
    const entries = await ownEntries(cache, folder);
    let bytes = 0;
    for (const path of entries) bytes += await bytesIn(path, io.signal);
    caches.push({ name: cache.name, folder, entries: entries.length, bytes });
  }
  if (options.json) {
    io.out(`${JSON.stringify({ caches }, null, 2)}\n`);
    return 0;
  }
  const head = [
    { title: 'NAME' },
    { title: 'ENTRIES', right: true },
    { title: 'SIZE', right: true },
    { title: 'FOLDER' },
  ];
  const rows = caches.map(({ name, entries, bytes, folder }) => [name, String(entries), formatSize(bytes), folder]);
  io.out(table(head, rows, io.outColumns, io.style));
  return 0;
}

/** Says where a cache is, for scripts. */
export async function showCachePath(name: string, options: CacheOptions, io: NuGetIo): Promise<ExitCode> {
  const [cache] = cachesNamed(name, false);
  const config = await loadNuGetConfig({ configFile: options.configFile, environment: io.environment });
  const folder = (cache as Cache).folder(config);
  io.out(options.json ? `${JSON.stringify({ name, folder })}\n` : `${folder}\n`);
  return 0;
}

/** Removes what a cache has, and nothing else that lies in its folder. */
export async function clearCache(name: string, options: CacheOptions, io: NuGetIo): Promise<ExitCode> {
  const caches = cachesNamed(name, true);
  const config = await loadNuGetConfig({ configFile: options.configFile, environment: io.environment });
  const cleared: { name: string; folder: string; removed: number }[] = [];
  for (const cache of caches) {
    const folder = cache.folder(config);
    const entries = await ownEntries(cache, folder);
    for (const path of entries) {
      io.signal.throwIfAborted();
      await rm(path, { recursive: true, force: true, maxRetries: 3 });
    }
    cleared.push({ name: cache.name, folder, removed: entries.length });
  }
  if (options.json) io.out(`${JSON.stringify({ cleared })}\n`);
  else
    for (const { name, folder, removed } of cleared)
      io.out(`${name}: removed ${removed} ${removed === 1 ? 'entry' : 'entries'} from ${folder}\n`);
  return 0;
}

function cachesNamed(name: string, orAll: boolean): readonly Cache[] {
  const caches = orAll && name === ALL ? CACHES : CACHES.filter((cache) => cache.name === name);
  if (caches.length > 0) return caches;
  const names = [...CACHES.map((cache) => cache.name), ...(orAll ? [ALL] : [])].join(', ');
  throw new UsageError(`found "${name}"; allowed: ${names}`);
}

async function ownEntries({ owns }: Cache, folder: string): Promise<readonly string[]> {
  const own: string[] = [];
  for (const name of await namesIn(folder)) {
    const path = join(folder, name);
    if (await owns(path, name)) own.push(path);
  }
  return own;
}

/**
 * A folder of an id has folders of versions, where NuGet notes last what it has installed; what was interrupted before
 * that has its nuspec at most.
 */
async function isInstalledPackage(path: string, id: string): Promise<boolean> {
  for (const version of await namesIn(path)) {
    if (PackagesFolder.isStaged(version)) return true;
    const names = await namesIn(join(path, version));
    const isOwn = (name: string) =>
      name === '.nupkg.metadata' || name === `${id}.nuspec` || name.endsWith('.nupkg.sha512');
    if (names.some(isOwn)) return true;
  }
  return false;
}

/** Names of what is in a folder; none where it is no folder. */
async function namesIn(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return [];
    throw error;
  }
}

async function bytesIn(path: string, signal: AbortSignal): Promise<number> {
  signal.throwIfAborted();
  const stats = await lstat(path).catch(() => undefined);
  if (stats === undefined || !stats.isDirectory()) return stats?.size ?? 0;
  let bytes = 0;
  for (const name of await namesIn(path)) bytes += await bytesIn(join(path, name), signal);
  return bytes;
}
