import { TierUnavailableError } from '../errors.js';

/** How a tier's failure is told to those who can't do without it. */
export function tierUnavailable(tier: string, error: unknown): TierUnavailableError {
  if (error instanceof TierUnavailableError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new TierUnavailableError(tier, reason, { cause: error });
}
