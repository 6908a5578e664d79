import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { makeFolder } from '@granary/cache/folders';
import { SemaphoreThrottle } from '@granary/resilience';
import { NuGetError, PackageNotFoundError } from '../errors.js';
import type { PackageIdentity } from '../package-identity.js';
import { extractPackage } from '../packages/extract.js';
import { NupkgReader } from '../packages/nupkg-reader.js';
import { verifyPackage } from '../packages/verify-package.js';
import type { PackageLimits } from '../packages/zip-directory.js';
import { inspect } from './inspect.js';
import { writeMarker } from './marker.js';
import type { PackageOpener } from './package-opener.js';
import { type InstalledPaths, PackagesFolder, stagedPaths } from './packages-folder.js';
import { moveIntoPlace, removeStale } from './place.js';

/** What happens to one package, as it happens. */
export type InstallEvent =
  | {
      readonly kind: 'downloading';
      readonly identity: PackageIdentity;
      readonly bytes: number;
      readonly length: number | undefined;
    }
  | { readonly kind: 'extracting'; readonly identity: PackageIdentity }
  | { readonly kind: 'done'; readonly identity: PackageIdentity; readonly result: InstallResult };

/** What became of one package. */
export interface InstallResult {
  readonly identity: PackageIdentity;
  /** `present`: it was there before, or another process was faster. */
  readonly outcome: 'installed' | 'present' | 'failed';
  /** Where it lies. */
  readonly folder: string;
  /** Paths of its files, where they are known. */
  readonly files: readonly string[];
  /** URL or path of the source that it came from, as far as is known. */
  readonly source: string | undefined;
  /** Why it failed. */
  readonly error?: unknown;
}

/** Where a `PackageInstaller` takes packages from, and where it puts them. */
export interface PackageInstallerOptions {
  /** The folder of packages: made when it isn't there. */
  readonly folder: string;
  readonly packages: PackageOpener;
  /** How many packages are downloaded and extracted at the same time. Default 8. */
  readonly maxParallel?: number | undefined;
  /** Longest package. Default 4 GiB. */
  readonly maxPackageBytes?: number | undefined;
  /** Limits of what is extracted. */
  readonly limits?: PackageLimits | undefined;
  /**
   * How long an unfinished folder of another program must not have changed before it is replaced. Default 10 s.
   */
  readonly patienceMs?: number | undefined;
}

/** What goes with one call of `PackageInstaller.install`. */
export interface InstallOptions {
  readonly signal?: AbortSignal | undefined;
  /** What it throws is ignored. */
  readonly onEvent?: ((event: InstallEvent) => void) | undefined;
}

/**
 * Installs packages into a folder as restores share it. A package is downloaded, verified and extracted beside its place
 * and moved there in one step, with the marker that says that it is whole: whoever is interrupted leaves nothing that
 * could be taken for a package, and whoever comes again begins where that was. Any number of installers may work on one
 * folder at the same time, and so may restores of .NET.
 *
 * Memory: some hundred KiB for each package under way, whatever its size. On disk it takes the package and its files.
 */
export class PackageInstaller {
  readonly folder: PackagesFolder;
  readonly #packages: PackageOpener;
  readonly #slots: SemaphoreThrottle;
  readonly #maxBytes: number;
  readonly #limits: PackageLimits | undefined;
  readonly #patienceMs: number;

  /** @throws InvalidOptionError */
  constructor(options: PackageInstallerOptions) {
    this.folder = new PackagesFolder(options.folder);
    this.#packages = options.packages;
    this.#slots = new SemaphoreThrottle(options.maxParallel ?? 8, { maxQueue: 100_000 });
    this.#maxBytes = options.maxPackageBytes ?? 4 * 1024 ** 3;
    this.#limits = options.limits;
    this.#patienceMs = options.patienceMs ?? 10_000;
  }

