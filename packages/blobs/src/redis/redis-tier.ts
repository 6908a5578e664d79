import type { RedisClient } from '@granary/cache/redis';
import { InvalidOptionError, type Timers, wholeNumber } from '@granary/resilience';
import { type Logger, nullLogger } from '@granary/telemetry';
import type { Digest } from '../digest.js';
import { DamagedBlobs } from '../remote/damaged-blobs.js';
import type { Tier, TierMode } from '../tiered/tier.js';
import { CommandBatches } from './command-batches.js';
import type { Lifetime } from './lifetime.js';
import { PasswordFile } from './password-file.js';
import { RedisActionResultStore } from './redis-action-result-store.js';
import { connectionOf, type RedisAddress } from './redis-address.js';
import { RedisBlobStore } from './redis-blob-store.js';
import { StoredNames } from './stored-names.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const MOST_BLOB_BYTES = 16 * MIB;
const MOST_TTL_MS = 2 ** 48;

export interface RedisTierOptions {
  /** Short, stable and different from those of the other tiers: a metric label. */
  readonly name: string;
  readonly mode: TierMode;
  /** Whether it is better to fail than to go on without this tier. Default false. */
  readonly required?: boolean | undefined;
  /** Where Redis is; or a client of ioredis that the caller made, and closes. */
  readonly connection: RedisAddress | RedisClient;
  /** In front of every key, not empty. Default `granary:`. */
  readonly prefix?: string | undefined;
  /** Largest blob that is kept here, in bytes; 0 to 16 MiB, 0 for none. Larger ones are missing here. Default 64 KiB. */
  readonly maxBlobBytes?: number | undefined;
  /** Largest action result, in bytes; 1 to 16 MiB. Default 4 MiB. */
  readonly maxActionResultBytes?: number | undefined;
  /** How long Redis keeps what is stored, in milliseconds. Default: for as long as it has room. */
  readonly ttlMs?: number | undefined;
  /**
   * Whether a use makes that time begin anew, which is a second command for each. Default: where there is such a time and
   * the tier isn't `read-only`.
   */
  readonly refreshTtl?: boolean | undefined;
  /** How long Redis may take for an answer, in milliseconds. Default 1000. */
  readonly timeoutMs?: number | undefined;
  /** Most calls that wait for Redis at once; more are refused as `exhausted`. Default 10,000. */
  readonly maxPending?: number | undefined;
  /** Most bytes of values that are on their way at once, in both directions; more are refused. Default 64 MiB. */
  readonly maxPendingBytes?: number | undefined;
  /** What the time is measured with. Default: timers that all timeouts share, never early and at most 10 ms late. */
  readonly timers?: Timers | undefined;
  /** Told when a blob was removed because it is damaged. Default: nobody. */
  readonly logger?: Logger | undefined;
}

/**
 * Redis or Valkey as a tier: action results and small blobs. Failures are {@link RemoteStoreError}s; nothing waits longer
 * than `timeoutMs` for Redis, and nothing at all while there is no connection, except right after the start.
 */
export class RedisTier implements Tier, AsyncDisposable {
  readonly name: string;
  readonly mode: TierMode;
  readonly required: boolean;
  /** Larger blobs are missing here, and refused with a `BlobTooLargeError`. */
  readonly maxBlobBytes: number;
  readonly blobs: RedisBlobStore | undefined;
  readonly sizes: RedisBlobStore | undefined;
  readonly actionResults: RedisActionResultStore;
  readonly #batches: CommandBatches;
  readonly #damaged: DamagedBlobs | undefined;
  readonly #probe: string;
  readonly #password: PasswordFile | undefined;

  constructor(options: RedisTierOptions, batches: CommandBatches, password: PasswordFile | undefined) {
    const { name } = options;
    const lifetime = lifetimeOf(options);
    const names = new StoredNames(options.prefix ?? 'granary:');
    const parts = { name, lifetime, names, batches };
    this.name = name;
    this.mode = options.mode;
    this.required = options.required ?? false;
    this.maxBlobBytes = bounded('maxBlobBytes', options.maxBlobBytes ?? 64 * KIB, 0, MOST_BLOB_BYTES);
    this.blobs =
      this.maxBlobBytes === 0 ? undefined : new RedisBlobStore({ ...parts, maxBlobBytes: this.maxBlobBytes });
    this.sizes = this.blobs;
    this.#damaged = this.blobs && new DamagedBlobs(this.blobs, options.logger ?? nullLogger);
    const maxBytes = bounded('maxActionResultBytes', options.maxActionResultBytes ?? 4 * MIB, 1, MOST_BLOB_BYTES);
    this.actionResults = new RedisActionResultStore({ ...parts, maxBytes });
    this.#batches = batches;
    this.#probe = names.probe;
    this.#password = password;
  }

  /** Calls that Redis hasn't answered yet. */
  get pending(): number {
    return this.#batches.pending;
  }

  /** Asks for a key; `timeoutMs` at most. */
  async check(signal: AbortSignal): Promise<void> {
    await this.#batches.send([['exists', this.#probe]], this.#probe.length, signal);
  }

  /** Removes the blob from Redis if it is damaged there, unless nothing may be written. */
  onDamaged(digest: Digest): void {
    if (this.mode !== 'read-only') this.#damaged?.report(digest);
  }

  /** Waits for what is under way, `timeoutMs` at most, and ends the connection unless it is the caller's. */
  async close(): Promise<void> {
    await this.#damaged?.close();
    await this.blobs?.close();
    await this.actionResults.close();
    this.#password?.close();
    await this.#batches.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/**
 * Opens a tier. Doesn't wait for Redis, which is connected to in the background, again and again as long as it takes.
 *
 * @throws InvalidOptionError that names the option which is wrong, and never quotes credentials
 * @throws an error of the file system when the file with the password can't be read
 */
export async function openRedisTier(options: RedisTierOptions): Promise<RedisTier> {
  // Looked at before a connection is made, which somebody would have to close.
  lifetimeOf(options);
  const { connection, maxPending = 10_000, maxPendingBytes = 64 * MIB } = options;
  const isAddress = 'urls' in connection;
  const redis = isAddress ? await connectionOf(connection) : connection;
  const batches = new CommandBatches({
    name: options.name,
    connection: redis,
    maxPending,
    maxPendingBytes,
    timeoutMs: options.timeoutMs,
    timers: options.timers,
  });
  const file = isAddress ? connection.passwordFile : undefined;
  const password = file === undefined ? undefined : new PasswordFile(file, batches.client);
  try {
    return new RedisTier(options, batches, password);
  } catch (error) {
    password?.close();
    await batches.close();
    throw error;
  }
}

function lifetimeOf({ ttlMs, refreshTtl, mode }: RedisTierOptions): Lifetime {
  if (ttlMs === undefined) {
    if (refreshTtl) throw new InvalidOptionError('refreshTtl', 'true only where ttlMs is given', refreshTtl);
    return { ttlMs, refresh: false };
  }
  return { ttlMs: bounded('ttlMs', ttlMs, 1, MOST_TTL_MS), refresh: refreshTtl ?? mode !== 'read-only' };
}

function bounded(option: string, value: number, least: number, most: number): number {
  if (wholeNumber(option, value, least) > most) throw new InvalidOptionError(option, `at most ${most}`, value);
  return value;
}
