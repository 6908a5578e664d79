import { PerKey } from '../per-key.js';
import { wholeNumber } from '../whole-number.js';
import { CircuitBreaker } from './circuit-breaker.js';
import type { CircuitBreakerOptions, ExecuteOptions } from './circuit-breaker-options.js';
import type { CircuitBreakerStats, CircuitState } from './circuit-state.js';
import { OutcomeRules } from './outcome-rules.js';

export interface HttpCircuitBreakerOptions extends Omit<CircuitBreakerOptions, 'name'> {
  /** Hosts whose breakers are kept; those without failures make room first. Default 1000. */
  readonly maxHosts?: number | undefined;
  /** Which results are failures. Default {@link isServerError}. */
  readonly isFailureResult?: ((result: unknown) => boolean) | undefined;
}

/**
 * A circuit breaker for each host, so that one that is down costs the others nothing. A breaker is made when its host
 * is first called. Hosts are told apart as they are written: give them as `URL.host` has them.
 */
export class HttpCircuitBreaker {
  readonly #breakers: PerKey<CircuitBreaker>;
  readonly #rules: OutcomeRules;

  /** @throws InvalidOptionError that names the option. */
  constructor(options: HttpCircuitBreakerOptions = {}) {
    const { maxHosts = 1000, isFailureResult = isServerError, ...shared } = options;
    const make = (host: string) => new CircuitBreaker({ ...shared, isFailureResult, name: host });
    // A mistake in the options is one of the program and shows at its start, not when the first host is called.
    make('');
    this.#rules = new OutcomeRules(undefined, isFailureResult);
    this.#breakers = new PerKey(make, {
      maxKeys: wholeNumber('maxHosts', maxHosts),
      isIdle: (breaker) => breaker.idle,
      // One that had to go while it was open counts as closed from now on, for the listener too.
      onEvict: (breaker) => breaker.reset(),
    });
  }

  /** Breakers that are kept at present. */
  get size(): number {
    return this.#breakers.size;
  }

  /**
   * Runs a function that calls this host. What it throws is a failure, and so is a result with a status of 500 or more;
   * everything else is the host's answer, and a success.
   * @throws CircuitOpenError (as a rejection) that names the host.
   */
  execute<T>(host: string, fn: () => T | PromiseLike<T>, options?: ExecuteOptions): Promise<T> {
    return this.#breakers.get(host).execute(fn, options);
  }

  /** The breaker of this host, made now if it is new. Ask again for each call: breakers are forgotten and replaced. */
  forHost(host: string): CircuitBreaker {
    return this.#breakers.get(host);
  }

  /** Whether the breakers count a result as a failure: for who settles their permits. */
  isFailure(result: unknown): boolean {
    return this.#rules.ofResult(result) === 'failure';
  }

  /** `closed` for a host that was never called. */
  getState(host: string): CircuitState {
    return this.#breakers.peek(host)?.state ?? 'closed';
  }

  /** Undefined for a host that was never called. */
  getStats(host: string): CircuitBreakerStats | undefined {
    return this.#breakers.peek(host)?.stats();
  }

  getAllStats(): Map<string, CircuitBreakerStats> {
    return new Map(Array.from(this.#breakers, ([host, breaker]) => [host, breaker.stats()]));
  }

  reset(host: string): void {
    this.#breakers.peek(host)?.reset();
  }

  resetAll(): void {
    for (const [, breaker] of this.#breakers) breaker.reset();
  }
}

/** Whether a response says that the server failed: a `status` (fetch) or `statusCode` (undici, Node) of 500 or more. */
export function isServerError(response: unknown): boolean {
  if (typeof response !== 'object' || response === null) return false;
  const { status, statusCode } = response as { readonly status?: unknown; readonly statusCode?: unknown };
  const code = typeof status === 'number' ? status : statusCode;
  return typeof code === 'number' && code >= 500;
}
