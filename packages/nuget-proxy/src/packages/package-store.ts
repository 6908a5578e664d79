import { NuGetError, type PackageIdentity, type PackageRest, type PackageStream, verifyPackage } from '@granary/nuget';
import { InFlight, quietly } from '@granary/resilience';
import type { Span } from '@granary/telemetry';
import type { FeedCall, PackageContent } from '../feed/feed-content.js';
import { Arrival } from './arriving/arrival.js';
import { ArrivalSlots } from './arriving/arrival-slots.js';
import { ArrivingPackage } from './arriving/arriving-package.js';
import { DownloadReport } from './arriving/download-report.js';
import type { ExpectedPackage } from './arriving/receive-package.js';
import { Spool } from './arriving/spool.js';
import { SpoolFolder } from './arriving/spool-folder.js';
import { Backlog } from './backlog.js';
import { FreeSpace } from './free-space.js';
import { fileChunks, hashFile } from './hash-file.js';
import { PackageEntries } from './package-entries.js';
import { type PackageEntry, packageKey } from './package-entry.js';
import { type PackageStoreOptions, type ResolvedOptions, resolveOptions } from './package-store-options.js';
import { PASSING_LIMITS } from './passing-limits.js';
import { StoredPackage } from './stored-package.js';

/** Asks upstream for a package, or for what is missing of it; undefined when it hasn't got it. */
export type OpenUpstream = (
  signal: AbortSignal,
  span: Span | undefined,
  rest: PackageRest | undefined,
) => Promise<PackageStream | undefined>;

export interface FetchCall extends FeedCall {
  /** For traces. */
  readonly sourceUrl?: string | undefined;
}

export interface AdoptOptions {
  readonly signal?: AbortSignal | undefined;
  /** Never evict it, whatever the patterns say. Default false. */
  readonly keep?: boolean | undefined;
}

/**
 * Packages by source, id and version, their bytes in the blob store: from there, or from upstream, once however many ask.
 * Who asks gets the first bytes while a package arrives, the last ones only after all of it was verified, and the end when
 * it is stored. One that is all in memory is stored a moment later, unless somebody waits for its end: a server that is
 * killed meanwhile fetches it again.
 */
export class PackageStore implements AsyncDisposable {
  readonly #options: ResolvedOptions;
  readonly #entries: PackageEntries;
  readonly #folder: SpoolFolder;
  readonly #backlog: Backlog;
  readonly #freeSpace: FreeSpace;
  readonly #arrivals = new InFlight<string, Arrival>();
  readonly #slots = new Map<string, ArrivalSlots>();
  /** What is under way; waited for when the store is closed. */
  readonly #running = new Set<Promise<void>>();
  #closing: Promise<void> | undefined;

  constructor(options: PackageStoreOptions) {
    this.#options = resolveOptions(options);
    this.#entries = new PackageEntries(this.#options, options.kept);
    const { incomingDirectory, fileSystem, clock, timers, makeRoom } = this.#options;
    this.#backlog = new Backlog(timers);
    this.#folder = new SpoolFolder(incomingDirectory, fileSystem, () => this.#backlog.flush());
    const makeRoomOrNot = (bytes: number) => makeRoom(bytes).catch(() => {});
    this.#freeSpace = new FreeSpace(() => fileSystem.freeBytes(incomingDirectory), clock, makeRoomOrNot);
  }

  /** Packages that arrive now, wait for their turn, or are being stored. */
  get arriving(): number {
    return this.#arrivals.size;
  }

