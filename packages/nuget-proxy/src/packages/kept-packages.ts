import { open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { actionResultPin, blobPin, Digest, type EntryPins, nodeFileSystem } from '@granary/blobs';
import { isPackageId, PackageSourceMapping } from '@granary/nuget';
import { type Logger, nullLogger } from '@granary/telemetry';

export interface KeptPackagesOptions {
  /** The list of what is kept, a file of its own; made when there is something to write. Its folder is there by then. */
  readonly path: string;
  /** Ids (`Newtonsoft.Json`), beginnings of them (`Contoso.*`), or `*`. Case doesn't matter. */
  readonly patterns: Iterable<string>;
  /** Those that the blob store is opened with, after this. */
  readonly pins: EntryPins;
  /** Most bytes that are kept: what is kept makes no room for others. Default: no limit. */
  readonly maxBytes?: number | undefined;
  /** Most packages that are kept, about 600 bytes of memory each. Default 100,000. */
  readonly maxPackages?: number | undefined;
  readonly logger?: Logger | undefined;
}

/** A package on the list; never changed. */
export interface PackageOnList {
  readonly id: string;
  readonly digest: Digest;
  /** Kept whatever the patterns say. */
  readonly always: boolean;
}

/** Lines of no use any more that the list may have besides as many as are of use. */
const SPARE_LINES = 1000;

/**
 * Packages that are never evicted, those whose ids fit a pattern: they and what is written down of them are pinned in the
 * blob store. A list on the disk says which, so that they are pinned again before the store can evict anything: open this
 * first, then the store with the same pins.
 *
 * A package that was there before its pattern is kept from when it is used next. One whose pattern is gone is let go at the
 * next start.
 */
export class KeptPackages implements AsyncDisposable {
  readonly #options: {
    readonly [K in Exclude<keyof KeptPackagesOptions, 'patterns'>]-?: NonNullable<KeptPackagesOptions[K]>;
  };
  readonly #patterns: PackageSourceMapping;
  readonly #kept = new Map<string, PackageOnList>();
  /** Lines that wait to be written. */
  #pending: string[] = [];
  #writing: Promise<void> | undefined;
  /** Whether the list says what is kept. */
  #isWritten = true;
  /** Lines of the list; infinitely many when the next thing to do is to write it anew. */
  #lines = Number.POSITIVE_INFINITY;
  #bytes = 0;
  #hasWarned = false;

  private constructor(options: KeptPackagesOptions) {
    this.#options = {
      path: options.path,
      pins: options.pins,
      maxBytes: options.maxBytes ?? Number.POSITIVE_INFINITY,
      maxPackages: options.maxPackages ?? 100_000,
      logger: options.logger ?? nullLogger,
    };
    this.#patterns = new PackageSourceMapping([['keep', options.patterns]]);
  }

  /** @throws NuGetError `INVALID_OPTION` for a pattern that is none; errors of the file system for a list that can't be read */
  static async open(options: KeptPackagesOptions): Promise<KeptPackages> {
    const kept = new KeptPackages(options);
    await kept.#load();
    return kept;
  }

  /** Packages that are kept now, and their bytes. */
  get stats(): { readonly packages: number; readonly bytes: number } {
    return { packages: this.#kept.size, bytes: this.#bytes };
  }

  /** What the list says of a package. */
  get(name: string): PackageOnList | undefined {
    return this.#kept.get(name);
  }

  /** What is kept whatever the patterns say, by name. */
  *always(): Generator<readonly [name: string, kept: PackageOnList]> {
    for (const entry of this.#kept) if (entry[1].always) yield entry;
  }

  /**
   * Keeps a package whose id fits a pattern; undefined when there is nothing to do, else when it is on the list.
   *
   * @param name Key of its entry among the action results
   * @param always Whatever the patterns and the limits say
   */
  keep(name: string, id: string, digest: Digest, always: boolean): Promise<void> | undefined {
    const before = this.#kept.get(name);
    if (before?.digest.equals(digest) && (before.always || !always))
      return always && !this.#isWritten ? this.#write(lineOf(name, before)) : undefined;
    const kept = { id, digest: digest.compact(), always: always || before?.always === true };
    // What was kept under this name is there no more.
    if (!kept.always && !(this.#fits(id) && this.#hasRoomFor(kept, before))) return this.drop(name);
    this.#pin(name, kept);
    return this.#write(lineOf(name, kept));
  }

  /** Has a package that is being stored stay until that is over: {@link keep} comes after the last of it. */
  hold(name: string, digest: Digest): Disposable {
    const { pins } = this.#options;
    const held = [blobPin(digest), actionResultPin(name)];
    for (const pin of held) pins.pin(pin);
    return {
      [Symbol.dispose]() {
        for (const pin of held) pins.unpin(pin);
      },
    };
  }

  /** Lets a package go; undefined when it wasn't kept. */
  drop(name: string): Promise<void> | undefined {
    const kept = this.#kept.get(name);
    if (kept === undefined) return undefined;
    this.#unpin(name, kept);
    this.#kept.delete(name);
    return this.#write(JSON.stringify({ name }));
  }

  /** Resolves when everything is written. What is kept stays pinned. */
  async close(): Promise<void> {
    await this.#writing?.catch(() => {});
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Without a pattern the mapping lets everything through. */
  #fits(id: string): boolean {
    return this.#patterns.isEnabled && this.#patterns.sourcesFor(id)?.length !== 0;
  }

  #pin(name: string, kept: PackageOnList): void {
    const { pins } = this.#options;
    pins.pin(blobPin(kept.digest));
    pins.pin(actionResultPin(name));
    this.#bytes += kept.digest.size;
    const before = this.#kept.get(name);
    if (before) this.#unpin(name, before);
    this.#kept.set(name, kept);
  }

  #unpin(name: string, { digest }: PackageOnList): void {
    const { pins } = this.#options;
    pins.unpin(blobPin(digest));
    pins.unpin(actionResultPin(name));
    this.#bytes -= digest.size;
  }

  #hasRoomFor({ digest }: PackageOnList, before: PackageOnList | undefined): boolean {
    const { maxBytes, maxPackages, logger } = this.#options;
    const bytes = this.#bytes - (before?.digest.size ?? 0) + digest.size;
    if (bytes <= maxBytes && (before !== undefined || this.#kept.size < maxPackages)) return true;
    if (!this.#hasWarned)
      logger.warning(
        'No more packages are kept: at most {MaxPackages}, and {MaxBytes} bytes, may be',
        maxPackages,
        maxBytes,
      );
    this.#hasWarned = true;
    return false;
  }

  /** Writes nothing: whether the folder is this process's alone is known only when the store is open. */
  async #load(): Promise<void> {
    const { path, logger } = this.#options;
    let text: string;
    try {
      text = await readFile(path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      throw error;
    }
    let malformed = 0;
    const last = new Map<string, PackageOnList | undefined>();
    for (const line of text.split('\n')) {
      if (line === '') continue;
      const parsed = parseLine(line);
      if (parsed === undefined) malformed++;
      else last.set(parsed.name, parsed.kept);
    }
    for (const [name, kept] of last) {
      if (kept?.always || (kept && this.#fits(kept.id) && this.#hasRoomFor(kept, undefined))) this.#pin(name, kept);
    }
    if (malformed > 0) logger.warning('{Count} lines of {Path} could not be read', malformed, path);
  }

  #write(line: string): Promise<void> {
    this.#isWritten = false;
    this.#pending.push(line);
    // One that has begun has taken what waited then, and no more.
    const before = this.#writing?.catch(() => {});
    if (before !== undefined && this.#pending.length > 1) return this.#writing as Promise<void>;
    const writing = (before ?? Promise.resolve()).then(() => this.#writePending());
    this.#writing = writing;
    return writing;
  }

  async #writePending(): Promise<void> {
    const lines = this.#pending;
    this.#pending = [];
    try {
      if (this.#lines + lines.length > 2 * this.#kept.size + SPARE_LINES) await this.#rewrite();
      else await this.#append(lines);
    } catch (error) {
      this.#lines = Number.POSITIVE_INFINITY;
      throw error;
    }
    this.#isWritten = this.#pending.length === 0;
  }

  async #append(lines: readonly string[]): Promise<void> {
    await using file = await open(this.#options.path, 'a');
    await file.appendFile(lines.map((line) => `${line}\n`).join(''));
    await file.datasync();
    this.#lines += lines.length;
  }

  async #rewrite(): Promise<void> {
    const { path } = this.#options;
    const lines = Array.from(this.#kept, ([name, kept]) => `${lineOf(name, kept)}\n`);
    const next = `${path}.new`;
    try {
      await using file = await open(next, 'w');
      await file.writeFile(lines.join(''));
      await file.datasync();
      await rename(next, path);
      await nodeFileSystem.syncDirectory(dirname(path));
    } catch (error) {
      await rm(next, { force: true });
      throw error;
    }
    this.#lines = lines.length;
  }
}

function lineOf(name: string, { id, digest, always }: PackageOnList): string {
  return JSON.stringify({ name, id, sha256: digest.hash, size: digest.size, ...(always && { always }) });
}

/** A name alone was let go. */
function parseLine(line: string): { readonly name: string; readonly kept: PackageOnList | undefined } | undefined {
  try {
    const { name, id, sha256, size, always = false } = JSON.parse(line);
    if (typeof name !== 'string') return undefined;
    if (sha256 === undefined) return { name, kept: undefined };
    if (typeof id !== 'string' || !isPackageId(id) || typeof sha256 !== 'string') return undefined;
    return { name, kept: { id, digest: Digest.parse('sha256', sha256, size), always: always === true } };
  } catch {
    return undefined;
  }
}
