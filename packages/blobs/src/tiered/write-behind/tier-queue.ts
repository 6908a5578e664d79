import { Backoff, isCircuitOpen, quietly } from '@granary/resilience';
import { StoreClosedError } from '../../errors.js';
import { isRemoteStoreError } from '../../remote/remote-store-error.js';
import { DropLog } from './drop-log.js';
import { isTierUnavailable, isUnfit } from './outage.js';
import { type QueuedContent, QueuedWrite } from './queued-write.js';
import type { DropReason, QueueContext, WriteBehindTarget } from './write-behind-queue.js';

/** Whoever asks to be left alone for a day is asked again earlier. */
const LONGEST_PAUSE_MS = 600_000;
/** How far ahead of a write that has to wait others are looked for. */
const LOOK_AHEAD = 1000;

/** The queue of one tier at one moment. */
export interface TierQueueStats {
  readonly tier: string;
  /** Writes that wait or are under way. */
  readonly depth: number;
  /** Bytes of their blobs. */
  readonly bytes: number;
  /** How long the oldest of them has waited; 0 when there is none. */
  readonly oldestMs: number;
  /** Writes that were given up since the start. */
  readonly dropped: number;
  /** Whether the tier is being left alone after failures. */
  readonly paused: boolean;
}

/** The writes that wait for one tier. */
export class TierQueue {
  readonly #tier: string;
  readonly #context: QueueContext;
  readonly #backoff: Backoff;
  readonly #dropLog: DropLog;
  /** In the order in which they are to be written. */
  readonly #waiting = new Map<string, QueuedWrite>();
  /** Those that failed because the tier did: they come first. */
  #again: QueuedWrite[] = [];
  readonly #running = new Map<string, { readonly write: QueuedWrite; readonly done: Promise<void> }>();
  #target: WriteBehindTarget | undefined;
  #bytes = 0;
  #dropped = 0;
  /** Failures since the last success. */
  #failures = 0;
  /** Pauses since the last success. */
  #pauses = 0;
  #pause: unknown;
  #settling: (() => void)[] = [];

  constructor(tier: string, context: QueueContext) {
    this.#tier = tier;
    this.#context = context;
    this.#backoff = new Backoff(context.backoff);
    this.#dropLog = new DropLog(tier, context.logger, context.timers);
  }

  get depth(): number {
    return this.#waiting.size + this.#again.length + this.#running.size;
  }

