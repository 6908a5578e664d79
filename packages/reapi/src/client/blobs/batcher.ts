import type { OperationOptions } from '@granary/blobs';

/** What fits into one call. */
export interface BatchLimits {
  readonly maxCount: number;
  readonly maxBytes: number;
}

/** A batch's items, which share the digest function and the way that their requests came. */
export interface Batch<Item> {
  readonly items: readonly Item[];
  /** Ends with the last caller who wants something of the batch. */
  readonly options: OperationOptions;
}

export interface BatcherOptions<Item, Result> {
  readonly limits: () => BatchLimits;
  /** One result for each item, in their order; an error is that item's alone. What it throws is everyone's. */
  readonly send: (batch: Batch<Item>) => Promise<readonly (Result | Error)[]>;
  /** How long a first item waits for others while another batch is under way, in milliseconds. */
  readonly delayMs: number;
  /** Most blobs that wait to be sent. */
  readonly maxWaiting: number;
  /** The error for one who can't even wait. */
  readonly onFull: () => Error;
}

/** Something that belongs into a batch. */
export interface Submission<Item> {
  readonly item: Item;
  /** Items of different lanes never travel together. */
  readonly lane: string;
  /** How many blobs it stands for. */
  readonly count: number;
  /** What it takes of a batch's bytes. */
  readonly bytes: number;
}

interface Entry<Item, Result> extends Submission<Item> {
  readonly options: OperationOptions | undefined;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
  leave: () => void;
}

interface Lane<Item, Result> {
  entries: Entry<Item, Result>[];
  count: number;
  bytes: number;
}

/** Batches under way at a time; while all are, the next ones grow. */
const MAX_IN_FLIGHT = 8;

/**
 * Gathers what many callers want at the same time into few calls. Who comes first to a quiet client waits for the end of
 * this turn of the event loop and no longer; under load, batches grow while others are under way.
 */
export class Batcher<Item, Result> {
  readonly #options: BatcherOptions<Item, Result>;
  readonly #lanes = new Map<string, Lane<Item, Result>>();
  readonly #flying = new Set<AbortController>();
  #waiting = 0;
  #immediate: NodeJS.Immediate | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: BatcherOptions<Item, Result>) {
    this.#options = options;
  }

  submit(submission: Submission<Item>, options: OperationOptions | undefined): Promise<Result> {
    const signal = options?.signal;
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (this.#waiting > 0 && this.#waiting + submission.count > this.#options.maxWaiting)
      return Promise.reject(this.#options.onFull());
    return new Promise<Result>((resolve, reject) => {
      const abort = () => {
        entry.reject(signal?.reason);
        entry.leave();
      };
      const settled = () => signal?.removeEventListener('abort', abort);
      const entry: Entry<Item, Result> = {
        ...submission,
        options,
        resolve: (result) => {
          settled();
          resolve(result);
        },
        reject: (error) => {
          settled();
          reject(error);
        },
        leave: () => this.#remove(entry),
      };
      signal?.addEventListener('abort', abort);
      this.#add(entry);
    });
  }

  /** Rejects everyone who waits, and ends what is under way. */
  close(reason: unknown): void {
    for (const lane of [...this.#lanes.values()]) for (const entry of lane.entries) entry.reject(reason);
    this.#lanes.clear();
    this.#waiting = 0;
    this.#disarm();
    for (const batch of this.#flying) batch.abort(reason);
  }

  #add(entry: Entry<Item, Result>): void {
    let lane = this.#lanes.get(entry.lane);
    if (!lane) {
      lane = { entries: [], count: 0, bytes: 0 };
      this.#lanes.set(entry.lane, lane);
    }
    lane.entries.push(entry);
    lane.count += entry.count;
    lane.bytes += entry.bytes;
    this.#waiting += entry.count;
    const { maxCount, maxBytes } = this.#options.limits();
    if (lane.count >= maxCount || lane.bytes >= maxBytes) this.#flush();
    else this.#arm();
  }

  #remove(entry: Entry<Item, Result>): void {
    const lane = this.#lanes.get(entry.lane);
    const at = lane?.entries.indexOf(entry) ?? -1;
    if (!lane || at < 0) return;
    lane.entries.splice(at, 1);
    this.#forget(lane, entry);
    if (lane.entries.length === 0) this.#lanes.delete(entry.lane);
    if (this.#waiting === 0) this.#disarm();
  }

  #forget(lane: Lane<Item, Result>, { count, bytes }: Entry<Item, Result>): void {
    lane.count -= count;
    lane.bytes -= bytes;
    this.#waiting -= count;
  }

  #arm(): void {
    if (this.#flying.size === 0) this.#immediate ??= setImmediate(this.#flush);
    else if (this.#flying.size < MAX_IN_FLIGHT) this.#timer ??= setTimeout(this.#flush, this.#options.delayMs);
  }

  #disarm(): void {
    clearImmediate(this.#immediate);
    clearTimeout(this.#timer);
    this.#immediate = undefined;
    this.#timer = undefined;
  }

  /** Sends what there is room for; what stays waits for a batch to return. */
  readonly #flush = (): void => {
    this.#disarm();
    for (const [name, lane] of this.#lanes) {
      if (this.#flying.size >= MAX_IN_FLIGHT) return;
      const entries = this.#take(lane);
      // One that has more goes behind the others, and is met again by this loop.
      this.#lanes.delete(name);
      if (lane.entries.length > 0) this.#lanes.set(name, lane);
      void this.#send(entries);
    }
  };

  #take(lane: Lane<Item, Result>): Entry<Item, Result>[] {
    const { maxCount, maxBytes } = this.#options.limits();
    let count = 0;
    let bytes = 0;
    let end = 0;
    for (const entry of lane.entries) {
      if (end > 0 && (count + entry.count > maxCount || bytes + entry.bytes > maxBytes)) break;
      count += entry.count;
      bytes += entry.bytes;
      end++;
      this.#forget(lane, entry);
    }
    return lane.entries.splice(0, end);
  }

  async #send(entries: readonly Entry<Item, Result>[]): Promise<void> {
    const flight = new AbortController();
    let wanted = entries.length;
    for (const entry of entries)
      entry.leave = () => {
        if (--wanted === 0) flight.abort(new Error('nobody wants the answer any more'));
      };
    this.#flying.add(flight);
    try {
      const span = entries.find(({ options }) => options?.span?.recording)?.options?.span;
      const results = await this.#options.send({
        items: entries.map(({ item }) => item),
        options: { signal: flight.signal, span, via: entries[0]?.options?.via },
      });
      for (const [i, entry] of entries.entries()) {
        const result = results[i] as Result | Error;
        if (result instanceof Error) entry.reject(result);
        else entry.resolve(result);
      }
    } catch (error) {
      for (const entry of entries) entry.reject(error);
    } finally {
      this.#flying.delete(flight);
      if (this.#waiting > 0) this.#flush();
    }
  }
}

/** Of a digest function and of the servers that a request has passed: their requests can't be one. */
export function laneOf(fn: string, options: OperationOptions | undefined): string {
  return options?.via?.length ? `${fn} ${options.via.join(',')}` : fn;
}
