/** How a source does, as far as it was asked. */
export interface UpstreamStatus {
  /** `slow`: it answers, but not soon; `down`: the last question failed. */
  readonly state: 'unknown' | 'up' | 'slow' | 'down' | 'offline';
  /** Milliseconds since 1970. */
  readonly lastSuccessAt: number | undefined;
  readonly lastFailureAt: number | undefined;
  /** What the last failure said; undefined since the last success. */
  readonly lastError: string | undefined;
}

/** What the last answers of a source say about it. While it is slow or down nobody waits for it who has something stale. */
export class UpstreamHealth {
  readonly #staleAfterMs: number;
  #state: 'unknown' | 'up' | 'slow' | 'down' = 'unknown';
  #lastSuccessAt: number | undefined;
  #lastFailureAt: number | undefined;
  #lastError: string | undefined;

  constructor(staleAfterMs: number) {
    this.#staleAfterMs = staleAfterMs;
  }

  get isSuspect(): boolean {
    return this.#state === 'slow' || this.#state === 'down';
  }

  succeeded(now: number, tookMs: number): void {
    this.#lastSuccessAt = now;
    this.#lastError = undefined;
    this.#state = tookMs > this.#staleAfterMs ? 'slow' : 'up';
  }

  failed(now: number, error: unknown): void {
    this.#lastFailureAt = now;
    this.#lastError = error instanceof Error ? error.message : String(error);
    this.#state = 'down';
  }

  /** Somebody was answered with something stale because it took so long. */
  tookTooLong(): void {
    if (this.#state !== 'down') this.#state = 'slow';
  }

  status(offline: boolean): UpstreamStatus {
    return {
      state: offline ? 'offline' : this.#state,
      lastSuccessAt: this.#lastSuccessAt,
      lastFailureAt: this.#lastFailureAt,
      lastError: this.#lastError,
    };
  }
}
