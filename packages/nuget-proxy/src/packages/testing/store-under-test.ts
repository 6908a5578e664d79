import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { type BlobStore, DiskBlobStore, type DiskBlobStoreOptions, EntryPins } from '@granary/blobs';
import { type NuGetMetrics, NuGetVersion, type PackageIdentity, type PackageStream } from '@granary/nuget';
import { buildPackage } from '@granary/nuget/testing';
import { ManualTime } from '@granary/resilience/testing';
import { type Logger, loggerFor } from '@granary/telemetry';
import type { PackageContent } from '../../feed/feed-content.js';
import { KeptPackages, type KeptPackagesOptions } from '../kept-packages.js';
import { PackageStore } from '../package-store.js';
import type { PackageStoreOptions } from '../package-store-options.js';

const MIB = 1024 * 1024;

export function identityOf(id: string, version = '1.0.0'): PackageIdentity {
  return { id, version: NuGetVersion.parse(version) };
}

/** A package of about this size that can't be compressed. */
export function packageOf(id: string, bytes = 1000, version = '1.0.0'): Buffer {
  return buildPackage({ id, version, files: { 'lib/netstandard2.0/A.dll': randomBytes(bytes) } });
}

/** An answer of upstream that a test gives piece by piece. */
export class Upstream {
  readonly body = new Readable({ read() {} });
  readonly bytes: Buffer;
  #length: number | undefined;
  sent = 0;

  constructor(bytes: Buffer, length: number | undefined = bytes.length) {
    this.bytes = bytes;
    this.#length = length;
  }

  static withoutLength(bytes: Buffer): Upstream {
    const upstream = new Upstream(bytes);
    upstream.#length = undefined;
    return upstream;
  }

  /** All of it, at once. */
  static whole(bytes: Buffer): Upstream {
    const upstream = new Upstream(bytes);
    upstream.send();
    return upstream;
  }

  answer(more: Partial<PackageStream> = {}): PackageStream {
    return { body: this.body, length: this.#length, url: 'https://feed.test/package', ...more };
  }

  /** Sends so many bytes, or what is left, which ends it. */
  send(bytes?: number): void {
    const end = bytes === undefined ? this.bytes.length : this.sent + bytes;
    for (let at = this.sent; at < end; at += 16 * 1024)
      this.body.push(Buffer.from(this.bytes.subarray(at, Math.min(end, at + 16 * 1024))));
    this.sent = end;
    if (bytes === undefined) this.body.push(null);
  }
}

export interface TestStoreOptions extends Partial<PackageStoreOptions> {
  readonly disk?: Partial<DiskBlobStoreOptions>;
  readonly keep?: readonly string[];
  readonly keepOptions?: Partial<KeptPackagesOptions>;
  readonly folder?: string;
  /** Makes of the disk store what the package store gets. */
  readonly around?: (blobs: BlobStore) => BlobStore;
}

/** A package store on a disk store in a folder of its own. */
export class StoreUnderTest implements AsyncDisposable {
  readonly folder: string;
  readonly disk: DiskBlobStore;
  readonly kept: KeptPackages;
  readonly store: PackageStore;
  readonly time: ManualTime;
  readonly logs: string[];
  readonly counted: string[];

  private constructor(parts: Pick<StoreUnderTest, 'folder' | 'disk' | 'kept' | 'store' | 'time' | 'logs' | 'counted'>) {
    this.folder = parts.folder;
    this.disk = parts.disk;
    this.kept = parts.kept;
    this.store = parts.store;
    this.time = parts.time;
    this.logs = parts.logs;
    this.counted = parts.counted;
  }

  static async open({
    disk,
    keep = [],
    keepOptions,
    folder,
    around = (blobs) => blobs,
    ...options
  }: TestStoreOptions = {}): Promise<StoreUnderTest> {
    const directory = folder ?? mkdtempSync(join(tmpdir(), 'nuget-packages-'));
    const time = new ManualTime(Date.UTC(2026, 0, 1));
    const logs: string[] = [];
    const counted: string[] = [];
    const logger: Logger = loggerFor(
      { write: ({ level, message }) => void logs.push(`${level}: ${message}`) },
      { level: 'verbose' },
    );
    const metrics: NuGetMetrics = {
      cacheHit: (type) => void counted.push(`hit ${type}`),
      cacheMiss: (type) => void counted.push(`miss ${type}`),
      packageDownloaded: (status) => void counted.push(`download ${status}`),
    };
    const pins = new EntryPins();
    const path = join(directory, 'nuget-kept');
    const kept = await KeptPackages.open({ path, patterns: keep, pins, logger, ...keepOptions });
    const blobs = await DiskBlobStore.open({ directory, maxBytes: 64 * MIB, housekeepingMs: 0, pins, ...disk });
    try {
      const store = new PackageStore({
        blobs: around(blobs),
        actionResults: blobs.actionResults,
        incomingDirectory: blobs.incomingDirectory,
        makeRoom: (bytes) => blobs.makeRoom(bytes),
        kept,
        clock: time.clock,
        timers: time,
        logger,
        metrics,
        ...options,
      });
      return new StoreUnderTest({ folder: directory, disk: blobs, kept, store, time, logs, counted });
    } catch (error) {
      await kept.close();
      await blobs.close();
      if (folder === undefined) rmSync(directory, { recursive: true, force: true });
      throw error;
    }
  }

  /** Files of packages under way. */
  incoming(): string[] {
    return readdirSync(this.disk.incomingDirectory);
  }

  /** Closes everything, and leaves the folder for the next one. */
  async close(): Promise<void> {
    await this.store.close();
    await this.kept.close();
    await this.disk.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export async function bytesOf(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Equal or not: to compare long ones byte by byte takes seconds. */
export function expectBytes(actual: Buffer | undefined, expected: Buffer): void {
  if (actual?.equals(expected)) return;
  let same = 0;
  while (actual !== undefined && same < actual.length && actual[same] === expected[same]) same++;
  throw new Error(`${actual?.length} bytes instead of ${expected.length}, of which the first ${same} are right`);
}

/** Who reads a package as fast as it can. */
export class Client {
  readonly stream: Readable;
  /** All that it got, when that was all. */
  readonly whole: Promise<Buffer>;
  readonly #chunks: Buffer[] = [];
  received = 0;

  constructor(content: PackageContent | undefined, part?: Parameters<PackageContent['open']>[0]) {
    if (content === undefined) throw new Error('there is no such package');
    this.stream = content.open(part);
    this.whole = new Promise((resolve, reject) => {
      this.stream.on('data', (chunk: Buffer) => {
        this.#chunks.push(chunk);
        this.received += chunk.length;
      });
      this.stream.on('end', () => resolve(this.bytes));
      this.stream.on('error', reject);
    });
    // For those that a test doesn't wait for.
    this.whole.catch(() => {});
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }
}

/** Resolves when something is so; the test's own time limit is the end of it. */
export async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await turn();
}

/** Lets everything that could happen now happen, for what should not. */
export async function quiet(): Promise<void> {
  for (let turns = 0; turns < 20; turns++) await turn();
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
