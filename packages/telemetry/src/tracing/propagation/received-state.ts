import type { TraceState } from '@opentelemetry/api';

/** A `tracestate` as it came: OpenTelemetry's own gives up a header of more than 512 characters. */
export class ReceivedState implements TraceState {
  readonly #header: string;
  readonly #api: Pick<typeof import('@opentelemetry/api'), 'createTraceState'>;

  constructor(header: string, api: Pick<typeof import('@opentelemetry/api'), 'createTraceState'>) {
    this.#header = header;
    this.#api = api;
  }

  serialize(): string {
    return this.#header;
  }

  get(key: string): string | undefined {
    return this.#parsed.get(key);
  }

  set(key: string, value: string): TraceState {
    return this.#parsed.set(key, value);
  }

  unset(key: string): TraceState {
    return this.#parsed.unset(key);
  }

  get #parsed(): TraceState {
    return this.#api.createTraceState(this.#header);
  }
}
