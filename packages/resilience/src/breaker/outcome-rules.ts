/** What the end of a call says about what was called; `neither` where the caller went away before it could show. */
export type Outcome = 'success' | 'failure' | 'neither';

type Predicate = (value: unknown) => boolean;

/** Tells from how a call ended whether that was a failure. Never throws, so that every call is counted somehow. */
export class OutcomeRules {
  readonly #isFailure: Predicate;
  readonly #isFailureResult: Predicate | undefined;

  constructor(isFailure: Predicate = isNoAbort, isFailureResult?: Predicate) {
    this.#isFailure = isFailure;
    this.#isFailureResult = isFailureResult;
  }

  ofResult(result: unknown): Outcome {
    return this.#isFailureResult !== undefined && says(this.#isFailureResult, result, false) ? 'failure' : 'success';
  }

  ofError(error: unknown, signal: AbortSignal | undefined): Outcome {
    if (signal?.aborted) return 'neither';
    if (says(this.#isFailure, error, true)) return 'failure';
    return isNoAbort(error) ? 'success' : 'neither';
  }
}

/** What a predicate says; of one that throws, what there would be without it. */
function says(predicate: Predicate, value: unknown, otherwise: boolean): boolean {
  try {
    return predicate(value);
  } catch {
    return otherwise;
  }
}

function isNoAbort(error: unknown): boolean {
  return !(typeof error === 'object' && error !== null && 'name' in error && error.name === 'AbortError');
}
