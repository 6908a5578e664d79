import type { Tracer as OtelTracer } from '@opentelemetry/api';
import { type ActiveSpans, ApplicationActiveSpans, noActiveSpans, OwnActiveSpans } from './active-spans.js';
import { ApplicationPropagation } from './application-propagation.js';
import type { HeadSampler } from './head-sampler.js';
import { noopSpan } from './noop-tracer.js';
import { OpenTelemetrySpan, type SpanParts } from './open-telemetry-span.js';
import { type OpenTelemetryApi, OtelContexts } from './otel-context.js';
import type { TracePropagation } from './propagation.js';
import type { HeaderReader, Span, SpanContext, SpanKind, SpanOptions, Tracer } from './tracer.js';
import { UnsampledSpan } from './unsampled-span.js';

export interface OpenTelemetryTracerOptions {
  /** `import * as api from '@opentelemetry/api'`: the one that the application uses. */
  readonly api: OpenTelemetryApi;
  /** What starts the spans. Default: `api.trace.getTracer('granary')`, of the provider that is registered. */
  readonly tracer?: OtelTracer | undefined;
  /** Decides before the SDK is asked. Default: none, the SDK's own sampler sees every span. */
  readonly sampler?: HeadSampler | undefined;
  /** Default: the propagators that the application has registered; W3C where it has none. */
  readonly propagation?: TracePropagation | undefined;
  /**
   * `application` follows and sets OpenTelemetry's active context, which needs the context manager that the
   * application's SDK registers. `own` keeps the active span apart, and needs nothing global. `none` follows nothing:
   * then only a span that names its parent has one. Default `application`.
   */
  readonly activeSpans?: 'application' | 'own' | 'none' | undefined;
}

/** Of a caller who is in no trace, and wants the one recorded that begins here. */
const NO_PLACE: SpanContext = { traceId: noopSpan.traceId, spanId: noopSpan.spanId, sampled: true };

/**
 * Fits OpenTelemetry to {@link Tracer}. A span costs what the SDK takes for it; one that the `sampler` turns down costs
 * some ten nanoseconds.
 */
export function openTelemetryTracer(options: OpenTelemetryTracerOptions): Tracer {
  return new OpenTelemetryTracer(options);
}

class OpenTelemetryTracer implements Tracer {
  readonly enabled = true;
  readonly #tracer: OtelTracer;
  readonly #sampler: HeadSampler | undefined;
  readonly #propagation: TracePropagation;
  readonly #active: ActiveSpans;
  readonly #contexts: OtelContexts;
  readonly #kinds: Readonly<Record<SpanKind, number>>;
  readonly #parts: SpanParts;
  readonly #api: OpenTelemetryApi;

  constructor({ api, tracer, sampler, propagation, activeSpans = 'application' }: OpenTelemetryTracerOptions) {
    this.#api = api;
    this.#tracer = tracer ?? api.trace.getTracer('granary');
    this.#sampler = sampler;
    this.#contexts = new OtelContexts(
      api,
      activeSpans === 'application' ? () => api.context.active() : () => api.ROOT_CONTEXT,
    );
    this.#propagation = propagation ?? new ApplicationPropagation(api, this.#contexts);
    this.#active = {
      application: () => new ApplicationActiveSpans(api, this.#contexts),
      own: () => new OwnActiveSpans(),
      none: () => noActiveSpans,
    }[activeSpans]();
    const { INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER } = api.SpanKind;
    this.#kinds = { internal: INTERNAL, server: SERVER, client: CLIENT, producer: PRODUCER, consumer: CONSUMER };
    this.#parts = { propagation: this.#propagation, status: api.SpanStatusCode };
  }

  startSpan(name: string, options?: SpanOptions): Span {
    const parent = this.#parentOf(options?.parent);
    // Nobody sees the children of a span that nobody sees: it stands for them all.
    if (parent instanceof UnsampledSpan) return parent;
    if (this.#sampler !== undefined && !this.#sampler.decide(parent)) {
      return new UnsampledSpan(parent, this.#propagation);
    }
    return this.#start(name, options, parent);
  }

  extract(read: HeaderReader): SpanContext | undefined {
    try {
      const found = this.#propagation.extract(read);
      if (found === undefined) return undefined;
      if (found === 'unsampled') return new UnsampledSpan(undefined, this.#propagation);
      if (typeof found === 'string') return { ...NO_PLACE, debug: found === 'debug' };
      if (found.sampled !== undefined) return found as SpanContext;
      // The decision is ours, and holds for all that is asked of us about this trace.
      return { ...found, sampled: this.#sampler?.decide(undefined) ?? true };
    } catch {
      return undefined;
    }
  }

  activeSpan(): SpanContext | undefined {
    return this.#active.active();
  }

  runWith<T>(span: Span, work: () => T): T {
    return span === noopSpan ? work() : this.#active.runWith(span, work);
  }

  #parentOf(given: SpanContext | null | undefined): SpanContext | undefined {
    if (given === null) return undefined;
    // A span that traces nothing comes from a part that has no tracer, and says nothing about the caller.
    return given === undefined || given === noopSpan ? this.#active.active() : given;
  }

  #start(name: string, options: SpanOptions | undefined, parent: SpanContext | undefined): Span {
    try {
      const context = this.#contexts.of(parent);
      const span = this.#tracer.startSpan(
        name,
        { kind: this.#kinds[options?.kind ?? 'internal'], attributes: options?.attributes as never },
        context,
      );
      return new OpenTelemetrySpan(span, this.#api.trace.setSpan(context, span), this.#parts, parent?.debug);
    } catch {
      // A tracer that fails must not fail what it watches.
      return noopSpan;
    }
  }
}
