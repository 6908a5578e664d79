import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import type { RandomAccessInput } from '../packages/random-access.js';
import type { SmallFiles } from './small-files.js';

const HOST = createHash('sha256').update(hostname()).digest('hex').slice(0, 8);
/** Tells this process from an earlier one with the same number. */
const STARTED = Math.round(performance.timeOrigin).toString(36);
const NAME = /^\.granary-([0-9a-f]{8})-(\d+)-([0-9a-z]+)-[0-9a-z]+\.tmp$/;
/** Of NuGet.Client. */
const FOREIGN_NAME = /\.dat-new$/;
/** After this long, whatever is temporary was left behind, by whomever. */
const LEFT_AFTER_MS = 24 * 60 * 60_000;

/** A new file that is open, to be written and read. */
export class TemporaryFile {
  readonly path: string;
  readonly handle: FileHandle;
  /** Who reads and writes without another thread, where that is fast. */
  readonly #files: SmallFiles | undefined;

  constructor(path: string, handle: FileHandle, files: SmallFiles | undefined) {
    this.path = path;
    this.handle = handle;
    this.#files = files;
  }

  /** Writes chunks behind what is there; at once where the disk is fast. */
  append(chunks: readonly Uint8Array[]): Promise<void> | undefined {
    if (this.#files?.areFast !== true) return appendTo(this.handle, chunks);
    this.#files.append(this.handle, chunks);
    return undefined;
  }

  /** What has been written, for whoever reads here and there in it before the file is closed. */
  asInput(size: number): RandomAccessInput {
    const { handle } = this;
    const files = this.#files;
    if (files?.areFast !== true) return handle;
    const peek = (position: number, length: number) => {
      const bytes = Buffer.allocUnsafe(Math.max(0, Math.min(length, size - position)));
      return bytes.subarray(0, files.readPart(handle, bytes, position));
    };
    return { size, read: async (position: number, length: number) => peek(position, length), peek };
  }
}

/** A name for a new file, which tells which process it belongs to. */
export function temporaryPath(folder: string): string {
  const unique = Math.floor(Math.random() * 2 ** 52).toString(36);
  return join(folder, `.granary-${HOST}-${process.pid}-${STARTED}-${unique}.tmp`);
}

/**
 * Makes a new file.
 *
 * @param files - Who reads and writes it where that is fast. Default: only the thread pool does
 */
export async function createTemporary(folder: string, files?: SmallFiles): Promise<TemporaryFile> {
  const path = temporaryPath(folder);
  return new TemporaryFile(path, await open(path, 'wx+', 0o600), files);
}

/** A file system may take fewer bytes at once. */
async function appendTo(handle: FileHandle, chunks: readonly Uint8Array[]): Promise<void> {
  const wanted = chunks.reduce((sum, { length }) => sum + length, 0);
  const { bytesWritten } = await handle.writev(chunks);
  if (bytesWritten === wanted) return;
  const rest = Buffer.concat(chunks).subarray(bytesWritten);
  for (let offset = 0; offset < rest.length; ) offset += (await handle.write(rest, offset)).bytesWritten;
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
