import { AsyncLocalStorage } from 'node:async_hooks';
import type { OpenTelemetryApi, OtelContexts } from './otel-context.js';
import type { SpanContext } from './tracer.js';

/** Where the span is kept that the running code is part of. */
export interface ActiveSpans {
  active(): SpanContext | undefined;
  runWith<T>(span: SpanContext, work: () => T): T;
}

/** For a process of our own: nothing global is registered, and nothing is paid before the first {@link runWith}. */
export class OwnActiveSpans implements ActiveSpans {
  readonly #storage = new AsyncLocalStorage<SpanContext>();

  active(): SpanContext | undefined {
    return this.#storage.getStore();
  }

  runWith<T>(span: SpanContext, work: () => T): T {
    return this.#storage.run(span, work);
  }
}

/** Follows nothing: for those who say with every span which one it is part of. */
export const noActiveSpans: ActiveSpans = {
  active: () => undefined,
  runWith: (_span, work) => work(),
};

/** OpenTelemetry's own active context, which the application and its instrumentations share with us. */
export class ApplicationActiveSpans implements ActiveSpans {
  readonly #api: OpenTelemetryApi;
  readonly #contexts: OtelContexts;

  constructor(api: OpenTelemetryApi, contexts: OtelContexts) {
    this.#api = api;
    this.#contexts = contexts;
  }

  active(): SpanContext | undefined {
    return this.#contexts.placeIn(this.#api.context.active());
  }

  runWith<T>(span: SpanContext, work: () => T): T {
    return this.#api.context.with(this.#contexts.of(span), work);
  }
}
