import { isTimeout } from '@granary/cache';
import { isNuGetError, type Provider, SourceCacheContext, type SourceError } from '@granary/nuget';
import { nodeTimers, type Timers, withTimeout } from '@granary/resilience';
import type { Span } from '@granary/telemetry';
import { FeedUnavailableError } from '../errors.js';
import { isBeingProbed, isOutage, isUseless, OFFLINE, retryAfterMsOf } from '../feed/upstream-failures.js';
import { pause } from '../pause.js';
import type { Upstream } from './upstream-feed-options.js';
import type { UpstreamHealth } from './upstream-health.js';

export interface UpstreamCallsOptions {
  readonly source: string;
  readonly upstream: Upstream;
  readonly health: UpstreamHealth;
  /** How long a call may wait until the source wants to be asked, in milliseconds. */
  readonly maxWaitMs: number;
  readonly offline: boolean;
  readonly clock: () => number;
  readonly timers: Timers | undefined;
}

/** What goes with a question to the source. */
export interface UpstreamCall {
  readonly signal?: AbortSignal | undefined;
  readonly span?: Span | undefined;
}

/** What a provider is called with. */
export type ProviderCall = UpstreamCall & { readonly cacheContext: SourceCacheContext };

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 8000;
/** For sources that say that it is too much, or not now, without saying for how long. */
const MAX_VAGUE_REFUSALS = 4;
const TOO_MANY_REQUESTS = 429;
const SERVICE_UNAVAILABLE = 503;

/**
 * All that a source is asked. When it wants to be left alone (429, or `Retry-After`), nobody asks it until the time is
 * over: those that can wait so long do, and all others are told at once that it can't be asked.
 */
export class UpstreamCalls {
  readonly #options: UpstreamCallsOptions;
  readonly #timers: Timers;
  /** Always asks the source, which confirms what its client has cached. */
  readonly #context = new SourceCacheContext({ maxAgeMs: 0 });

  constructor(options: UpstreamCallsOptions) {
    this.#options = options;
    this.#timers = options.timers ?? nodeTimers;
  }

  /**
   * @param about - `change` for what a client wants done: who refuses that says nothing of how the source does
   * @throws FeedUnavailableError when the source wants to be left alone for longer than anybody waits, or must not be
   * asked at all
   * @throws SourceError and whatever else the provider ends with
   */
  async run<T>(
    call: UpstreamCall,
    work: (provider: Provider, call: ProviderCall) => Promise<T>,
    about: 'answer' | 'change' = 'answer',
  ): Promise<T> {
    const { source, upstream, clock, maxWaitMs, offline } = this.#options;
    if (offline) throw new FeedUnavailableError(source, OFFLINE);
    const patientUntil = clock() + maxWaitMs;
    for (let attempt = 1; ; attempt++) {
      await this.#untilWelcome(call.signal, patientUntil);
      const start = clock();
      try {
        const provider = await upstream.provider({ signal: call.signal, span: call.span });
        const answer = await work(provider, { ...call, cacheContext: this.#context });
        // To look at a package takes any feed longer than to answer a question.
        this.#options.health.succeeded(about === 'change' ? undefined : clock() - start);
        return answer;
      } catch (error) {
        const waitMs = this.#waitAfter(error, attempt, call.signal);
        if (waitMs === undefined && about === 'answer' && isUseless(error)) {
          // Who refuses this server refuses it everything.
          if (error.code === 'UNAUTHORIZED') this.#options.health.failed(error);
          else this.#options.health.wasUseless(error);
        }
        if (waitMs === undefined || clock() + waitMs > patientUntil) throw error;
        await pause(waitMs, this.#timers, call.signal);
      }
    }
  }

  /**
   * {@link run}, but for `maxWaitMs` at most, until there is an answer: what comes then may take its time.
   *
   * @throws TimeoutError
   */
  runInTime<T>(
    { signal, span }: UpstreamCall,
    work: (provider: Provider, call: ProviderCall) => Promise<T>,
  ): Promise<T> {
    const { maxWaitMs } = this.#options;
    const limits = { signal, timers: this.#timers };
    return withTimeout((timed) => this.run({ signal: timed.signal, span }, work), maxWaitMs, limits);
  }

  async #untilWelcome(signal: AbortSignal | undefined, patientUntil: number): Promise<void> {
    const { health, source, clock } = this.#options;
    for (let pauseMs = health.pauseMs; pauseMs > 0; pauseMs = health.pauseMs) {
      if (clock() + pauseMs > patientUntil) {
        throw new FeedUnavailableError(source, 'it wants to be left alone', { retryAfterMs: pauseMs });
      }
      await pause(pauseMs, this.#timers, signal);
    }
  }

  /** How long to wait before it is asked again, if that may help. */
  #waitAfter(error: unknown, attempt: number, signal: AbortSignal | undefined): number | undefined {
    const { health } = this.#options;
    if (signal?.aborted) {
      // Nobody waits any more: that says something about the source only when it was asked for too long.
      if (isTimeout(signal.reason)) health.failed(signal.reason);
      return undefined;
    }
    const growingMs = Math.min(FIRST_WAIT_MS * 2 ** (attempt - 1), LONGEST_WAIT_MS);
    if (isBeingProbed(error)) return FIRST_WAIT_MS;
    const status = isNuGetError(error) ? (error as Partial<SourceError>).statusCode : undefined;
    if (status === TOO_MANY_REQUESTS || status === SERVICE_UNAVAILABLE) {
      const askedMs = retryAfterMsOf(error);
      const waitMs = Math.max(askedMs ?? 0, growingMs);
      if (askedMs !== undefined || status === TOO_MANY_REQUESTS) health.pauseFor(waitMs);
      if (askedMs !== undefined || attempt < MAX_VAGUE_REFUSALS) return waitMs;
    }
    if (isOutage(error)) health.failed(error);
    return undefined;
  }
}
