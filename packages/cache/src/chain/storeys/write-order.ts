import { InFlight } from '@granary/resilience';
import type { MaybePromise } from '../../layer.js';
import { Failed } from './outcomes.js';

/** What a key will be when a write is done: a value, or absent. */
export interface Change<V> {
  /** Undefined: the key is being deleted. */
  readonly value: V | undefined;
  readonly expiresAt: number | undefined;
}

const ABSENT: Change<never> = { value: undefined, expiresAt: undefined };

interface Queued<V> {
  change: Change<V>;
  perform: () => MaybePromise<unknown>;
  readonly done: Promise<unknown>;
  readonly settle: (result: MaybePromise<unknown>) => void;
}

/** The writes of one key that a layer hasn't answered yet: one under way and at most one after it. */
class Lane<V> {
  change: Change<V>;
  queued: Queued<V> | undefined;
  done: Promise<void> = Promise.resolve();

  constructor(change: Change<V>) {
    this.change = change;
  }
}

/**
 * Keeps the writes of each key to a slow layer in their order: two that are under way at once may arrive in any. The
 * newest replaces the one that waits. What is under way can be read here, because the layer may still answer what was
 * there before. Layers that answer at once pass through without leaving anything.
 */
export class WriteOrder<V> {
  #lanes = new InFlight<string, Lane<V>>();
  #clearing: Promise<void> | undefined;

  /** Whether the layer has answered everything. */
  get isIdle(): boolean {
    return this.#lanes.size === 0 && this.#clearing === undefined;
  }

  /** Resolves when the writes so far are done. */
  async idle(): Promise<void> {
    await Promise.all([...this.#lanes.values()].map((lane) => lane.done));
    await this.#clearing;
  }

  has(key: string): boolean {
    return this.#lanes.has(key) || this.#clearing !== undefined;
  }

  /** What the newest write of this key that isn't done will leave, or undefined when the layer has answered them all. */
  latest(key: string): Change<V> | undefined {
    const lane = this.#lanes.get(key);
    if (lane !== undefined) return lane.queued?.change ?? lane.change;
    return this.#clearing === undefined ? undefined : ABSENT;
  }

  /** A write of this key is under way. */
  began(key: string, change: Change<V>, done: Promise<unknown>): void {
    this.#open(key, change, done);
  }

  /**
   * Performs a write when those before it are done; only for a key that {@link has} some. Where a newer one has replaced
   * it, its outcome is that one's, but for what was up to that one alone.
   */
  async enqueue(key: string, change: Change<V>, perform: () => MaybePromise<unknown>): Promise<unknown> {
    const lane = this.#lanes.get(key) ?? this.#open(key, ABSENT, this.#clearing ?? Promise.resolve());
    lane.queued ??= queued(change, perform);
    const { queued: mine } = lane;
    mine.change = change;
    mine.perform = perform;
    const result = await mine.done;
    return mine.perform !== perform && result instanceof Failed && result.isOwn ? undefined : result;
  }

  /** Performs what empties the layer after all writes so far and before all that follow. Until then every key is absent. */
  clear(perform: () => MaybePromise<unknown>): Promise<void> {
    const before = [...this.#lanes.values()].map((lane) => lane.done);
    if (this.#clearing !== undefined) before.push(this.#clearing);
    this.#lanes = new InFlight();
    const cleared = Promise.all(before).then(async () => {
      await perform();
    });
    const clearing: Promise<void> = cleared
      .catch(() => {})
      .then(() => {
        if (this.#clearing === clearing) this.#clearing = undefined;
      });
    this.#clearing = clearing;
    return cleared;
  }

  #open(key: string, change: Change<V>, running: Promise<unknown>): Lane<V> {
    const lane = new Lane(change);
    this.#lanes.set(key, lane);
    lane.done = this.#drain(this.#lanes, key, lane, running);
    return lane;
  }

  async #drain(lanes: InFlight<string, Lane<V>>, key: string, lane: Lane<V>, running: Promise<unknown>): Promise<void> {
    await running.catch(() => {});
    for (let next = lane.queued; next !== undefined; next = lane.queued) {
      lane.queued = undefined;
      lane.change = next.change;
      const result = attempt(next.perform);
      next.settle(result);
      await result.catch(() => {});
    }
    lanes.delete(key);
  }
}

function queued<V>(change: Change<V>, perform: () => MaybePromise<unknown>): Queued<V> {
  let settle: Queued<V>['settle'] = () => {};
  const done = new Promise<unknown>((resolve) => {
    settle = resolve;
  });
  done.catch(() => {});
  return { change, perform, done, settle };
}

async function attempt(perform: () => MaybePromise<unknown>): Promise<unknown> {
  return perform();
}
