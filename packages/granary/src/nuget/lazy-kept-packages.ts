import { access } from 'node:fs/promises';
import { join } from 'node:path';
import type { EntryPins } from '@granary/blobs';
import type { KeptPackages } from '@granary/nuget-proxy';
import type { Logger } from '@granary/telemetry';
import type { Config } from '../config/schema.js';

/**
 * The packages that are never evicted. Those of before have to be pinned before the store is opened; where there are none
 * nothing is loaded for them until somebody asks.
 */
export class LazyKeptPackages {
  readonly #open: () => Promise<KeptPackages>;
  #opened: Promise<KeptPackages> | undefined;

  private constructor(open: () => Promise<KeptPackages>) {
    this.#open = open;
  }

  /** @param directory the feeds' own folder, which need not be there yet */
  static async start(
    { keep, keep_max_size: maxSize }: Config['nuget'],
    directory: string,
    pins: EntryPins,
    logger: Logger,
  ): Promise<LazyKeptPackages> {
    const path = join(directory, 'kept.jsonl');
    const kept = new LazyKeptPackages(async () => {
      const { KeptPackages } = await import('@granary/nuget-proxy');
      return KeptPackages.open({ path, patterns: keep, pins, maxBytes: maxSize || undefined, logger });
    });
    const isThere = await access(path).then(
      () => true,
      () => false,
    );
    if (isThere) await kept.packages();
    return kept;
  }

  packages(): Promise<KeptPackages> {
    this.#opened ??= this.#open().catch((error: unknown) => {
      this.#opened = undefined;
      throw error;
    });
    return this.#opened;
  }

  async close(): Promise<void> {
    await (await this.#opened)?.close();
  }
}
