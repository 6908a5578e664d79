import type { Span } from '@granary/telemetry';
import type { OperationOptions } from '../blob-store.js';

/**
 * The options of an operation, in another span. Everything else is read where it was when it is asked for, since callers
 * make a signal only then; so whoever adds an option need not think of this.
 */
export function optionsInSpan<Options extends OperationOptions>(options: Options | undefined, span: Span): Options {
  // The target is empty, because a property of a frozen one could not be another.
  return new Proxy({} as Options, {
    get: (_, name) => (name === 'span' ? span : options && Reflect.get(options, name)),
  });
}
