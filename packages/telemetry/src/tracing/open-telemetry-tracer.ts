import type { Tracer as OtelTracer } from '@opentelemetry/api';
import { type ActiveSpans, ApplicationActiveSpans, noActiveSpans, OwnActiveSpans } from './active-spans.js';
import type { HeadSampler } from './head-sampler.js';
import { HeadSamplingTracer } from './head-sampling-tracer.js';
import { noopSpan } from './noop-tracer.js';
import { type OpenTelemetryApi, OtelContexts } from './otel-context.js';
import { ApplicationPropagation } from './propagation/application-propagation.js';
import type { TracePropagation } from './propagation/propagation.js';
import { attributesOf, OpenTelemetrySpan, type SpanParts } from './spans/open-telemetry-span.js';
import type { Span, SpanContext, SpanKind, SpanOptions, Tracer } from './tracer.js';

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

/**
 * Fits OpenTelemetry to {@link Tracer}. A span costs what the SDK takes for it; one that the `sampler` turns down costs
 * some ten nanoseconds.
 */
export function openTelemetryTracer(options: OpenTelemetryTracerOptions): Tracer {
  const { api, activeSpans = 'application' } = options;
  const contexts = new OtelContexts(
    api,
    activeSpans === 'application' ? () => api.context.active() : () => api.ROOT_CONTEXT,
  );
  return new OpenTelemetryTracer(options, contexts, activeSpansOf(activeSpans, api, contexts));
}

function activeSpansOf(
  kind: 'application' | 'own' | 'none',
  api: OpenTelemetryApi,
  contexts: OtelContexts,
): ActiveSpans {
  if (kind === 'application') return new ApplicationActiveSpans(api, contexts);
  return kind === 'own' ? new OwnActiveSpans() : noActiveSpans;
}

class OpenTelemetryTracer extends HeadSamplingTracer {
  readonly #tracer: OtelTracer;
  readonly #contexts: OtelContexts;
  readonly #kinds: Readonly<Record<SpanKind, number>>;
  readonly #parts: SpanParts;
  readonly #api: OpenTelemetryApi;

  constructor(
    { api, tracer, sampler, propagation }: OpenTelemetryTracerOptions,
    contexts: OtelContexts,
    activeSpans: ActiveSpans,
  ) {
    super({ sampler, propagation: propagation ?? new ApplicationPropagation(api, contexts), activeSpans });
    this.#api = api;
    this.#tracer = tracer ?? api.trace.getTracer('granary');
    this.#contexts = contexts;
    const { INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER } = api.SpanKind;
    this.#kinds = { internal: INTERNAL, server: SERVER, client: CLIENT, producer: PRODUCER, consumer: CONSUMER };
    this.#parts = { propagation: this.propagation, status: api.SpanStatusCode };
  }

  protected override record(name: string, options: SpanOptions | undefined, parent: SpanContext | undefined): Span {
    try {
      const context = this.#contexts.of(parent);
      const kind = this.#kinds[options?.kind ?? 'internal'];
      const attributes = attributesOf(options?.attributes ?? {}) as never;
      const span = this.#tracer.startSpan(name, { kind, attributes }, context);
      return new OpenTelemetrySpan(span, this.#api.trace.setSpan(context, span), this.#parts, parent?.debug);
    } catch {
      return noopSpan;
    }
  }
}
