import type { FailureStrategyFactory } from '@granary/resilience';

const MAX_FAILURES = 5;
const OUTAGE_MS = 5000;

/**
 * Opens a breaker after failures in a row that have gone on for a while. A command asks for many things at the same time,
 * and when a source stumbles for a moment all of them fail at once: that is no outage, and they are there when they are
 * asked for again.
 */
export const lastingFailures: FailureStrategyFactory = (clock) => {
  let failures = 0;
  let since = 0;
  const forget = () => {
    failures = 0;
  };
  return {
    get failures() {
      return failures;
    },
    success: forget,
    failure() {
      if (failures++ === 0) since = clock();
      return failures >= MAX_FAILURES && clock() - since >= OUTAGE_MS;
    },
    reset: forget,
  };
};
