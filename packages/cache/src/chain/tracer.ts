/** The part of an OpenTelemetry `Tracer` that a chain uses; one fits as it is. */
export interface ChainTracer {
  startSpan(name: string): ChainSpan;
}

export interface ChainSpan {
  recordException(error: Error): void;
  /** @param status code 2 is an error */
  setStatus(status: { code: 0 | 1 | 2; message?: string }): unknown;
  end(): void;
}

const ERROR = 2;

/** A span whose own errors decide nothing. */
class SafeSpan {
  readonly #span: ChainSpan;

  constructor(span: ChainSpan) {
    this.#span = span;
  }

  end(): void {
    try {
      this.#span.end();
    } catch {}
  }

  fail(error: unknown): void {
    try {
      if (error instanceof Error) this.#span.recordException(error);
      this.#span.setStatus({ code: ERROR });
    } catch {}
    this.end();
  }
}

export function startSpan(tracer: ChainTracer | undefined, name: string): SafeSpan | undefined {
  if (tracer === undefined) return undefined;
  try {
    return new SafeSpan(tracer.startSpan(name));
  } catch {
    return undefined;
  }
}
