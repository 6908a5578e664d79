import { SemaphoreThrottle, withTimeout } from '@granary/resilience';
import { withResilientResults } from '../../decorators/resilient-results.js';
import { withResilience } from '../../decorators/resilient-store.js';
import { underSignal } from '../../decorators/under-signal.js';
import type { Tier } from '../tier.js';
import { StorePolicies, type StoreResilienceOptions } from './store-policies.js';
import { TierBreaker } from './tier-breaker.js';

/** Calls that wait for their turn; each has a client that waits. */
const MOST_WAITING = 100_000;

/**
 * A tier whose stores have the policies of `withResilience`, with one breaker and one rate limit for everything that
 * it is asked. What it delivers damaged counts as its failure when the breaker is a {@link TierBreaker}.
 *
 * `check` asks the tier whatever the breaker says, and closing it waits no longer than the idle time.
 *
 * @throws InvalidOptionError that names the option
 */
export function resilientTier(tier: Tier, given: StoreResilienceOptions = {}): Tier {
  const { maxCalls } = tier;
  const turns = maxCalls === undefined ? undefined : new SemaphoreThrottle(maxCalls, { maxQueue: MOST_WAITING });
  const options = { throttle: turns, ...given };
  const policies = new StorePolicies(tier.name, options);
  const { sizes } = tier;
  const { idleTimeoutMs, attemptTimeoutMs, timers } = policies;
  return {
    name: tier.name,
    mode: tier.mode,
    required: tier.required,
    blobs: tier.blobs && withResilience(tier.blobs, options),
    maxBlobBytes: tier.maxBlobBytes,
    checksAtOnce: tier.checksAtOnce,
    timeoutMs: policies.timeoutMs,
    sizes: sizes && {
      sizeOf: (fn, hash, asked) =>
        policies.whole('sizeOf', asked, ({ signal }) => sizes.sizeOf(fn, hash, underSignal(asked, signal))),
    },
    actionResults: tier.actionResults && withResilientResults(tier.actionResults, options),
    onDamaged: (digest, reason) => {
      if (options.breaker instanceof TierBreaker) options.breaker.damaged();
      else options.breaker?.recordFailure();
      tier.onDamaged?.(digest, reason);
    },
    check: (signal) =>
      withTimeout((context) => tier.check(context.signal), attemptTimeoutMs, { signal, timers }).catch(
        (error: unknown) => {
          throw signal.aborted ? error : policies.explain('check', error);
        },
      ),
    close: () =>
      withTimeout(() => tier.close(), idleTimeoutMs, { timers }).catch((error: unknown) => {
        throw policies.explain('close', error);
      }),
  };
}
