import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { lstat, mkdir, open, realpath, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { makeFolder } from '@granary/cache/folders';
import { isNuGetError, NuGetError } from '../errors.js';
import { checkSafePath, shown, withoutIdleSteps } from './entry-path.js';
import { NupkgReader, type PackageFile } from './nupkg-reader.js';
import type { RandomAccessInput } from './random-access.js';
import type { PackageLimits } from './zip-directory.js';

/** Which files of a package are extracted, by which names, and within which limits. */
export interface ExtractPackageOptions {
  /** Which files, by path. Default: {@link isInstalledFile}, and the nuspec. */
  readonly include?: ((path: string) => boolean) | undefined;
  /** Name of the nuspec in the folder. Default: the id in lower case, as in the global packages folder. */
  readonly nuspecName?: string | undefined;
  /** Permissions before the process's mask is applied. Default 0o766, as NuGet has them: tools can be run. */
  readonly mode?: number | undefined;
  readonly limits?: PackageLimits | undefined;
  readonly signal?: AbortSignal | undefined;
}

const SMALL_BYTES = 256 * 1024;
const DEFAULT_MODE = 0o766;

/**
 * Whether the global packages folder has a file of a package: not what makes the archive an OPC package, and nothing
 * at the root with the names that NuGet gives to files of its own. It has the nuspec, by another name.
 */
export function isInstalledFile(path: string): boolean {
  const name = basename(path);
  if (name === '.rels' || name === '[Content_Types].xml' || name.endsWith('.psmdcp')) return false;
  return path.includes('/') || !/\.(?:nuspec|nupkg|nupkg\.sha512|nupkg\.metadata)$/i.test(path);
}

/** The nuspec and the files that are included, by their paths; of two with one path the first counts. */
export function extractedFiles(reader: NupkgReader, include = isInstalledFile): ReadonlyMap<string, PackageFile> {
  const files = new Map<string, PackageFile>();
  for (const file of reader.files()) {
    const path = withoutIdleSteps(file.path);
    if ((file.path === reader.nuspecPath || include(path)) && !files.has(path)) files.set(path, file);
  }
  return files;
}

/**
 * Writes a package's files into a folder, each by another name until it is complete and known to be right. Nothing is
 * written outside of the folder, neither by names nor through symbolic links that lie in it, and no links are made; the
 * folder must not be changed by others meanwhile. What fails leaves the files that are complete, and no others.
 *
 * @param target - Is made when it isn't there; files in it are replaced
 * @returns The paths that were written, relative to the folder, with slashes
 * @throws {@link NuGetError} `INVALID_PACKAGE` for unsafe paths (before anything is written) and for damaged files,
 * `LIMIT`; errors of the file system as they are
 */
export async function extractPackage(
  input: RandomAccessInput | NupkgReader,
  target: string,
  options: ExtractPackageOptions = {},
): Promise<readonly string[]> {
  if (input instanceof NupkgReader) return extract(input, target, options);
  await using reader = await NupkgReader.open(input, { limits: options.limits });
  return await extract(reader, target, options);
}

async function extract(reader: NupkgReader, target: string, options: ExtractPackageOptions): Promise<string[]> {
  const { include = isInstalledFile, mode = DEFAULT_MODE, signal } = options;
  const nuspecName = options.nuspecName ?? `${(await reader.nuspec()).id.toLowerCase()}.nuspec`;
  const planned: { file: PackageFile; path: string }[] = [];
  for (const [path, file] of extractedFiles(reader, include)) {
    planned.push({ file, path: checkSafePath(file.path === reader.nuspecPath ? nuspecName : path) });
  }
  signal?.throwIfAborted();
  await makeFolder(target);
  const folder = new Folder(await realpath(target), mode);
  for (const { file, path } of planned) {
    signal?.throwIfAborted();
    await folder.write(reader, file, path, signal);
  }
  return planned.map(({ path }) => path);
}

class Folder {
  readonly #root: string;
  readonly #mode: number;
  /** Folders that are known to be there and to be no links. */
  readonly #known = new Set<string>(['.']);

  constructor(root: string, mode: number) {
    this.#root = root;
    this.#mode = mode;
  }

  async write(reader: NupkgReader, file: PackageFile, path: string, signal: AbortSignal | undefined): Promise<void> {
    const parent = dirname(path);
    await this.#ensure(parent);
    const temporary = join(this.#root, parent, `.${randomBytes(8).toString('hex')}.tmp`);
    try {
      await this.#fill(temporary, reader, file, signal);
      await rename(temporary, join(this.#root, path));
    } catch (error) {
      await unlink(temporary).catch(() => {});
      signal?.throwIfAborted();
      throw isClash(error) ? clash(path, error) : error;
    }
  }

  async #fill(path: string, reader: NupkgReader, file: PackageFile, signal: AbortSignal | undefined): Promise<void> {
    const { O_WRONLY, O_CREAT, O_EXCL } = constants;
    const handle = await open(path, O_WRONLY | O_CREAT | O_EXCL, this.#mode);
    try {
      if (file.size <= SMALL_BYTES && file.compressedSize <= SMALL_BYTES) {
        await handle.writeFile(await reader.read(file.path));
      } else {
        for await (const chunk of (await reader.open(file.path)) as AsyncIterable<Buffer>) {
          signal?.throwIfAborted();
          await handle.writeFile(chunk);
        }
      }
      const { modified } = file;
      // As NuGet has it: times that lie in the future are not taken over.
      if (modified !== undefined && modified.getTime() <= Date.now()) await handle.utimes(modified, modified);
    } finally {
      await handle.close();
    }
  }

  /** Makes a folder step by step, and follows no link on the way. */
  async #ensure(path: string): Promise<void> {
    if (this.#known.has(path)) return;
    await this.#ensure(dirname(path));
    const full = join(this.#root, path);
    try {
      await mkdir(full);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      const found = await lstat(full);
      if (found.isSymbolicLink()) {
        throw new NuGetError('INVALID_PACKAGE', `${shown(path)} is a link in the target folder, which is not followed`);
      }
      if (!found.isDirectory()) throw clash(path, error);
    }
    this.#known.add(path);
  }
}

function isClash(error: unknown): boolean {
  if (isNuGetError(error)) return false;
  const { code } = error as NodeJS.ErrnoException;
  return code === 'EISDIR' || code === 'ENOTEMPTY' || code === 'EEXIST' || code === 'ENOTDIR';
}

function clash(path: string, cause: unknown): NuGetError {
  return new NuGetError('INVALID_PACKAGE', `${shown(path)} would be a file and a folder`, { cause });
}
