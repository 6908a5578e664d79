import {
  NuGetError,
  NupkgReader,
  type Nuspec,
  type PackageIdentity,
  type PackageLimits,
  verifyPackage,
} from '@granary/nuget';
import type { Logger } from '@granary/telemetry';
import type { PushCall, ReceivedPackage } from '../feed/feed-content.js';
import type { PackageRecord } from '../feed/package-record.js';
import { packageKey } from '../packages/package-entry.js';
import type { StoredPackage } from '../packages/stored-package.js';
import type { HostedInventory } from './hosted-inventory.js';
import { nuspecOfPushed, recordOfPushed } from './pushed-package.js';
import { Turns } from './turns.js';

export interface PublishingOptions {
  /** Most versions of all packages together. */
  readonly maxVersions: number;
  /** How much a pushed package may hold. */
  readonly limits: PackageLimits;
  readonly logger: Logger;
  readonly clock: () => number;
  /** Throws when the feed takes nothing any more. */
  readonly assertOpen: () => void;
}

/** Changes what is hosted, for each version one change after the other. */
export class Publishing {
  readonly #inventory: HostedInventory;
  readonly #options: PublishingOptions;
  readonly #turns = new Turns();

  constructor(inventory: HostedInventory, options: PublishingOptions) {
    this.#inventory = inventory;
    this.#options = options;
  }

  /** As `HostedFeed.push`. */
  async push({ path }: ReceivedPackage, { signal }: PushCall): Promise<void> {
    const { limits, maxVersions } = this.#options;
    await using reader = await NupkgReader.open(path, { limits });
    const nuspec = await nuspecOfPushed(reader);
    await this.#inTurn(nuspec, signal, async () => {
      const known = this.#inventory.record(nuspec);
      if (known !== undefined) return await this.#takeAgain(reader, nuspec, known, path, signal);
      if (this.#inventory.catalog.versions >= maxVersions)
        throw new NuGetError('LIMIT', `the feed has ${maxVersions} packages and takes no more`);
      await verifyPackage(reader, nuspec, { checkContents: true, signal });
      await this.#take(nuspec, path, signal);
    });
  }

  /** Lists or unlists a version; false when it isn't there. */
  async setListed(identity: PackageIdentity, listed: boolean, { signal }: PushCall): Promise<boolean> {
    return await this.#inTurn(identity, signal, async () => {
      const record = this.#inventory.record(identity);
      if (record === undefined) return false;
      if (record.listed === listed) return true;
      await this.#inventory.enter(identity, { ...record, listed });
      const change = listed ? 'listed' : 'unlisted';
      this.#options.logger.information('{PackageId} {Version} was {Change}', record.id, record.version, change);
      return true;
    });
  }

  /** Resolves when nothing is under way. */
  idle(): Promise<void> {
    return this.#turns.idle();
  }

  #inTurn<T>(identity: PackageIdentity, signal: AbortSignal | undefined, change: () => Promise<T>): Promise<T> {
    return this.#turns.run(packageKey(identity), signal, () => {
      this.#options.assertOpen();
      return change();
    });
  }

  /** Note, bytes, index: what is interrupted at any point is found by its note, and seen by nobody. */
  async #take(nuspec: Nuspec, path: string, signal: AbortSignal | undefined): Promise<void> {
    const { logger, clock } = this.#options;
    await this.#inventory.begin(nuspec);
    let stored: StoredPackage;
    try {
      stored = await this.#inventory.adopt(nuspec, path, signal);
    } catch (error) {
      await this.#inventory.takeBack(nuspec);
      throw error;
    }
    await this.#inventory.enter(nuspec, recordOfPushed(nuspec, stored, new Date(clock())));
    const version = nuspec.version.toFullString();
    logger.information('{PackageId} {Version} was pushed: {Bytes} bytes', nuspec.id, version, stored.size);
  }

  /** A version that is here is a conflict, unless its bytes were lost and these are the same. */
  async #takeAgain(
    reader: NupkgReader,
    nuspec: Nuspec,
    known: PackageRecord,
    path: string,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { id, version } = known;
    const isLost = (await this.#inventory.bytes(nuspec, { signal })) === undefined;
    if (!isLost || (await reader.packageHash('sha512', signal)) !== known.packageHash?.value) {
      const unlisted = known.listed ? '' : ', unlisted';
      throw new NuGetError('CONFLICT', `${id} ${version} is here already${unlisted}: versions never change`);
    }
    await this.#inventory.adopt(nuspec, path, signal);
    this.#options.logger.warning('{PackageId} {Version} was lost and has been pushed again', id, version);
  }
}
