import type { ActionResultStore, BlobStore, SizeLookup } from '../blob-store.js';
import type { Digest } from '../digest.js';

/**
 * What a tier is used for; every tier is read.
 *
 * - `read-only`: nothing is ever written to it
 * - `read-through`: filled with what reads found in slower tiers, not with what clients upload
 * - `write-through`: an upload is complete when the tier has it too
 * - `write-behind`: uploads follow in the background, from a queue that survives a restart
 */
export type TierMode = 'read-only' | 'read-through' | 'write-through' | 'write-behind';

/** A cache behind the local one: slower, larger, shared with others. */
export interface Tier {
  /** Short, stable and different from those of the other tiers: a metric label. */
  readonly name: string;
  readonly mode: TierMode;
  /**
   * Whether it is better to fail (with a {@link TierUnavailableError}) than to go on without this tier while it can't be
   * reached. Without it a tier that is gone counts as one that has nothing.
   */
  readonly required: boolean;
  /** Undefined for a tier of action results alone. */
  readonly blobs: BlobStore | undefined;
  /** Largest blob that the tier is for, in bytes; others are never sent to it, not even by `write-through`. Default: all. */
  readonly maxBlobBytes?: number | undefined;
  /**
   * Most blobs that {@link BlobStore.findMissing} is asked for in one call: what answers one after the other would not be
   * done with thousands in the time of a call. Default: all at once.
   */
  readonly checksAtOnce?: number | undefined;
  /** How long those who ask wait for several of these calls, in milliseconds. Default: as long as they want to. */
  readonly timeoutMs?: number | undefined;
  /** Most calls that it is asked at once; more wait for their turn, which is no failure of it. Default: any number. */
  readonly maxCalls?: number | undefined;
  /** Where the tier's protocol names blobs by their hash alone: what their sizes are. */
  readonly sizes?: SizeLookup | undefined;
  /** Undefined for a tier of blobs alone. */
  readonly actionResults: ActionResultStore | undefined;
  /** Told that what the tier delivered is not what its digest names, so that its breaker can count it. */
  onDamaged?(digest: Digest, reason: string): void;
  /** Whether the tier answers now, for readiness; throws when it doesn't. Bounded in time. */
  check(signal: AbortSignal): Promise<void>;
  /** Closes its stores and connections. */
  close(): Promise<void>;
}