  stats(): TierQueueStats {
    const [first] = this.#waiting.values();
    const all = [
      ...this.#again,
      ...Array.from(this.#running.values(), ({ write }) => write),
      ...(first ? [first] : []),
    ];
    const oldest = all.reduce((since, write) => Math.min(since, write.since), Number.POSITIVE_INFINITY);
    return {
      tier: this.#tier,
      depth: this.depth,
      bytes: this.#bytes,
      oldestMs: all.length === 0 ? 0 : Math.max(0, this.#context.clock() - oldest),
      dropped: this.#dropped,
      paused: this.#pause !== undefined,
    };
  }

  start(target: WriteBehindTarget): void {
    this.#target = target;
    this.#pump();
  }

  /** Takes a write from the journal back. */
  restore(write: QueuedWrite): void {
    const before = this.#waiting.get(write.id);
    // An older result was under way when a newer one came.
    if (before) this.#finish(before);
    this.#enter(write);
  }

  /** Resolves when the write is kept, or is dropped for want of room. */
  add(content: QueuedContent): Promise<void> {
    const { limits, journal, clock, nextSequence } = this.#context;
    const write = new QueuedWrite(nextSequence(), this.#tier, content, clock());
    const before = this.#waiting.get(write.id) ?? this.#again.find(({ id }) => id === write.id);
    // A blob is the same whenever it is read; what is under way stays in the journal until the tier has it.
    const same = before ?? this.#running.get(write.id)?.write;
    if (same && write.isBlob) return same.kept;
    if (!before && (this.depth >= limits.maxEntries || this.#bytes + write.bytes > limits.maxBytes)) {
      this.#noteDrop(write, 'full');
      return Promise.resolve();
    }
    // A newer result may name blobs that were queued since.
    if (before) this.#forget(before);
    this.#enter(write);
    write.kept = journal.keep(write, before).catch((error: unknown) => {
      if (!this.#isWaiting(write)) throw error;
      this.#forget(write);
      if (before) this.#enter(before);
      throw error;
    });
    // Who waits hears of it; the promise is kept for those who come later.
    write.kept.catch(() => {});
    this.#pump();
    return write.kept;
  }

  /** Gives up everything that waits. */
  dropAll(reason: DropReason): void {
    for (const write of [...this.#again, ...this.#waiting.values()]) {
      this.#remove(write);
      this.#drop(write, reason);
    }
  }

  /** Resolves when there is nothing more to do for now. */
  settled(): Promise<void> {
    return this.#isSettled() ? Promise.resolve() : new Promise((resolve) => this.#settling.push(resolve));
  }

  /** Stops, as the context's signal says. Resolves when nothing is under way. */
  async stop(): Promise<void> {
    if (this.#pause !== undefined) this.#context.timers.clearTimeout(this.#pause);
    this.#pause = undefined;
    while (this.#running.size > 0) await Promise.all(Array.from(this.#running.values(), ({ done }) => done));
    this.#dropLog.close();
  }

  #isSettled(): boolean {
    if (this.#running.size > 0) return false;
    return this.depth === 0 || this.#pause !== undefined || this.#target === undefined;
  }

  #enter(write: QueuedWrite): void {
    this.#waiting.set(write.id, write);
    this.#bytes += write.bytes;
    this.#context.pins.pin(write.id);
    this.#tellDepth();
  }

  #isWaiting(write: QueuedWrite): boolean {
    return this.#waiting.get(write.id) === write || this.#again.includes(write);
  }

  /** Takes a write out of those that wait. */
  #remove(write: QueuedWrite): void {
    if (this.#waiting.get(write.id) === write) this.#waiting.delete(write.id);
    else if (this.#again.length > 0) this.#again = this.#again.filter((other) => other !== write);
  }

  /** Gives back what a write held. */
  #forget(write: QueuedWrite): void {
    this.#remove(write);
    this.#bytes -= write.bytes;
    this.#context.pins.unpin(write.id);
    this.#tellDepth();
  }

  #pump(): void {
    const target = this.#target;
    if (!target || this.#context.stopped.aborted) return;
    // After a failure one write shows whether the tier is well again.
    const parallel = this.#failures > 0 ? 1 : this.#context.limits.maxParallel;
    while (this.#pause === undefined && this.#running.size < parallel) {
      const write = this.#next();
      if (!write) break;
      this.#remove(write);
      this.#running.set(write.id, { write, done: this.#run(target, write) });
    }
    if (!this.#isSettled()) return;
    for (const resolve of this.#settling.splice(0)) resolve();
  }

  #next(): QueuedWrite | undefined {
    const oldestBlob = this.#oldestRunningBlob();
    const mayRun = (write: QueuedWrite) =>
      !this.#running.has(write.id) && (write.isBlob || write.sequence < oldestBlob);
    const again = this.#again.find(mayRun);
    if (again) return again;
    let looked = 0;
    for (const write of this.#waiting.values()) {
      if (mayRun(write)) return write;
      if (++looked >= LOOK_AHEAD) break;
    }
    return undefined;
  }

  #oldestRunningBlob(): number {
    let oldest = Number.POSITIVE_INFINITY;
    for (const { write } of this.#running.values()) if (write.isBlob) oldest = Math.min(oldest, write.sequence);
    return oldest;
  }

  async #run(target: WriteBehindTarget, write: QueuedWrite): Promise<void> {
    const { stopped, metrics } = this.#context;
    const start = performance.now();
    let failure: { readonly error: unknown } | undefined;
    let sent = false;
    let kept = false;
    try {
      // Only what is kept is sent: what could not be kept was refused.
      await write.kept;
      kept = true;
      sent = await this.#send(target, write);
    } catch (error) {
      failure = { error };
    }
    this.#running.delete(write.id);
    if (!failure) {
      this.#failures = 0;
      this.#pauses = 0;
      if (sent) this.#finish(write);
      else this.#drop(write, 'gone');
    } else if (!kept) {
      this.#forget(write);
    } else if (stopped.aborted) {
      // It stays in the journal for the next start.
      this.#again.push(write);
    } else {
      this.#failed(write, failure.error);
    }
    if (metrics.enabled !== false && kept && !stopped.aborted) {
      quietly(() => metrics.recordAsyncWrite(this.#tier, sent, performance.now() - start));
    }
    this.#pump();
  }

  #send(target: WriteBehindTarget, { content }: QueuedWrite): Promise<boolean> {
    const { stopped } = this.#context;
    if (stopped.aborted) throw new StoreClosedError();
    return 'blob' in content
      ? target.sendBlob(content.blob, stopped)
      : target.sendActionResult(content.actionResult, stopped);
  }

  #failed(write: QueuedWrite, error: unknown): void {
    const { limits, logger } = this.#context;
    // It says nothing about the tier, and what waits behind it must not wait for it.
    if (isUnfit(error)) {
      logger.debug('{Tier} has no place for {Content}', this.#tier, String(write), error);
      this.#drop(write, 'refused');
      return;
    }
    this.#failures++;
    const outage = isTierUnavailable(error);
    if (!outage && ++write.failures >= limits.maxRefusals) {
      logger.warning('{Tier} does not take {Content}, which is given up', this.#tier, String(write), error);
      this.#drop(write, 'refused');
    } else if (this.#waiting.has(write.id)) {
      // A newer result of the same action waits: that one will do.
      this.#finish(write);
    } else if (outage) {
      this.#again.push(write);
      this.#again.sort((a, b) => a.sequence - b.sequence);
    } else {
      this.#waiting.set(write.id, write);
    }
    if (outage || this.#failures >= limits.maxParallel) this.#beginPause(error);
  }

  #beginPause(error: unknown): void {
    if (this.#pause !== undefined) return;
    this.#pauses++;
    const { timers, logger } = this.#context;
    const asked = Math.min(askedWait(error) ?? 0, LONGEST_PAUSE_MS);
    const delayMs = Math.max(asked, this.#backoff.delayMs(this.#pauses));
    logger.debug('{Tier} is left alone for {Delay} ms', this.#tier, Math.round(delayMs), error);
    this.#pause = timers.setTimeout(() => {
      this.#pause = undefined;
      this.#pump();
    }, delayMs);
  }

  /** The write has been done, or is not needed any more. */
  #finish(write: QueuedWrite): void {
    this.#forget(write);
    this.#context.journal.remove(write).catch((error: unknown) => {
      this.#context.logger.warning('A write that was done will be done again after a restart', error);
    });
  }

  #drop(write: QueuedWrite, reason: DropReason): void {
    this.#finish(write);
    this.#noteDrop(write, reason);
  }

  #noteDrop(write: QueuedWrite, reason: DropReason): void {
    const { metrics, onDropped } = this.#context;
    this.#dropped++;
    if (metrics.enabled !== false) quietly(() => metrics.recordWriteDropped(this.#tier));
    quietly(() => onDropped(this.#tier, String(write), reason));
    this.#dropLog.note(reason);
  }

  #tellDepth(): void {
    const { metrics } = this.#context;
    if (metrics.enabled !== false) quietly(() => metrics.recordQueueDepth(this.#tier, this.depth));
  }
}

/** How long the tier, or its breaker, asked to be left alone. */
function askedWait(error: unknown): number | undefined {
  if (isRemoteStoreError(error)) return error.retryAfterMs;
  const cause = error instanceof Error ? error.cause : undefined;
  return isCircuitOpen(cause) ? cause.retryAfterMs : undefined;
}