  /**
   * Installs those of the packages that aren't there. One that fails doesn't keep the others from being installed.
   *
   * @returns a result for each package, in the order given; packages that are named twice are installed once
   * @throws the signal's reason, after what was begun has been cleaned up
   */
  async install(identities: Iterable<PackageIdentity>, options: InstallOptions = {}): Promise<InstallResult[]> {
    const { signal } = options;
    const byFolder = new Map<string, Promise<InstallResult>>();
    const results = [...identities].map((identity) => {
      const { folder } = this.folder.locate(identity);
      let result = byFolder.get(folder);
      if (result === undefined) {
        result = this.#slots.run(() => this.#installOrFail(identity, options), { signal });
        byFolder.set(folder, result);
      }
      return result;
    });
    const settled = await Promise.allSettled(results);
    signal?.throwIfAborted();
    return settled.map((one) => {
      if (one.status === 'rejected') throw one.reason;
      return one.value;
    });
  }

  async #installOrFail(identity: PackageIdentity, options: InstallOptions): Promise<InstallResult> {
    const { folder } = this.folder.locate(identity);
    let result: InstallResult;
    try {
      result = await this.#install(identity, options);
    } catch (error) {
      options.signal?.throwIfAborted();
      result = { identity, outcome: 'failed', folder, files: [], source: undefined, error };
    }
    tell(options, { kind: 'done', identity, result });
    return result;
  }

  async #install(identity: PackageIdentity, options: InstallOptions): Promise<InstallResult> {
    const paths = this.folder.locate(identity);
    const { folder } = paths;
    const found = await inspect(paths);
    if (found.kind === 'whole') {
      return { identity, outcome: 'present', folder, files: found.files, source: found.marker.source };
    }

    const staged = stagedPaths(paths, identity);
    await removeStale(paths);
    await makeFolder(staged.folder);
    try {
      const { hash, source } = await this.#download(identity, staged, options);
      tell(options, { kind: 'extracting', identity });
      const files = await this.#extract(identity, staged, hash, source, options.signal);
      const { signal } = options;
      const other = await moveIntoPlace(staged.folder, paths, { patienceMs: this.#patienceMs, signal });
      if (other === undefined) return { identity, outcome: 'installed', folder, files, source };
      return { identity, outcome: 'present', folder, files, source: other.marker.source };
    } finally {
      await rm(staged.folder, { recursive: true, force: true });
    }
  }

  /** @returns the SHA-512 of what came, in base64 */
  async #download(identity: PackageIdentity, staged: InstalledPaths, options: InstallOptions) {
    const { signal } = options;
    const opened = await this.#packages.open(identity, { signal });
    if (opened === undefined) {
      throw new PackageNotFoundError(identity.id, identity.version.toNormalizedString(), 'any source');
    }
    const { body, length, source } = opened;
    const hash = createHash('sha512');
    let bytes = 0;
    const count = new Transform({
      transform: (chunk: Buffer, _, done) => {
        bytes += chunk.length;
        if (bytes > this.#maxBytes) {
          done(new NuGetError('LIMIT', `${identity.id} has more than ${this.#maxBytes} bytes (maxPackageBytes)`));
          return;
        }
        hash.update(chunk);
        tell(options, { kind: 'downloading', identity, bytes, length });
        done(null, chunk);
      },
    });
    const file = createWriteStream(staged.nupkg, { flags: 'wx' });
    await (signal === undefined ? pipeline(body, count, file) : pipeline(body, count, file, { signal }));
    return { hash: hash.digest('base64'), source };
  }

  async #extract(
    identity: PackageIdentity,
    staged: InstalledPaths,
    hash: string,
    source: string,
    signal: AbortSignal | undefined,
  ): Promise<readonly string[]> {
    await using reader = await NupkgReader.open(staged.nupkg, { limits: this.#limits });
    await verifyPackage(reader, identity, { limits: this.#limits, signal });
    const files = await extractPackage(reader, staged.folder, { limits: this.#limits, signal });
    await writeFile(staged.hash, hash);
    const contentHash = reader.isSigned ? await reader.contentHash(signal) : hash;
    await writeMarker(staged.marker, { contentHash, source });
    return files;
  }
}

function tell({ onEvent }: InstallOptions, event: InstallEvent): void {
  try {
    onEvent?.(event);
  } catch {
    // Who looks on must not break what is done.
  }
}
