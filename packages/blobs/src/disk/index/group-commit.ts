import { setImmediate, setTimeout } from 'node:timers/promises';
import type { RootDatabase } from 'lmdb';
import { storeFailure } from '../failure.js';

/** A commit that failed names its cause a moment later. */
const CAUSE_WAIT_MS = 100;

/**
 * Gathers the writes of one turn of the event loop into one transaction, whose promise all of them share: a commit
 * costs the same for one and for a hundred. LMDB's binding does that by itself too, but when a commit fails it leaves
 * a rejected promise that nobody can handle, which ends the process.
 */
export class GroupCommit {
  readonly #root: RootDatabase<Buffer, Buffer>;
  #writes: (() => void)[] = [];
  #commit: Promise<void> | undefined;
  #failed = false;

  constructor(root: RootDatabase<Buffer, Buffer>) {
    this.#root = root;
  }

  /** Whether the last commit failed: then there is nothing of it to wait for. */
  get failed(): boolean {
    return this.#failed;
  }

  /**
   * @param write puts and removes; runs later, in the order of the calls
   * @throws StoreError when the commit failed; nothing of it was written
   */
  add(write: () => void): Promise<void> {
    this.#writes.push(write);
    this.#commit ??= this.#begin();
    return this.#commit;
  }

  /** Resolves when everything that was added has been committed or has failed. */
  async idle(): Promise<void> {
    while (this.#commit) await this.#commit.catch(() => {});
  }

  async #begin(): Promise<void> {
    await setImmediate();
    const writes = this.#writes;
    this.#writes = [];
    this.#commit = undefined;
    try {
      await this.#root.batch(() => {
        for (const write of writes) write();
      });
      this.#failed = false;
    } catch (error) {
      this.#failed = true;
      throw storeFailure(await causeOf(error), 'cannot write to the index');
    }
  }
}

/** What a failed commit throws has its cause in a promise of its own. */
async function causeOf(error: unknown): Promise<unknown> {
  const reason = (error as { commitError?: Promise<unknown> }).commitError?.catch((cause: unknown) => cause);
  const cause = await Promise.race([reason, setTimeout(CAUSE_WAIT_MS)]);
  return cause instanceof Error ? cause : error;
}
