import type { DiskBlobStoreStats } from '@granary/blobs';
import type { HitCount } from '../metrics/request-metrics.js';
import type { FeedStats } from '../nuget/nuget-stats.js';

/** What `/stats` answers and `granary stats` shows. */
export interface ServerStats {
  readonly version: string;
  readonly node: string;
  readonly pid: number;
  readonly state: 'serving' | 'draining';
  readonly uptimeMs: number;
  /** Where each listener really listens, by its key: `listen.grpc` and so on. */
  readonly listeners: Readonly<Record<string, string>>;
  readonly storage: DiskBlobStoreStats & { readonly directory: string; readonly durability: string };
  readonly requests: { readonly requests: number; readonly bytesIn: number; readonly bytesOut: number };
  /** Action results as clients saw them. */
  readonly actionResults: HitCount;
  /** Blobs that were read. */
  readonly blobs: HitCount;
  /** Undefined before somebody asked for one of the NuGet feeds. */
  readonly nuget: FeedStats | undefined;
  readonly memoryBytes: number;
}
