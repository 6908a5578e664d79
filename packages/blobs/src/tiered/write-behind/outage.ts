import { isCircuitOpen, isTimeout } from '@granary/resilience';
import { isStoreError } from '../../errors.js';
import { isRemoteStoreError } from '../../remote/remote-store-error.js';

/** Whether a failure is the tier's, whatever it was asked, rather than that of this one content. */
export function isTierUnavailable(error: unknown): boolean {
  if (isRemoteStoreError(error)) return error.retryable;
  if (isTimeout(error) || isCircuitOpen(error)) return true;
  if (!isStoreError(error) || error.code !== 'TIER_UNAVAILABLE') return false;
  // How a failure is told to whoever can't do without the tier: what it was says the cause.
  return error.cause === undefined || isTierUnavailable(error.cause) || !isStoreError(error.cause);
}

/** Whether the tier has no place for this one content, however often it is asked. */
export function isUnfit(error: unknown): boolean {
  if (isRemoteStoreError(error)) return error.unfit === true;
  return isStoreError(error) && error.code === 'BLOB_TOO_LARGE';
}
