import type { Span } from '@granary/telemetry';
import type { GetOptions, ReadOptions, WriteOptions } from '../blob-store.js';

type AllOptions = GetOptions & ReadOptions & WriteOptions;

/** Has a member for each option, so that none is forgotten that is added. */
type EachOption = { readonly [Name in keyof Required<AllOptions>]: AllOptions[Name] | undefined };

/**
 * The options of an operation, in another span. Everything else is read where it was when it is asked for, since callers
 * make a signal only then.
 */
export function optionsInSpan(options: AllOptions | undefined, span: Span): AllOptions {
  return new OptionsInSpan(options, span) as EachOption as AllOptions;
}

class OptionsInSpan implements EachOption {
  readonly span: Span;
  readonly #options: AllOptions | undefined;

  constructor(options: AllOptions | undefined, span: Span) {
    this.#options = options;
    this.span = span;
  }

  get signal() {
    return this.#options?.signal;
  }

  get via() {
    return this.#options?.via;
  }

  get allocate() {
    return this.#options?.allocate;
  }

  get offset() {
    return this.#options?.offset;
  }

  get limit() {
    return this.#options?.limit;
  }

  get observer() {
    return this.#options?.observer;
  }

  get onProgress() {
    return this.#options?.onProgress;
  }
}
