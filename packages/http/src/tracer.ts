/** Starts a span for each call. A few lines fit OpenTelemetry to it; see the README. */
export interface HttpTracer {
  /** The span is the child of whatever is active where this is called. Names follow OpenTelemetry's conventions. */
  startSpan(name: string, attributes: Readonly<Record<string, string | number>>): HttpSpan;
}

export interface HttpSpan {
  /** Writes the trace context into the request's headers, whose names are in lower case. */
  inject?(headers: Record<string, string | string[] | undefined>): void;
  setAttribute(name: string, value: string | number): void;
  /** Ends the span: in error when there is one, or when the status says so. */
  end(outcome: { readonly statusCode?: number | undefined; readonly error?: unknown }): void;
}
