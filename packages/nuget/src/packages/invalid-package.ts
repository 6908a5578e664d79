import { isNuGetError, NuGetError } from '../errors.js';

/**
 * What went wrong while a package was read, as an error of ours: the system's own errors and ours stay as they are, and
 * all else is the package's fault.
 */
export function invalidPackage(error: unknown, what: string): unknown {
  if (isNuGetError(error) || isSystemError(error)) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new NuGetError('INVALID_PACKAGE', `the package ${what}: ${reason}`, { cause: error });
}

/** Not by its class: in the contexts that jest runs tests in, Node's own errors are of another realm. */
function isSystemError(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'syscall' in error;
}
