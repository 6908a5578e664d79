const KIB = 1024;
const MIB = 1024 * KIB;

/** What one request may cost. Passing a limit gives the client the protocol's own error, never a closed connection. */
export interface CacheLimits {
  /**
   * Largest gRPC message, in bytes. Default 4 MiB, which every client accepts. A request with many digests may be twice
   * as large ({@link largestRequest}), and a response to many small blobs exceeds it by their digests.
   */
  readonly maxMessageBytes: number;
  /**
   * Most bytes of all blobs in one batch call, advertised to clients. Below `maxMessageBytes`, so that digests and
   * framing have room too. Default 4 MiB less 64 KiB.
   */
  readonly maxBatchTotalBytes: number;
  /** Largest blob that is taken, in bytes, advertised to clients. Default 0: as large as the store allows. */
  readonly maxBlobBytes: number;
  /** Largest action result that is taken, in bytes. Default 4 MiB; over gRPC `maxMessageBytes` limits it as well. */
  readonly maxActionResultBytes: number;
  /**
   * Most digests in one FindMissingBlobs call. Default 131072: more than fit into 4 MiB, which is all that clients know of a
   * limit, with the shortest hashes.
   */
  readonly maxFindMissingDigests: number;
  /** Most directories below one root that GetTree and the completeness check follow. Default 100 000. */
  readonly maxTreeDirectories: number;
  /** Largest `Tree` blob of an output directory that the completeness check reads, in bytes. Default 32 MiB. */
  readonly maxTreeBytes: number;
  /** Directories in one page of GetTree when the client names no number, and at most. Default 1000. */
  readonly treePageSize: number;
  /** How long a stream may stand still because of its client, in milliseconds. Default 5 minutes. */
  readonly streamIdleMs: number;
}

/** What holds where nobody says otherwise. */
export const DEFAULT_LIMITS: CacheLimits = {
  maxMessageBytes: 4 * MIB,
  maxBatchTotalBytes: 4 * MIB - 64 * KIB,
  maxBlobBytes: 0,
  maxActionResultBytes: 4 * MIB,
  maxFindMissingDigests: 131_072,
  maxTreeDirectories: 100_000,
  maxTreeBytes: 32 * MIB,
  treePageSize: 1000,
  streamIdleMs: 5 * 60_000,
};

/**
 * The largest request of FindMissingBlobs and BatchUpdateBlobs, in bytes. Clients count the bytes of blobs against the
 * advertised limit, and not the digests beside them: with 4 KiB each, a full batch takes more than `maxMessageBytes`.
 * With room for them it is accepted, and a batch over its limit is told so rather than that its message is too large.
 */
export function largestRequest({ maxMessageBytes }: Pick<CacheLimits, 'maxMessageBytes'>): number {
  return 2 * maxMessageBytes;
}

/**
 * The defaults with what was set instead.
 *
 * @throws RangeError that names the limit, when one is no whole number or contradicts another
 */
export function resolveLimits(set: Partial<CacheLimits> = {}): CacheLimits {
  const limits: CacheLimits = { ...DEFAULT_LIMITS, ...set };
  for (const [name, value] of Object.entries(limits)) {
    const least = name === 'maxBlobBytes' ? 0 : 1;
    if (!Number.isSafeInteger(value) || value < least)
      throw new RangeError(`limits.${name} must be a whole number of at least ${least}, not ${value}`);
  }
  if (limits.maxBatchTotalBytes >= limits.maxMessageBytes)
    throw new RangeError(
      `limits.maxBatchTotalBytes (${limits.maxBatchTotalBytes}) must be less than limits.maxMessageBytes ` +
        `(${limits.maxMessageBytes}), so that a full batch fits into one message`,
    );
  return limits;
}
