import type { Attributes, Span, SpanContext, Tracer } from '@granary/telemetry';
import { isCircuitOpen } from '../errors.js';
import type { GetOptions } from '../layer.js';

/**
 * What a chain tells in traces. Where nobody traces it isn't made at all; and what a tracer or a span throws decides
 * nothing.
 */
export class ChainSpans {
  readonly #tracer: Tracer;

  private constructor(tracer: Tracer) {
    this.#tracer = tracer;
  }

  static of(tracer: Tracer | undefined): ChainSpans | undefined {
    return tracer?.enabled ? new ChainSpans(tracer) : undefined;
  }

  /** @param parent undefined for the active span */
  start(name: string, parent: SpanContext | undefined): Span | undefined {
    try {
      return this.#tracer.startSpan(name, { parent });
    } catch {
      return undefined;
    }
  }

  /** Runs work as a part of a span that records, so that what it calls finds it. */
  run<T>(span: Span | undefined, work: () => T): T {
    if (!span?.recording) return work();
    let isRunning = false;
    try {
      return this.#tracer.runWith(span, () => {
        isRunning = true;
        return work();
      });
    } catch (error) {
      if (isRunning) throw error;
      return work();
    }
  }
}

/** The options of a look-up as layers see them: the caller's, within the chain's own span. */
export class TracedOptions implements GetOptions {
  readonly span: Span;
  readonly #options: GetOptions | undefined;

  constructor(span: Span, options: GetOptions | undefined) {
    this.span = span;
    this.#options = options;
  }

  /** Read only by who needs it, because a signal may be made when it is read. */
  get signal(): AbortSignal | undefined {
    return this.#options?.signal;
  }
}

export function addEvent(span: Span | undefined, name: string, attributes?: Attributes): void {
  try {
    if (span?.recording) span.addEvent(name, attributes);
  } catch {}
}

/** A layer failed, or was spared because its breaker is open. */
export function addLayerFailure(span: Span | undefined, layer: string, error: unknown): void {
  if (!span?.recording) return;
  const isRejection = isCircuitOpen(error);
  const attributes = { 'cache.layer': layer, ...(!isRejection && { 'error.type': errorType(error) }) };
  addEvent(span, isRejection ? 'circuit_breaker.rejected' : 'cache.layer_failed', attributes);
}

/** Ends a span that hasn't ended yet. */
export function endSpan(span: Span | undefined, attributes?: Attributes, error?: unknown): void {
  try {
    if (!span?.recording) return;
    if (attributes !== undefined) span.setAttributes(attributes);
    if (error !== undefined) span.recordError(error);
    span.end();
  } catch {}
}

/** Codes are few, messages are not. */
export function errorType(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('code' in error)) return 'error';
  return typeof error.code === 'string' ? error.code : 'error';
}
