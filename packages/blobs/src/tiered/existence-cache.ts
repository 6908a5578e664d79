import { type Clock, steadyClock } from '@granary/resilience';
import { Digest } from '../digest.js';
import type { DigestFunction } from '../digest-function.js';
import { BlobIndex } from '../disk/index/blob-index.js';
import { blobKey, kindOf } from '../disk/index/entry-key.js';

export interface ExistenceCacheOptions {
  /** Most blobs that are remembered, about 64 bytes each. 0 remembers nothing. Default 500,000. */
  readonly maxEntries?: number | undefined;
  /** Longest time that one is remembered for, in milliseconds; half of it at least. Default 10 minutes. */
  readonly ttlMs?: number | undefined;
  readonly clock?: Clock | undefined;
}

/**
 * The blobs that a tier has said to have, so that it isn't asked about the same ones in every build. What it doesn't have
 * is never remembered: others may upload it at any moment.
 *
 * Entries aren't timed one by one: they go into the younger of two tables, and when that is full or half of the time is
 * over, the older one is dropped and the younger takes its place.
 */
export class ExistenceCache {
  readonly #mostInTable: number;
  readonly #ttlMs: number;
  readonly #clock: Clock;
  #young = new BlobIndex();
  #old = new BlobIndex();
  /** When the first entry of each table can have come. */
  #youngSince: number;
  #oldSince: number;

  constructor({ maxEntries = 500_000, ttlMs = 600_000, clock = steadyClock }: ExistenceCacheOptions = {}) {
    this.#mostInTable = Math.ceil(maxEntries / 2);
    this.#ttlMs = ttlMs;
    this.#clock = clock;
    this.#youngSince = clock();
    this.#oldSince = this.#youngSince;
  }

  /** Entries that are remembered now. */
  get count(): number {
    this.#age();
    return this.#young.count + this.#old.count;
  }

  /** Those of the digests that are not known to be there, in their order. */
  unknown(digests: readonly Digest[]): Digest[] {
    this.#age();
    const [young, old] = [this.#young, this.#old];
    const unknown: Digest[] = [];
    for (const digest of digests) if (!isIn(young, digest) && !isIn(old, digest)) unknown.push(digest);
    return unknown;
  }

  /** Whether the blob is known to be there. */
  has(digest: Digest): boolean {
    this.#age();
    return isIn(this.#young, digest) || isIn(this.#old, digest);
  }

  /** The size of a blob that is known to be there. */
  sizeOf(fn: DigestFunction, hash: Uint8Array): number | undefined {
    this.#age();
    const digest = Digest.fromBytes(fn, hash, 0);
    for (const table of [this.#young, this.#old]) {
      const handle = table.count === 0 ? -1 : find(table, digest);
      if (handle !== -1) return table.size(handle);
    }
    return undefined;
  }

  /** Remembers that the blob is there, as of now. */
  add(digest: Digest): void {
    if (this.#mostInTable === 0) return;
    this.#age();
    if (this.#young.count >= this.#mostInTable) this.#rotate();
    this.#young.insert(blobKey(digest), digest.size, 0, 0);
  }

  /** Forgets a blob that turned out not to be there. */
  forget(digest: Digest): void {
    for (const table of [this.#young, this.#old]) {
      const handle = find(table, digest);
      if (handle !== -1) table.remove(handle);
    }
  }

  #age(): void {
    const now = this.#clock();
    if (now - this.#youngSince >= this.#ttlMs / 2) this.#rotate();
    if (now - this.#oldSince >= this.#ttlMs && this.#old.count > 0) this.#old = new BlobIndex();
  }

  #rotate(): void {
    if (this.#young.count > 0) {
      this.#old = this.#young;
      this.#oldSince = this.#youngSince;
      this.#young = new BlobIndex();
    }
    this.#youngSince = this.#clock();
  }
}

function isIn(table: BlobIndex, digest: Digest): boolean {
  if (table.count === 0) return false;
  const handle = find(table, digest);
  return handle !== -1 && table.size(handle) === digest.size;
}

function find(table: BlobIndex, digest: Digest): number {
  return table.find(kindOf(digest.function), digest.words, digest.at);
}
