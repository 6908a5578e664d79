import { randomUUID } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isNuGetError, NuGetVersion, type PackageIdentity, type SearchOptions } from '@granary/nuget';
import { buildPackage, type PackageInit } from '@granary/nuget/testing';
import { loggerFor } from '@granary/telemetry';
import { bytesOf, StoreUnderTest, type TestStoreOptions } from '../../packages/testing/store-under-test.js';
import { HostedFeed, type HostedFeedOptions } from '../hosted-feed.js';

export interface TestFeedOptions extends Partial<Omit<HostedFeedOptions, 'store'>> {
  readonly stores?: TestStoreOptions;
  /** In place of the store itself. */
  readonly wrap?: (store: HostedFeedOptions['store']) => HostedFeedOptions['store'];
}

/** A hosted feed, with its packages in a disk store, all in one folder that goes with it. */
export class HostedUnderTest implements AsyncDisposable {
  readonly #options: TestFeedOptions;
  t: StoreUnderTest;
  feed: HostedFeed;
  readonly logs: string[];

  private constructor(options: TestFeedOptions, t: StoreUnderTest, feed: HostedFeed, logs: string[]) {
    this.#options = options;
    this.t = t;
    this.feed = feed;
    this.logs = logs;
  }

  static async open(options: TestFeedOptions = {}): Promise<HostedUnderTest> {
    const t = await StoreUnderTest.open(options.stores);
    const logs: string[] = [];
    return new HostedUnderTest(options, t, await openFeed(options, t, logs), logs);
  }

  /** Of the index. */
  get directory(): string {
    return join(this.t.folder, 'hosted');
  }

  /** Closes everything and opens it again, as it lies on the disk. */
  async restart(options: TestFeedOptions = this.#options): Promise<void> {
    await this.feed.close();
    await this.t.close();
    this.t = await StoreUnderTest.open({ ...options.stores, folder: this.t.folder });
    this.feed = await openFeed(options, this.t, this.logs);
  }

  /** Pushes what is in a file of its own meanwhile. */
  async push(pkg: PackageInit | Buffer, signal?: AbortSignal): Promise<void> {
    const bytes = Buffer.isBuffer(pkg) ? pkg : buildPackage(pkg);
    const path = join(this.t.folder, `${randomUUID()}.pushed`);
    await writeFile(path, bytes);
    try {
      await this.feed.push({ path, size: bytes.length }, { apiKey: undefined, signal });
    } finally {
      await rm(path);
    }
  }

  delete(id: string, version: string): Promise<boolean> {
    return this.feed.delete(identity(id, version), { apiKey: undefined });
  }

  relist(id: string, version: string): Promise<boolean> {
    return this.feed.relist(identity(id, version), { apiKey: undefined });
  }

  async versions(id: string): Promise<readonly string[] | undefined> {
    return (await this.feed.versions(id))?.value.map(({ version }) => version);
  }

  async bytes(id: string, version: string): Promise<Buffer | undefined> {
    const content = await this.feed.package(identity(id, version));
    return content && bytesOf(content.open());
  }

  /** Ids that are found. */
  async search(query: string, options: SearchOptions = {}): Promise<readonly string[]> {
    return (await this.feed.search(query, options)).value.hits.map(({ record }) => record.id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.feed.close();
    await this.t[Symbol.asyncDispose]();
  }
}

export function identity(id: string, version: string): PackageIdentity {
  return { id, version: NuGetVersion.parse(version) };
}

/** What a push is refused with. */
export async function refusal(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    return isNuGetError(error) ? `${error.code}: ${error.message}` : String(error);
  }
  throw new Error('it was not refused');
}

/** The store, with some of its methods replaced. */
export function storeWith(store: HostedFeedOptions['store'], replaced: Partial<HostedFeedOptions['store']>) {
  return {
    find: store.find.bind(store),
    adopt: store.adopt.bind(store),
    remove: store.remove.bind(store),
    keep: store.keep.bind(store),
    keptBesides: store.keptBesides.bind(store),
    ...replaced,
  };
}

function openFeed(
  { stores: _, wrap = (store) => store, ...options }: TestFeedOptions,
  t: StoreUnderTest,
  logs: string[],
) {
  return HostedFeed.open({
    directory: join(t.folder, 'hosted'),
    clock: t.time.clock,
    logger: loggerFor({ write: ({ level, message }) => void logs.push(`${level}: ${message}`) }, { level: 'verbose' }),
    ...options,
    store: wrap(t.store),
  });
}
