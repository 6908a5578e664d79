import { isNuGetError, NuGetError, type NuGetErrorCode, SourceError } from '../errors.js';

/** No source could answer: why, one after the other. */
export class SourcesError extends NuGetError {
  readonly errors: readonly unknown[];

  constructor(what: string, errors: readonly unknown[]) {
    const why = errors.map((error) => (error instanceof Error ? error.message : String(error))).join('; ');
    super(codeOf(errors), `${what}: ${why}`, { cause: errors[0] });
    this.errors = errors;
  }
}

/** One of them as it is, or all of them as one. */
export function failureOfAll(what: string, errors: readonly unknown[]): unknown {
  return errors.length === 1 && errors[0] instanceof SourceError ? errors[0] : new SourcesError(what, errors);
}

/** What all of them say, where they say the same. */
function codeOf(errors: readonly unknown[]): NuGetErrorCode {
  const codes = new Set(errors.map((error) => (isNuGetError(error) ? error.code : 'SOURCE_UNAVAILABLE')));
  const [code, ...others] = codes;
  return code !== undefined && others.length === 0 ? code : 'SOURCE_UNAVAILABLE';
}
