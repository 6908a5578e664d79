import type { Timers } from '@granary/resilience';
import type { Logger } from '@granary/telemetry';
import type { DropReason } from './write-behind-queue.js';

/** Drops are logged at most once in this time. */
const LOG_PERIOD_MS = 60_000;

/** Says in the log how many writes to a tier were dropped, and why: the first at once, those that follow together. */
export class DropLog {
  readonly #tier: string;
  readonly #logger: Logger;
  readonly #timers: Timers;
  readonly #unlogged = new Map<DropReason, number>();
  #timer: unknown;
  #closed = false;

  constructor(tier: string, logger: Logger, timers: Timers) {
    this.#tier = tier;
    this.#logger = logger;
    this.#timers = timers;
  }

  note(reason: DropReason): void {
    this.#unlogged.set(reason, (this.#unlogged.get(reason) ?? 0) + 1);
    if (this.#timer === undefined) this.#tell();
  }

  /** Says what has not been said; from now on nothing is gathered. */
  close(): void {
    this.#closed = true;
    if (this.#timer !== undefined) this.#timers.clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#tell();
  }

  #tell(): void {
    if (this.#unlogged.size === 0) return;
    for (const [reason, count] of this.#unlogged)
      this.#logger.error('{Count} writes to {Tier} were dropped ({Reason})', count, this.#tier, reason);
    this.#unlogged.clear();
    if (this.#closed) return;
    this.#timer = this.#timers.setTimeout(() => {
      this.#timer = undefined;
      this.#tell();
    }, LOG_PERIOD_MS);
  }
}