  /**
   * The package, when it is all here in memory, and not stored yet: at once. To be opened or released.
   */
  atHand(source: string, identity: PackageIdentity): PackageContent | undefined {
    this.#assertOpen();
    const arrival = this.#arrivals.get(arrivalId(source, identity));
    if (arrival?.state.name !== 'verified' || !arrival.join()) return undefined;
    quietly(() => this.#options.metrics.cacheHit?.('package'));
    return new ArrivingPackage(arrival, 'hit');
  }

  /**
   * The package, when it is here: that counts as a use of it. One whose bytes are gone isn't here; one that somebody has got
   * all of, and that is not stored yet, is stored now and waited for.
   */
  async find(source: string, identity: PackageIdentity, call?: FeedCall): Promise<StoredPackage | undefined> {
    this.#assertOpen();
    await this.#untilStored(source, identity, call?.signal);
    const entry = await this.#entries.find(source, identity, call);
    const { metrics } = this.#options;
    quietly(() => (entry ? metrics.cacheHit?.('package') : metrics.cacheMiss?.('package')));
    return entry && new StoredPackage(entry, this.#options.blobs);
  }

  /**
   * The package from upstream, unless it has come meanwhile; undefined when upstream hasn't got it. Resolves when there are
   * bytes that can be handed out: the first ones of a large package, a small one as soon as it was verified.
   *
   * @param open called once for all who ask at the same time, with a signal that aborts when nobody does any more; and
   * again when what it gave breaks off
   * @param expected What the package has to be, taken of whoever asks first
   * @throws SourceError `SOURCE_UNAVAILABLE` when the package breaks off or upstream falls silent too often, `INVALID_PACKAGE` when
   * it is none or another one, `LIMIT` when it is too long; what `open` throws; NuGetError `CLOSED`;
   * FeedUnavailableError when too many wait
   */
  async fetch(
    source: string,
    identity: PackageIdentity,
    open: OpenUpstream,
    expected: ExpectedPackage = {},
    call: FetchCall = {},
  ): Promise<PackageContent | undefined> {
    call.signal?.throwIfAborted();
    this.#assertOpen();
    const id = arrivalId(source, identity);
    let arrival = this.#arrivals.get(id);
    // Who joins costs upstream nothing: of all who ask at the same time one is a miss.
    let state: 'hit' | 'miss' = 'hit';
    if (arrival === undefined || arrival.isStopped || !arrival.join()) {
      state = 'miss';
      arrival = this.#begin(id, source, identity, open, expected, call);
      arrival.join();
    }
    let content: PackageContent | undefined;
    try {
      content = await this.#contentOf(arrival, state, call.signal);
      if (content === undefined) call.onNothing?.(state);
      return content;
    } finally {
      if (!(content instanceof ArrivingPackage)) await arrival.leave();
    }
  }

  /**
   * Stores a package that is in a file, which stays the caller's.
   *
   * @throws NuGetError `INVALID_PACKAGE`, `LIMIT`
   * @throws StoreError when it can't be stored
   */
  async adopt(
    source: string,
    identity: PackageIdentity,
    path: string,
    options: AdoptOptions = {},
  ): Promise<StoredPackage> {
    this.#assertOpen();
    const { signal, keep = false } = options;
    const work = this.#adopt(source, identity, path, keep, signal);
    this.#track(work.then(() => {}));
    return new StoredPackage(await work, this.#options.blobs);
  }

  /**
   * Never evicts a package from now on, whatever the patterns say; whether it is here. Cheap for one that is kept already,
   * which isn't looked at again.
   */
  async keep(source: string, identity: PackageIdentity): Promise<boolean> {
    this.#assertOpen();
    await this.#untilStored(source, identity, undefined);
    return this.#entries.keep(source, identity);
  }

  /**
   * What is never evicted of a source, whatever the patterns say, besides what is known: for who has lost his list of it.
   * Opens each of them.
   *
   * @param known `id/version` of packages, normalized and in lower case
   */
  keptBesides(source: string, known: Iterable<string>): AsyncIterable<PackageIdentity> {
    this.#assertOpen();
    return this.#entries.keptBesides(source, known);
  }

  /** Forgets a package, whose bytes go when their time has come; whether it was here. */
  async remove(source: string, identity: PackageIdentity): Promise<boolean> {
    this.#assertOpen();
    await this.#untilStored(source, identity, undefined);
    return this.#entries.remove(source, identity);
  }

  /** Ends what arrives, and waits for what is being stored. May be called twice. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    for (const arrival of this.#arrivals.values()) arrival.stop(closed());
    this.#backlog.close();
    await Promise.allSettled(this.#running);
    await this.#entries.settled();
  }

  #assertOpen(): void {
    if (this.#closing) throw closed();
  }

  async #untilStored(source: string, identity: PackageIdentity, signal: AbortSignal | undefined): Promise<void> {
    const arrival = this.#arrivals.get(arrivalId(source, identity));
    if (arrival?.state.name !== 'verified') return;
    arrival.hurry();
    while (arrival.state.name === 'verified') await progressOf(arrival, signal);
  }

  /** Waits until it is clear what becomes of it. */
  async #contentOf(
    arrival: Arrival,
    cache: 'hit' | 'miss',
    signal: AbortSignal | undefined,
  ): Promise<PackageContent | undefined> {
    while (arrival.state.name === 'asking') await progressOf(arrival, signal);
    const { state } = arrival;
    if (state.name === 'failed') throw state.error;
    if (state.name === 'stored') return new StoredPackage(state.entry, this.#options.blobs);
    return state.name === 'absent' ? undefined : new ArrivingPackage(arrival, cache);
  }

  #begin(
    id: string,
    source: string,
    identity: PackageIdentity,
    open: OpenUpstream,
    expected: ExpectedPackage,
    call: FetchCall,
  ): Arrival {
    const report = new DownloadReport(this.#options, source, identity, call);
    const passedOn = { span: report.span };
    const slots = this.#slotsOf(source);
    const { idleTimeoutMs } = this.#options;
    const arrival = new Arrival(new Spool(this.#folder), {
      ...this.#options,
      source,
      identity,
      expected,
      freeSpace: this.#freeSpace,
      idleTimeoutMs: typeof idleTimeoutMs === 'number' ? idleTimeoutMs : idleTimeoutMs(source),
      find: async () => {
        const entry = await this.#entries.find(source, identity, passedOn);
        return entry && isExpected(entry, expected) ? entry : undefined;
      },
      takeTurn: async (signal) => {
        await slots.take(signal);
        return () => slots.release();
      },
      open: (signal, rest) => open(signal, passedOn.span, rest),
      onBreak: (error) => report.broke(error),
      store: (entry, spool) => this.#storeArrived(source, identity, entry, spool, passedOn),
      later: (work) => this.#backlog.add(work),
      onVerified: (bytes) => report.verified(bytes),
    });
    this.#arrivals.set(id, arrival);
    this.#track(this.#run(id, arrival, report));
    return arrival;
  }

  async #run(id: string, arrival: Arrival, report: DownloadReport): Promise<void> {
    await arrival.run();
    if (this.#arrivals.get(id) === arrival) this.#arrivals.delete(id);
    report.ended(arrival);
  }

  /** What can't be stored is logged, and given to those who wait for it all the same. */
  async #storeArrived(
    source: string,
    identity: PackageIdentity,
    entry: PackageEntry,
    spool: Spool,
    call: FeedCall,
  ): Promise<void> {
    try {
      await this.#entries.store(source, identity, entry, spool, call);
    } catch (error) {
      const { id, version } = identity;
      this.#options.logger.warning('{PackageId} {Version} of {Source} was not stored', id, version, source, error);
    }
  }

  async #adopt(
    source: string,
    identity: PackageIdentity,
    path: string,
    keep: boolean,
    signal: AbortSignal | undefined,
  ): Promise<PackageEntry> {
    const { maxPackageBytes, clock } = this.#options;
    await verifyPackage(path, identity, { limits: PASSING_LIMITS, signal });
    const content = await hashFile(path, maxPackageBytes, signal);
    const entry = { ...content, storedAt: clock() };
    await this.#entries.store(source, identity, entry, { chunks: () => fileChunks(path) }, { signal }, keep);
    return entry;
  }

  #slotsOf(source: string): ArrivalSlots {
    const { maxArrivals, maxWaiting } = this.#options;
    let slots = this.#slots.get(source);
    if (slots === undefined) {
      const max = typeof maxArrivals === 'number' ? maxArrivals : maxArrivals(source);
      slots = new ArrivalSlots(source, max, maxWaiting);
      this.#slots.set(source, slots);
    }
    return slots;
  }

  #track(work: Promise<void>): void {
    const running = work.then(
      () => {},
      () => {},
    );
    this.#running.add(running);
    void running.then(() => this.#running.delete(running));
  }
}

function arrivalId(source: string, identity: PackageIdentity): string {
  return `${source}\n${packageKey(identity)}`;
}

/** Whether what is here is what the source says now. */
function isExpected({ digest, sha512 }: PackageEntry, { hash, size }: ExpectedPackage): boolean {
  if (size !== undefined && size !== digest.size) return false;
  return hash === undefined || !/^sha-?512$/i.test(hash.algorithm) || hash.value.trim() === sha512;
}

/** Resolves when there is something new. */
async function progressOf(arrival: Arrival, signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted();
  let abort = () => {};
  let wake = () => {};
  try {
    await new Promise<void>((resolve, reject) => {
      abort = () => reject(signal?.reason);
      wake = resolve;
      signal?.addEventListener('abort', abort, { once: true });
      arrival.onProgress(wake);
    });
  } finally {
    signal?.removeEventListener('abort', abort);
    arrival.offProgress(wake);
  }
}

function closed(): NuGetError {
  return new NuGetError('CLOSED', 'the package store is closed');
}
