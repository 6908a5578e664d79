import { type Timers, withTimeout } from '@granary/resilience';
import type { MaybePromise } from '../layer.js';
import { Flush } from './flush.js';
import { type Change, KeyLine, PendingWrite, ReadyList, WaitingWrite } from './pending-write.js';

export interface WriteQueueOptions {
  readonly maxEntries: number;
  readonly maxBytes: number;
  readonly maxWaitMs: number;
  readonly maxWaiting: number;
  readonly timers: Timers;
  /** There is a change that can start. */
  readonly onReady: () => void;
  readonly onDepth: (depth: number) => void;
  readonly onDrop: () => void;
}

/**
 * Changes on their way to a layer: who has room, who waits for it, whose turn it is, and what replaces what. A change
 * takes room from when it is accepted until it is done.
 */
export class WriteQueue<V> {
  readonly #options: WriteQueueOptions;
  readonly #lines = new Map<string, KeyLine<V>>();
  readonly #ready = new ReadyList<V>();
  /** By key, in the order in which they came. A newer change to the key of one who waits takes that one's place. */
  readonly #waiting = new Map<string, WaitingWrite<V>>();
  readonly #flushes = new Set<Flush>();
  #lastTurn = 0;
  #depth = 0;
  #bytes = 0;
  #superseded = 0;

  constructor(options: WriteQueueOptions) {
    this.#options = options;
  }

  get depth(): number {
    return this.#depth;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  get superseded(): number {
    return this.#superseded;
  }

  get hasReady(): boolean {
    return !this.#ready.isEmpty;
  }

  /** Whether the change is accepted: at once, after a wait for room, or not at all. */
  offer(key: string, change: Change<V>, bytes: number, signal: AbortSignal | undefined): MaybePromise<boolean> {
    const waiting = this.#waiting.get(key);
    const queued = this.#lines.get(key)?.queued;
    if (waiting === undefined && queued !== undefined && this.#replace(queued, change, bytes)) {
      this.#admit();
      return true;
    }
    if (this.#waiting.size === 0 && queued === undefined && this.#hasRoom(bytes)) {
      this.#enqueue(key, new PendingWrite(++this.#lastTurn, change, bytes));
      return true;
    }
    const { maxWaitMs, maxWaiting, onDrop } = this.#options;
    if (maxWaitMs > 0 && (waiting !== undefined || this.#waiting.size < maxWaiting)) {
      return this.#wait(key, new PendingWrite(waiting?.write.turn ?? ++this.#lastTurn, change, bytes), signal);
    }
    onDrop();
    return false;
  }

  /** The key whose turn it is; its change counts as under way until {@link done}. */
  next(): KeyLine<V> | undefined {
    const line = this.#ready.shift();
    if (line === undefined) return undefined;
    line.running = line.queued;
    line.queued = undefined;
    return line;
  }

  done(line: KeyLine<V>, written: boolean): void {
    const { running } = line;
    line.running = undefined;
    if (line.queued === undefined) this.#lines.delete(line.key);
    else this.#pushReady(line);
    if (running !== undefined) this.#leave(running, written);
    this.#admit();
  }

  /** The newest change of a key that isn't done. One that waits for room may have taken the place of an accepted one. */
  newest(key: string): Change<V> | undefined {
    const line = this.#lines.get(key);
    return (this.#waiting.get(key)?.write ?? line?.queued ?? line?.running)?.change;
  }

  /** Resolves when what has been offered so far is done: with true if all of it was written. */
  startFlush(): Flush | undefined {
    const left = this.#depth + this.#waiting.size;
    if (left === 0) return undefined;
    const flush = new Flush(this.#lastTurn, left);
    this.#flushes.add(flush);
    return flush;
  }

  endFlush(flush: Flush): void {
    this.#flushes.delete(flush);
  }

  /** Takes out all that hasn't started, because something else makes it needless. */
  supersedeAll(): void {
    this.#superseded += this.#takeOut(true);
  }

  /** Takes out all that hasn't started, because nobody will write it any more. */
  dropAll(): void {
    for (let left = this.#takeOut(false); left > 0; left--) this.#options.onDrop();
  }

  #hasRoom(bytes: number): boolean {
    return this.#depth < this.#options.maxEntries && this.#bytes + bytes <= this.#options.maxBytes;
  }

  #enqueue(key: string, write: PendingWrite<V>): void {
    let line = this.#lines.get(key);
    if (line === undefined) {
      line = new KeyLine(key);
      this.#lines.set(key, line);
    }
    line.queued = write;
    this.#bytes += write.bytes;
    this.#options.onDepth(++this.#depth);
    if (line.running === undefined) this.#pushReady(line);
  }

  /** Puts a newer change in the place of one that hasn't started, if there is room for it. */
  #replace(queued: PendingWrite<V>, change: Change<V>, bytes: number): boolean {
    const all = this.#bytes - queued.bytes + bytes;
    if (all > this.#options.maxBytes) return false;
    this.#bytes = all;
    queued.change = change;
    queued.bytes = bytes;
    this.#superseded++;
    return true;
  }

  #wait(key: string, write: PendingWrite<V>, signal: AbortSignal | undefined): Promise<boolean> {
    const { maxWaitMs, timers } = this.#options;
    const waiting = new WaitingWrite(write);
    const earlier = this.#waiting.get(key);
    this.#waiting.set(key, waiting);
    if (earlier !== undefined) {
      this.#superseded++;
      earlier.settle(true);
      // The newer one may need less room.
      this.#admit();
    }
    return withTimeout(() => waiting.answer, maxWaitMs, { signal, timers }).catch((error: unknown) => {
      // The answer may come in the same moment as the end of the wait.
      if (waiting.isAnswered) return waiting.answer;
      this.#waiting.delete(key);
      this.#endTurn(write, false);
      this.#admit();
      if (signal?.aborted) throw error;
      this.#options.onDrop();
      return false;
    });
  }

  /** Lets in who waits, in the order in which they came, as far as there is room. */
  #admit(): void {
    for (const [key, waiting] of this.#waiting) {
      const { write } = waiting;
      const queued = this.#lines.get(key)?.queued;
      if (queued !== undefined) {
        if (!this.#replace(queued, write.change, write.bytes)) return;
        this.#endTurn(write, true);
      } else if (this.#hasRoom(write.bytes)) this.#enqueue(key, write);
      else return;
      this.#waiting.delete(key);
      waiting.settle(true);
    }
  }

  #pushReady(line: KeyLine<V>): void {
    this.#ready.push(line);
    this.#options.onReady();
  }

  /** A change gives its room back. */
  #leave(write: PendingWrite<V>, written: boolean): void {
    this.#bytes -= write.bytes;
    this.#options.onDepth(--this.#depth);
    this.#endTurn(write, written);
  }

  #endTurn({ turn }: PendingWrite<V>, written: boolean): void {
    for (const flush of this.#flushes) if (flush.ended(turn, written)) this.#flushes.delete(flush);
  }

  #takeOut(accepted: boolean): number {
    let taken = this.#waiting.size;
    for (const waiting of this.#waiting.values()) {
      waiting.settle(accepted);
      this.#endTurn(waiting.write, false);
    }
    this.#waiting.clear();
    this.#ready.clear();
    for (const line of this.#lines.values()) {
      const { queued } = line;
      if (queued === undefined) continue;
      taken++;
      line.queued = undefined;
      if (line.running === undefined) this.#lines.delete(line.key);
      this.#leave(queued, false);
    }
    return taken;
  }
}
