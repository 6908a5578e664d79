import type { OperationOptions, ReadOptions } from '../blob-store.js';

/**
 * A caller's options with another signal, for an attempt. Named one by one: a caller may give an object whose options are
 * getters of its class, which a spread would lose.
 */
export function underSignal(options: ReadOptions | undefined, signal: AbortSignal | undefined): ReadOptions {
  if (!options) return { signal };
  const common: OperationOptions = { signal, span: options.span, via: options.via };
  const { offset, limit } = options;
  if (offset === undefined && limit === undefined) return common;
  return { ...common, ...(offset !== undefined && { offset }), ...(limit !== undefined && { limit }) };
}
