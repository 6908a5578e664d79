import type { Span } from '@granary/telemetry';
import type { GetOptions, OperationOptions, ReadOptions } from '../blob-store.js';

/** The options of an operation, in another span. Callers make a signal when it is asked for, so it is not asked for here. */
export function optionsInSpan(options: GetOptions | undefined, span: Span): GetOptions {
  return new OptionsInSpan(options, span);
}

/** As {@link optionsInSpan}, with the part of the blob that is to be read. */
export function readOptionsInSpan(options: ReadOptions | undefined, span: Span): ReadOptions {
  return {
    ...(options?.offset !== undefined && { offset: options.offset }),
    ...(options?.limit !== undefined && { limit: options.limit }),
    get signal() {
      return options?.signal;
    },
    span,
  };
}

class OptionsInSpan implements GetOptions {
  readonly span: Span;
  readonly #options: GetOptions | undefined;

  constructor(options: OperationOptions | undefined, span: Span) {
    this.#options = options;
    this.span = span;
  }

  get signal(): AbortSignal | undefined {
    return this.#options?.signal;
  }

  get allocate(): GetOptions['allocate'] {
    return this.#options?.allocate;
  }
}
