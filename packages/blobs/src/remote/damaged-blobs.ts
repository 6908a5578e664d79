import type { Logger } from '@granary/telemetry';
import { blobKeyOf } from '../blob-key.js';
import type { BlobStore } from '../blob-store.js';
import { withVerification } from '../decorators/verified-store.js';
import type { Digest } from '../digest.js';

/** Blobs that wait to be looked at; of more, who reads them next tells again. */
const MOST_WAITING = 100;
/** For one look, which is given up then. */
const LOOK_MS = 5 * 60_000;

/**
 * Takes what was delivered damaged out of a store that others use, too: as long as the store says that it has the blob,
 * nobody gives it the right one. Each is read once more first, because the fault may have been on the way, or with who
 * read it. One after the other, in the background.
 */
export class DamagedBlobs {
  readonly #store: BlobStore;
  readonly #logger: Logger;
  readonly #waiting = new Map<string, Digest>();
  readonly #closed = new AbortController();
  #running: Promise<void> | undefined;

  constructor(store: BlobStore, logger: Logger) {
    this.#store = store;
    this.#logger = logger;
  }

  /** Never fails; what can't be looked at or removed stays. */
  report(digest: Digest): void {
    if (this.#closed.signal.aborted || this.#waiting.size >= MOST_WAITING) return;
    this.#waiting.set(blobKeyOf(digest), digest);
    this.#running ??= this.#lookAtAll();
  }

  /** Ends the look that is under way. */
  async close(): Promise<void> {
    this.#closed.abort();
    await this.#running;
  }

  async #lookAtAll(): Promise<void> {
    // Who reported is not to wait for any of it.
    await Promise.resolve();
    for (const [key, digest] of this.#waiting) {
      this.#waiting.delete(key);
      if (this.#closed.signal.aborted) continue;
      try {
        if ((await this.#isDamaged(digest)) && (await this.#store.delete(digest)))
          this.#logger.warning(
            '{Digest} was damaged in {Tier} and has been removed there',
            `${digest}`,
            this.#store.name,
          );
      } catch (error) {
        this.#logger.debug('{Digest} may be damaged in {Tier}', `${digest}`, this.#store.name, error);
      }
    }
    this.#running = undefined;
  }

  /** @throws where it can't be told */
  async #isDamaged(digest: Digest): Promise<boolean> {
    let reason: string | undefined;
    const store = withVerification(this.#store, (_, said) => {
      reason = said;
    });
    const signal = AbortSignal.any([this.#closed.signal, AbortSignal.timeout(LOOK_MS)]);
    try {
      const reader = await store.read(digest, { signal });
      try {
        while (await reader?.next());
      } finally {
        await reader?.close();
      }
    } catch (error) {
      if (reason === undefined) throw error;
    }
    return reason !== undefined;
  }
}
