import { noopSpan, type Span, type Tracer, withSpan } from '@granary/telemetry';
import type { MaybePromise } from './blob-store.js';
import type { KeyedLock } from './keyed-lock.js';

/**
 * What an operation can wait for: room for a blob, another change of the same entry, turns to sync; in front of tiers the
 * same fetch for somebody else, and turns to fetch.
 */
export type Wait = 'space' | 'lock' | 'sync' | 'singleflight' | 'queue';

/**
 * Shows in a request's trace where the store spends its time: `store.Read`, `store.Write`, `store.Sync` and
 * `store.Commit` are work of the disk, `store.Wait` is waiting for others. Each is made only below a span that records,
 * and a wait only when there was something to wait for.
 */
export class StoreSpans {
  readonly #tracer: Tracer;

  constructor(tracer: Tracer) {
    this.#tracer = tracer;
  }

  /** Does the work as a span of its own, which the work gets. */
  run<T>(name: string, parent: Span | undefined, work: (span: Span) => T): T {
    return parent?.recording ? withSpan(this.#tracer, name, { parent }, work) : work(noopSpan);
  }

  /** Begins a span that the caller ends. */
  start(name: string, parent: Span | undefined): Span {
    return parent?.recording ? this.#tracer.startSpan(name, { parent }) : noopSpan;
  }

  /** Begins a wait, which ends with its span. */
  wait(reason: Wait, parent: Span | undefined): Span {
    const span = this.start('store.Wait', parent);
    if (span.recording) span.setAttribute('store.waits_for', reason);
    return span;
  }

  /** Waits for what is being waited for. */
  async waited<T>(reason: Wait, parent: Span | undefined, work: MaybePromise<T>): Promise<T> {
    const span = this.wait(reason, parent);
    try {
      return await work;
    } catch (error) {
      span.recordError(error);
      throw error;
    } finally {
      span.end();
    }
  }

  /** Runs work under a lock. */
  locked<T>(locks: KeyedLock, key: string, parent: Span | undefined, work: () => Promise<T>): Promise<T> {
    if (!parent?.recording || !locks.isHeld(key)) return locks.run(key, work);
    const wait = this.wait('lock', parent);
    return locks.run(key, () => {
      wait.end();
      return work();
    });
  }
}
