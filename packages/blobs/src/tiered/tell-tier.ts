import { Flight } from '@granary/resilience';
import type { Span } from '@granary/telemetry';

/** What all who ask the tiers for the same wait for. */
export class TierFlight<T> extends Flight<T | undefined> {
  /** The tier that had it. */
  from: string | undefined;
}

/** Says on the span of whoever asked which tier had it; by itself that names the store that was asked. */
export function tellTier(span: Span | undefined, tier: string | undefined): void {
  if (tier !== undefined && span?.recording) span.setAttribute('cache.tier', tier);
}
