import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';

const HOST = createHash('sha256').update(hostname()).digest('hex').slice(0, 8);
/** Tells this process from an earlier one with the same number. */
const STARTED = Math.round(performance.timeOrigin).toString(36);
const NAME = /^\.granary-([0-9a-f]{8})-(\d+)-([0-9a-z]+)-[0-9a-z]+\.tmp$/;
/** Of NuGet.Client. */
const FOREIGN_NAME = /\.dat-new$/;
/** After this long, whatever is temporary was left behind, by whomever. */
const LEFT_AFTER_MS = 24 * 60 * 60_000;

export interface TemporaryFile {
  readonly path: string;
  readonly handle: FileHandle;
}

/** A name for a new file, which tells which process it belongs to. */
export function temporaryPath(folder: string): string {
  const unique = Math.floor(Math.random() * 2 ** 52).toString(36);
  return join(folder, `.granary-${HOST}-${process.pid}-${STARTED}-${unique}.tmp`);
}

/** Makes a new file to be written and read. */
export async function createTemporary(folder: string): Promise<TemporaryFile> {
  const path = temporaryPath(folder);
  return { path, handle: await open(path, 'wx+', 0o600) };
}

export function isTemporary(name: string): boolean {
  return NAME.test(name) || FOREIGN_NAME.test(name);
}

/** Whether nobody writes to a temporary file any more. */
export function isAbandoned(name: string, ageMs: number): boolean {
  if (ageMs > LEFT_AFTER_MS) return true;
  const [, host, pid, started] = NAME.exec(name) ?? [];
  if (host !== HOST) return false;
  return Number(pid) === process.pid ? started !== STARTED : !isAlive(Number(pid));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
