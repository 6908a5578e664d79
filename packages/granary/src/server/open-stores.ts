import { join, resolve } from 'node:path';
import { type BlobStore, DiskBlobStore, EntryPins, WRITE_BEHIND_FOLDER, withRecorder } from '@granary/blobs';
import { defaultStorageDirectory } from '../config/storage-directory.js';
import { tiersOf } from '../config/tier-schema.js';
import { addStoreGauges, StoreMetrics } from '../metrics/store-metrics.js';
import { LazyKeptPackages } from '../nuget/lazy-kept-packages.js';
import { openTiers, openWriteBehind, type TieredStores } from '../tiers/open-tiers.js';
import type { ServerContext } from './server-context.js';

/** Where a server's bytes are. */
export interface ServerStores {
  /** The folder that all of it is in. */
  readonly directory: string;
  readonly disk: DiskBlobStore;
  /** What is asked of the disk. */
  readonly diskMetrics: StoreMetrics;
  /** The disk, and what is asked of it counted. */
  readonly local: BlobStore;
  /** Undefined for a server without other caches behind it. */
  readonly tiered: TieredStores | undefined;
  /** What the feeds have beside the store, in its folder. */
  readonly nugetDirectory: string;
  readonly keptPackages: LazyKeptPackages;
}

/**
 * Opens the store and the tiers behind it, after the lists of what must not be evicted from it.
 *
 * @throws ConfigError when a tier's settings or files are wrong
 * @throws StoreLockedError when another server has the folder
 */
export async function openStores(context: ServerContext): Promise<ServerStores> {
  const { config, logger, metrics, tracer, closers } = context;
  const diskMetrics = new StoreMetrics(metrics, 'disk', true);
  const directory = resolve(config.storage.dir ?? defaultStorageDirectory());
  const nugetDirectory = join(directory, 'nuget');
  const tiers = tiersOf(config);
  const tierLogger = logger.forContext('component', 'tiers');
  const pins = new EntryPins();

  const queue = tiers.some(({ mode }) => mode === 'write-behind')
    ? await openWriteBehind(join(directory, WRITE_BEHIND_FOLDER), config, pins, metrics, tierLogger)
    : undefined;
  if (queue) closers.add(() => queue.close());
  const nugetLogger = logger.forContext('component', 'nuget');
  const keptPackages = await LazyKeptPackages.start(config.nuget, nugetDirectory, pins, nugetLogger);
  closers.add(() => keptPackages.close());

  const disk = await DiskBlobStore.open({
    directory,
    maxBytes: config.storage.max_size,
    minFreeBytes: config.storage.min_free,
    minAgeMs: config.storage.min_age,
    durability: config.storage.durability,
    directBytes: config.storage.direct_io,
    tableLoading: 'process',
    pins,
    logger: logger.forContext('component', 'store'),
    tracer,
    onEvicted: (eviction) => diskMetrics.recordEviction(eviction),
  });
  closers.add(() => disk.close());
  addStoreGauges(metrics, () => disk.stats());
  const local = withRecorder(disk, diskMetrics);

  const tiered =
    tiers.length > 0
      ? await openTiers({
          tiers,
          local,
          unmeasured: disk,
          actionResults: disk.actionResults,
          settings: config.tiering,
          walk: { maxDirectories: config.limits.max_tree_directories, maxDirectoryBytes: config.limits.max_tree_size },
          queue,
          metrics,
          tracer,
          logger: tierLogger,
        })
      : undefined;
  if (tiered) closers.add(() => tiered.close());
  return { directory, disk, diskMetrics, local, tiered, nugetDirectory, keptPackages };
}
