import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { NuGetError } from '../errors.js';
import { type InstalledState, inspect } from './inspect.js';
import { readMarker } from './marker.js';
import { asidePath, claimPath, type InstalledPaths, PackagesFolder } from './packages-folder.js';

export interface PlaceOptions {
  /** How long a folder without a marker must not have changed before it counts as left behind. */
  readonly patienceMs: number;
  readonly signal: AbortSignal | undefined;
}

const MAX_ATTEMPTS = 20;
const POLL_MS = 50;
/** Moving a folder away takes milliseconds: whoever has begun and is not done by then was interrupted. */
const CLAIM_MS = 30_000;
/** Whatever stands beside packages for so long is nobody's work in progress. */
const STALE_MS = 24 * 3_600_000;
/** A folder is there; the last three are how Windows says that somebody has a file of it open. */
const OCCUPIED = new Set(['ENOTEMPTY', 'EEXIST', 'EPERM', 'EACCES', 'EBUSY']);

/**
 * Moves a complete folder to where a package belongs, in one step, so that nobody ever sees a part of it. When another
 * process was faster, its package stays. What an interrupted restore has left is replaced, but not before it has been
 * still for a while: a restore of .NET writes in place, and its lock can't be seen from here.
 *
 * @returns what was there already, or undefined when the folder was moved
 */
export async function moveIntoPlace(
  staged: string,
  paths: InstalledPaths,
  options: PlaceOptions,
): Promise<Extract<InstalledState, { kind: 'whole' }> | undefined> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    options.signal?.throwIfAborted();
    try {
      await rename(staged, paths.folder);
      return undefined;
    } catch (error) {
      if (!OCCUPIED.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
      const state = await inspect(paths);
      if (state.kind === 'whole') return state;
      if (state.kind === 'absent' && attempt === MAX_ATTEMPTS - 1) throw error;
      if (state.kind === 'unfinished' && !(await waitUntilStill(paths, options))) continue;
      await moveAway(paths, options.signal);
    }
  }
  throw new NuGetError('CONFLICT', `${paths.folder} is being written by others all the time`);
}

/** Whether nobody has touched a folder for a while; false as soon as it has a marker or is gone. */
async function waitUntilStill(paths: InstalledPaths, { patienceMs, signal }: PlaceOptions): Promise<boolean> {
  for (;;) {
    const changed = await lastChange(paths.folder);
    if (changed === undefined || (await readMarker(paths.marker)) !== undefined) return false;
    const leftMs = changed + patienceMs - Date.now();
    if (leftMs <= 0) return true;
    await sleep(Math.min(POLL_MS, leftMs), undefined, signal === undefined ? {} : { signal });
  }
}

/** When a folder or something directly in it last changed; undefined when it isn't there. */
async function lastChange(path: string): Promise<number | undefined> {
  try {
    const paths = [path, ...(await readdir(path)).map((name) => join(path, name))];
    return Math.max(...(await Promise.all(paths.map(async (each) => (await stat(each)).mtimeMs))));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/**
 * Moves away what isn't whole. One process at a time looks and moves: what this one found damaged a moment ago may by now be
 * the whole package that another one has put there.
 */
async function moveAway(paths: InstalledPaths, signal: AbortSignal | undefined): Promise<void> {
  const aside = asidePath(paths);
  const claim = claimPath(paths);
  await takeClaim(claim, signal);
  try {
    const { kind } = await inspect(paths);
    if (kind === 'damaged' || kind === 'unfinished') await rename(paths.folder, aside);
  } catch (error) {
    // Somebody has removed it.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  } finally {
    await rm(claim, { recursive: true, force: true });
  }
  await rm(aside, { recursive: true, force: true });
}

async function takeClaim(claim: string, signal: AbortSignal | undefined): Promise<void> {
  for (;;) {
    try {
      await mkdir(claim);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const taken = await lastChange(claim);
    if (taken !== undefined && taken + CLAIM_MS < Date.now()) await rm(claim, { recursive: true, force: true });
    else await sleep(POLL_MS, undefined, signal === undefined ? {} : { signal });
  }
}

/** Removes what interrupted installs of any version of a package have left beside it. */
export async function removeStale(paths: InstalledPaths): Promise<void> {
  const names = await readdir(paths.parent).catch(() => []);
  for (const name of names) {
    if (!PackagesFolder.isStaged(name)) continue;
    const path = join(paths.parent, name);
    const changed = await lastChange(path).catch(() => undefined);
    if (changed !== undefined && changed + STALE_MS < Date.now()) await rm(path, { recursive: true, force: true });
  }
}
