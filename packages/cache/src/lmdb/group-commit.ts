import { setImmediate, setTimeout } from 'node:timers/promises';
import type { RootDatabase } from 'lmdb';

/** A commit that failed names its cause a moment later. */
const CAUSE_WAIT_MS = 100;

/** A transaction takes this many at most, since handing it over holds the event loop up. */
const MOST_WRITES = 1000;

interface Group {
  readonly writes: (() => void)[];
  readonly committed: Promise<void>;
}

/**
 * Gathers writes into transactions, those of one turn of the event loop and those that come while the transaction before
 * is under way; all of a transaction share its promise. A commit costs the same for one and for a hundred.
 *
 * LMDB's binding gathers writes by itself too, but when a commit fails it leaves a rejected promise that nobody can
 * handle, which ends the process. And when a second transaction is under way its promise may resolve a moment before the
 * thread that made it has let go of the database: who closes it then takes the process down. So there is only ever one.
 */
export class GroupCommit {
  readonly #root: RootDatabase<Buffer, Buffer>;
  readonly #failure: (cause: unknown) => unknown;
  /** The one that takes writes. */
  #open: Group | undefined;
  /** Settles with the last one, and never rejects. */
  #last: Promise<void> = Promise.resolve();
  #failed = false;

  /** @param failure what is thrown for a commit that failed, of what the database threw */
  constructor(root: RootDatabase<Buffer, Buffer>, failure: (cause: unknown) => unknown) {
    this.#root = root;
    this.#failure = failure;
  }

  /** Whether the last commit failed: then there is nothing of it to wait for. */
  get failed(): boolean {
    return this.#failed;
  }

  /**
   * Resolves when the write is committed: synced to the medium too, unless the database is open without syncing.
   *
   * @param write puts and removes; runs later, in the order of the calls
   * @throws what `failure` gave when the commit failed; nothing of it was written
   */
  add(write: () => void): Promise<void> {
    if (!this.#open || this.#open.writes.length >= MOST_WRITES) this.#open = this.#begin();
    this.#open.writes.push(write);
    return this.#open.committed;
  }

  /** Resolves when everything that was added has been committed or has failed, and LMDB has let go of it. */
  async idle(): Promise<void> {
    let last: Promise<void>;
    do {
      last = this.#last;
      await last;
    } while (last !== this.#last);
  }

  #begin(): Group {
    const writes: (() => void)[] = [];
    const committed = this.#commit(writes, this.#last);
    this.#last = committed.catch(() => {});
    return { writes, committed };
  }

  async #commit(writes: readonly (() => void)[], before: Promise<void>): Promise<void> {
    await setImmediate();
    await before;
    if (this.#open?.writes === writes) this.#open = undefined;
    try {
      await this.#root.batch(() => {
        for (const write of writes) write();
      });
      this.#failed = false;
    } catch (error) {
      this.#failed = true;
      throw this.#failure(await causeOf(error));
    }
  }
}

/** What a failed commit throws has its cause in a promise of its own. */
async function causeOf(error: unknown): Promise<unknown> {
  const reason = (error as { commitError?: Promise<unknown> }).commitError?.catch((cause: unknown) => cause);
  const cause = await Promise.race([reason, setTimeout(CAUSE_WAIT_MS)]);
  return cause instanceof Error ? cause : error;
}
