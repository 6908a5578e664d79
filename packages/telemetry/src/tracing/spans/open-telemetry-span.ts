import type { Context, Span as OtelSpan } from '@opentelemetry/api';
import { OtelPlace } from '../otel-context.js';
import type { TracePropagation } from '../propagation/propagation.js';
import type { AttributeSource, Attributes, AttributeValue, HeaderWriter, Span } from '../tracer.js';
import { shown, tellError } from './recorded-error.js';

/** What spans of one tracer share. */
export interface SpanParts {
  readonly propagation: TracePropagation;
  /** `SpanStatusCode` of the API. */
  readonly status: { readonly OK: number; readonly ERROR: number };
}

/** A span of an OpenTelemetry SDK. What the SDK throws is nobody's failure. */
export class OpenTelemetrySpan extends OtelPlace implements Span {
  readonly #span: OtelSpan;
  readonly #parts: SpanParts;

  /** @param context the one that holds the span */
  constructor(span: OtelSpan, context: Context, parts: SpanParts, debug: boolean | undefined) {
    super(context, span.spanContext(), debug);
    this.#span = span;
    this.#parts = parts;
  }

  get recording(): boolean {
    return quietly(() => this.#span.isRecording()) ?? false;
  }

  setAttribute(name: string, value: AttributeValue): void {
    quietly(() => this.#span.setAttribute(name, value as never));
  }

  setAttributes(attributes: AttributeSource): void {
    quietly(() => this.#span.setAttributes(attributesOf(attributes) as never));
  }

  addEvent(name: string, attributes?: Attributes): void {
    quietly(() => this.#span.addEvent(name, attributes && (defined(attributes) as never)));
  }

  recordError(error: unknown): void {
    if (this.recording) tellError(this, error);
  }

  setStatus(status: 'ok' | 'error', message?: string): void {
    const code = status === 'ok' ? this.#parts.status.OK : this.#parts.status.ERROR;
    quietly(() => this.#span.setStatus({ code, ...(message !== undefined && { message: shown(message) }) }));
  }

  inject(write: HeaderWriter): void {
    quietly(() => this.#parts.propagation.inject(this, write));
  }

  end(): void {
    quietly(() => this.#span.end());
  }
}

/** An SDK takes no functions: they are asked now. It would give up a span for one attribute that cannot be read. */
export function attributesOf(source: AttributeSource): Attributes {
  return quietly(() => ({ ...(typeof source === 'function' ? source() : source) })) ?? {};
}

/** Without the attributes that have no value: in events an SDK would export them as empty ones. */
function defined(attributes: Attributes): Attributes {
  return Object.fromEntries(Object.entries(attributes).filter(([, value]) => value !== undefined));
}

function quietly<T>(tell: () => T): T | undefined {
  try {
    return tell();
  } catch {
    // Who only listens must not break what it watches.
    return undefined;
  }
}
