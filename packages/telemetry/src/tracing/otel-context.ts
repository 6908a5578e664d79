import type { Context, SpanContext as OtelSpanContext } from '@opentelemetry/api';
import { noopSpan } from './noop-tracer.js';
import { ReceivedState } from './propagation/received-state.js';
import type { SpanContext } from './tracer.js';

/** The part of `import * as api from '@opentelemetry/api'` that is used here. */
export type OpenTelemetryApi = Pick<
  typeof import('@opentelemetry/api'),
  'context' | 'createTraceState' | 'propagation' | 'ROOT_CONTEXT' | 'SpanKind' | 'SpanStatusCode' | 'trace'
>;

const SAMPLED = 1;

/** A place in a trace that knows the context of OpenTelemetry it was found in, with all else that is in it: baggage. */
export class OtelPlace implements SpanContext {
  readonly context: Context;
  readonly traceId: string;
  readonly spanId: string;
  readonly sampled: boolean;
  readonly debug: boolean | undefined;
  readonly #spanContext: OtelSpanContext;

  constructor(context: Context, spanContext: OtelSpanContext, debug?: boolean) {
    this.context = context;
    this.traceId = spanContext.traceId;
    this.spanId = spanContext.spanId;
    this.sampled = (spanContext.traceFlags & SAMPLED) !== 0;
    this.debug = debug;
    this.#spanContext = spanContext;
  }

  get traceState(): string | undefined {
    return this.#spanContext.traceState?.serialize();
  }
}

/** Places in traces as contexts of OpenTelemetry, and back. */
export class OtelContexts {
  readonly #api: OpenTelemetryApi;
  readonly #base: () => Context;

  /** @param base what a context begins with that is made for a place that has none */
  constructor(api: OpenTelemetryApi, base: () => Context) {
    this.#api = api;
    this.#base = base;
  }

  /** The context to start a span in. */
  of(parent: SpanContext | undefined): Context {
    if (parent instanceof OtelPlace) return parent.context;
    if (parent === undefined || parent.traceId === noopSpan.traceId) return this.#api.trace.deleteSpan(this.#base());
    const { traceId, spanId, sampled, traceState } = parent;
    return this.#api.trace.setSpanContext(this.#base(), {
      traceId,
      spanId,
      traceFlags: sampled ? SAMPLED : 0,
      isRemote: true,
      ...(traceState && { traceState: new ReceivedState(traceState, this.#api) }),
    });
  }

  /** The place of the span in the context, if it has one. */
  placeIn(context: Context): SpanContext | undefined {
    const spanContext = this.#api.trace.getSpanContext(context);
    if (spanContext === undefined || !this.#api.trace.isSpanContextValid(spanContext)) return undefined;
    return new OtelPlace(context, spanContext);
  }
}
