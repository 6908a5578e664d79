import type { TierUnavailableError } from '../errors.js';

/** A tier that can be asked, as {@link firstAnswer} sees it. */
interface AskedTier {
  readonly required: boolean;
  unavailable(error: unknown): TierUnavailableError;
}

export interface AskingOptions<T> {
  /** Whether nobody waits any more: then a failure is the caller's, and no other tier is asked. */
  readonly isGivenUp: () => boolean;
  /** Told of a tier that failed, which counts as one that has nothing. */
  readonly onFailure?: (tier: T, error: unknown) => void;
}

/**
 * Asks tiers in turn for what one of them may have.
 *
 * @returns what the first of them had; undefined when none has anything
 * @throws TierUnavailableError when none has anything and a tier that is required failed
 * @throws what a tier threw after the caller had given up
 */
export async function firstAnswer<T extends AskedTier, R>(
  tiers: readonly T[],
  ask: (tier: T) => Promise<R | undefined>,
  { isGivenUp, onFailure }: AskingOptions<T>,
): Promise<R | undefined> {
  let failure: TierUnavailableError | undefined;
  for (const tier of tiers) {
    try {
      const answer = await ask(tier);
      if (answer !== undefined) return answer;
    } catch (error) {
      if (isGivenUp()) throw error;
      if (tier.required) failure ??= tier.unavailable(error);
      onFailure?.(tier, error);
    }
  }
  if (failure !== undefined) throw failure;
  return undefined;
}
