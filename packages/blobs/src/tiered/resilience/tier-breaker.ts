import {
  CircuitBreaker,
  type CircuitBreakerOptions,
  type Clock,
  consecutiveFailures,
  type FailureStrategy,
  isTimeout,
  steadyClock,
} from '@granary/resilience';
import { isStoreError } from '../../errors.js';
import { isRemoteStoreError } from '../../remote/remote-store-error.js';

/** Damaged deliveries within {@link DAMAGE_WINDOW_MS} that open a breaker. */
const MOST_DAMAGED = 5;
const DAMAGE_WINDOW_MS = 60_000;

/**
 * Whether an error says that a tier isn't well: it can't be reached, answers too late, has no room or talks nonsense.
 * What it refuses or will not have, and what is wrong with our own content, are answers.
 */
function isTierFailure(error: unknown): boolean {
  if (isRemoteStoreError(error)) return error.kind !== 'refused' && !error.rejected;
  if (isTimeout(error)) return true;
  if (isStoreError(error)) return error.code === 'TIER_UNAVAILABLE' || error.code === 'BLOB_DAMAGED';
  return !(typeof error === 'object' && error !== null && 'name' in error && error.name === 'AbortError');
}

/**
 * The breaker of a tier, for its blobs and its action results together. Besides failures it counts what the tier
 * delivered damaged: such a delivery is a success for whoever received it, and its hash is known only later, so five
 * within a minute open the breaker however many successes lie between.
 */
export class TierBreaker extends CircuitBreaker {
  readonly #damage: DamageStrategy;

  /** @throws InvalidOptionError that names the option */
  constructor(options: CircuitBreakerOptions = {}) {
    const clock = options.clock ?? steadyClock;
    const inner = (options.strategy ?? consecutiveFailures(options.maxFailures ?? 5))(clock);
    const damage = new DamageStrategy(inner, clock);
    super({ isFailure: isTierFailure, ...options, clock, strategy: () => damage });
    this.#damage = damage;
  }

  /** The tier delivered something else than it was asked for. */
  damaged(): void {
    this.#damage.noteDamage();
    this.recordFailure();
  }
}

class DamageStrategy implements FailureStrategy {
  readonly #inner: FailureStrategy;
  readonly #clock: Clock;
  /** When the last few damaged deliveries were noticed. */
  #times: number[] = [];

  constructor(inner: FailureStrategy, clock: Clock) {
    this.#inner = inner;
    this.#clock = clock;
  }

  get failures(): number {
    return Math.max(this.#inner.failures, this.#recent().length);
  }

  noteDamage(): void {
    this.#times = [...this.#recent(), this.#clock()].slice(-MOST_DAMAGED);
  }

  success(): void {
    this.#inner.success();
  }

  failure(): boolean {
    return this.#inner.failure() || this.#recent().length >= MOST_DAMAGED;
  }

  reset(): void {
    this.#times = [];
    this.#inner.reset();
  }

  #recent(): number[] {
    if (this.#times.length === 0) return this.#times;
    const since = this.#clock() - DAMAGE_WINDOW_MS;
    return this.#times.filter((time) => time > since);
  }
}
