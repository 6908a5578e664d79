import type { OpenTelemetryApi, OtelContexts } from '../otel-context.js';
import type { HeaderReader, HeaderWriter, SpanContext } from '../tracer.js';
import type { IncomingContext, IncomingDecision, TracePropagation } from './propagation.js';
import { w3cPropagation } from './w3c-propagation.js';

const READER = {
  get: (read: HeaderReader, name: string) => read(name.toLowerCase()),
  // Nobody can list the headers of a reader; propagators ask by name.
  keys: () => [],
};
const WRITER = { set: (write: HeaderWriter, name: string, value: string) => write(name.toLowerCase(), value) };

/** The propagators that the application has registered with OpenTelemetry; W3C where it has none. */
export class ApplicationPropagation implements TracePropagation {
  readonly #api: OpenTelemetryApi;
  readonly #contexts: OtelContexts;

  constructor(api: OpenTelemetryApi, contexts: OtelContexts) {
    this.#api = api;
    this.#contexts = contexts;
  }

  extract(read: HeaderReader): IncomingContext | IncomingDecision | undefined {
    if (!this.#registered()) return w3cPropagation.extract(read);
    // Not in the active context: a span in it is not the caller's.
    return this.#contexts.placeIn(this.#api.propagation.extract(this.#api.ROOT_CONTEXT, read, READER));
  }

  inject(place: SpanContext, write: HeaderWriter): void {
    if (this.#registered()) this.#api.propagation.inject(this.#contexts.of(place), write, WRITER);
    else w3cPropagation.inject(place, write);
  }

  #registered(): boolean {
    return this.#api.propagation.fields().length > 0;
  }
}
