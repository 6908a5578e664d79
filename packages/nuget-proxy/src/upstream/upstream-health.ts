import type { NuGetError, NuGetErrorCode } from '@granary/nuget';
import type { Logger } from '@granary/telemetry';
import { isLeftAlone } from '../feed/upstream-failures.js';
import { forwardClock } from './answers/forward-clock.js';

/** How a source does, as far as it was asked. */
export interface UpstreamStatus {
  /** `slow`: it answers, but not soon; `down`: the last question failed; `limited`: it wants to be left alone. */
  readonly state: 'unknown' | 'up' | 'slow' | 'limited' | 'down' | 'offline';
  /** Milliseconds since 1970. */
  readonly lastSuccessAt: number | undefined;
  readonly lastFailureAt: number | undefined;
  /** What the last failure said; undefined since the last success. */
  readonly lastError: string | undefined;
}

/** Longest time for which a source is left alone because it says so. */
const MAX_PAUSE_MS = 60 * 60_000;

/** Complaints of one kind about a source are logged once in this time, in milliseconds. */
const SAY_AGAIN_MS = 60_000;

/** How long it is believed that a source is slow or down, in milliseconds: nobody else finds out when nobody asks. */
const SUSPECT_MS = 30_000;

/**
 * What the last answers of a source say about it. While it is slow or down nobody waits for it who has something stale, as
 * long as that was noticed lately: what was said hours ago is no reason to give what is as old.
 */
export class UpstreamHealth {
  readonly #source: string;
  readonly #staleAfterMs: number;
  readonly #clock: () => number;
  /** What pauses are measured by. */
  readonly #forwardClock: () => number;
  readonly #logger: Logger;
  #state: 'unknown' | 'up' | 'slow' | 'down' = 'unknown';
  #pausedUntil = 0;
  #suspectUntil = 0;
  #lastSuccessAt: number | undefined;
  #lastFailureAt: number | undefined;
  #lastError: string | undefined;
  /** When what was last complained about. */
  readonly #complaints = new Map<NuGetErrorCode, number>();

  constructor(source: string, staleAfterMs: number, clock: () => number, logger: Logger) {
    this.#source = source;
    this.#staleAfterMs = staleAfterMs;
    this.#clock = clock;
    this.#forwardClock = forwardClock(clock);
    this.#logger = logger;
  }

  get isSuspect(): boolean {
    const isTroubled = this.#state === 'slow' || this.#state === 'down';
    return (isTroubled && this.#forwardClock() < this.#suspectUntil) || this.pauseMs > 0;
  }

  /** For how much longer the source wants to be left alone, in milliseconds. */
  get pauseMs(): number {
    return this.#pausedUntil === 0 ? 0 : Math.max(0, this.#pausedUntil - this.#forwardClock());
  }

  pauseFor(ms: number): void {
    const until = this.#forwardClock() + Math.min(ms, MAX_PAUSE_MS);
    if (until <= this.#pausedUntil) return;
    if (this.pauseMs === 0)
      this.#logger.information('{Source} is left alone for {PauseMs} ms: it says so', this.#source, ms);
    this.#pausedUntil = until;
  }

  /** @param tookMs undefined where that says nothing of how soon it answers questions */
  succeeded(tookMs: number | undefined): void {
    const before = this.#state;
    if (before === 'down') this.#logger.information('{Source} answers again', this.#source);
    this.#lastSuccessAt = this.#clock();
    this.#lastError = undefined;
    if (tookMs === undefined && before === 'slow') return;
    this.#state = tookMs !== undefined && tookMs > this.#staleAfterMs ? 'slow' : 'up';
    this.#suspect();
  }

  failed(error: unknown): void {
    this.#suspect();
    // Why it is left alone was said by the failure before.
    if (this.#state === 'down' && isLeftAlone(error)) return;
    if (this.#state !== 'down') {
      this.#logger.warning('{Source} fails; what is known of it is answered as it was', this.#source, error);
    }
    this.#lastFailureAt = this.#clock();
    this.#lastError = error instanceof Error ? error.message : String(error);
    this.#state = 'down';
  }

  /** An answer of the source was of no use; others of it may be. */
  wasUseless(error: NuGetError): void {
    const now = this.#forwardClock();
    this.#lastFailureAt = this.#clock();
    this.#lastError = error.message;
    if (now - (this.#complaints.get(error.code) ?? Number.NEGATIVE_INFINITY) < SAY_AGAIN_MS) return;
    this.#complaints.set(error.code, now);
    this.#logger.warning('{Source} gave an answer that is of no use', this.#source, error);
  }

  /** Somebody was answered with something stale because it took so long. */
  tookTooLong(): void {
    if (this.#state !== 'down') this.#state = 'slow';
    this.#suspect();
  }

  #suspect(): void {
    this.#suspectUntil = this.#forwardClock() + SUSPECT_MS;
  }

  status(offline: boolean): UpstreamStatus {
    const state = this.pauseMs > 0 ? 'limited' : this.#state;
    return {
      state: offline ? 'offline' : state,
      lastSuccessAt: this.#lastSuccessAt,
      lastFailureAt: this.#lastFailureAt,
      lastError: this.#lastError,
    };
  }
}
