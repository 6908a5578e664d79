import type { HrTime, Link, SpanContext as OtelSpanContext, SpanStatus } from '@opentelemetry/api';
import type { Resource } from '@opentelemetry/resources';
import type { ReadableSpan, TimedEvent } from '@opentelemetry/sdk-trace';
import { noopSpan } from '../noop-tracer.js';
import type { OpenTelemetryApi } from '../otel-context.js';
import type { TracePropagation } from '../propagation/propagation.js';
import { ReceivedState } from '../propagation/received-state.js';
import { randomId } from '../trace-ids.js';
import type {
  AttributeSource,
  Attributes,
  AttributeValue,
  HeaderWriter,
  Span,
  SpanContext,
  SpanKind,
  SpanOptions,
} from '../tracer.js';
import { shown, tellError } from './recorded-error.js';
import { SpanAttributes } from './span-attributes.js';

/** What the spans of one tracer share. */
export interface SpanSink {
  readonly api: Pick<OpenTelemetryApi, 'createTraceState' | 'SpanKind' | 'SpanStatusCode'>;
  readonly propagation: TracePropagation;
  readonly resource: Resource;
  readonly instrumentationScope: ReadableSpan['instrumentationScope'];
  /** Takes a span that has ended. */
  onEnd(span: ReadableSpan): void;
}

interface SpanEvent {
  readonly name: string;
  readonly timeMs: number;
  readonly attributes: SpanAttributes;
}

/** Later events push out earlier ones, so that one that goes on and on shows how it ended. */
const MAX_EVENTS = 128;
const SAMPLED = 1;

/**
 * A span that is kept as it was told, and becomes what an exporter of OpenTelemetry's SDK reads when it is read. The SDK's
 * own spans take six times as long (benchmark `request, recorded`). Its ids, too, are made when they are asked for.
 */
export class RecordedSpan implements Span, Omit<ReadableSpan, 'parentSpanContext'> {
  readonly name: string;
  readonly sampled = true;
  readonly #kind: SpanKind;
  readonly #sink: SpanSink;
  /** Undefined for a span that begins a trace. */
  readonly #parent: SpanContext | undefined;
  /** The caller's word, passed on by all spans of the trace. */
  readonly #debug: boolean | undefined;
  #traceId: string | undefined;
  #spanId: string | undefined;
  /** What makes of this process's time that of the day: the same for all spans of a trace, so that they fit together. */
  readonly #epochMs: number;
  readonly #startedAt = performance.now();
  readonly #attributes = new SpanAttributes();
  #events: SpanEvent[] | undefined;
  #droppedEvents = 0;
  #status: 'unset' | 'ok' | 'error' = 'unset';
  #statusMessage: string | undefined;
  #endedAt: number | undefined;

  constructor(sink: SpanSink, name: string, options: SpanOptions | undefined, parent: SpanContext | undefined) {
    this.#sink = sink;
    this.name = name;
    this.#kind = options?.kind ?? 'internal';
    this.#debug = parent?.debug;
    if (parent instanceof RecordedSpan) {
      this.#parent = parent;
      this.#epochMs = parent.#epochMs;
    } else {
      // Zeros are somebody's who is in no trace.
      this.#parent = parent?.traceId === noopSpan.traceId ? undefined : parent;
      this.#epochMs = Date.now() - this.#startedAt;
    }
    if (options?.attributes) this.#attributes.setAll(options.attributes);
  }

  get traceId(): string {
    this.#traceId ??= this.#parent?.traceId ?? randomId(4);
    return this.#traceId;
  }

  get spanId(): string {
    this.#spanId ??= randomId(2);
    return this.#spanId;
  }

  get traceState(): string | undefined {
    return this.#parent?.traceState;
  }

  get debug(): boolean | undefined {
    return this.#debug;
  }

  get recording(): boolean {
    return this.#endedAt === undefined;
  }

  setAttribute(name: string, value: AttributeValue): void {
    if (this.recording) this.#attributes.set(name, value);
  }

  setAttributes(attributes: AttributeSource): void {
    if (this.recording) this.#attributes.setAll(attributes);
  }

  addEvent(name: string, attributes?: Attributes): void {
    if (!this.recording) return;
    this.#events ??= [];
    if (this.#events.length === MAX_EVENTS) {
      this.#events.shift();
      this.#droppedEvents++;
    }
    const told = new SpanAttributes();
    if (attributes) told.setAll(attributes);
    this.#events.push({ name, timeMs: this.#now(), attributes: told });
  }

  recordError(error: unknown): void {
    if (this.recording) tellError(this, error);
  }

  /** What went well stays so: `ok` is somebody's last word. */
  setStatus(status: 'ok' | 'error', message?: string): void {
    if (!this.recording || this.#status === 'ok') return;
    this.#status = status;
    this.#statusMessage = status === 'error' && message !== undefined ? shown(message) : undefined;
  }

  inject(write: HeaderWriter): void {
    try {
      this.#sink.propagation.inject(this, write);
    } catch {
      // A request that cannot take the headers goes without them.
    }
  }

  end(): void {
    if (!this.recording) return;
    this.#endedAt = performance.now();
    // A property that may be missing may be undefined as well, for whoever reads it.
    this.#sink.onEnd(this as ReadableSpan);
  }

  // What follows is for exporters.

  get kind(): ReadableSpan['kind'] {
    return this.#sink.api.SpanKind[this.#kind.toUpperCase() as Uppercase<SpanKind>];
  }

  get parentSpanContext(): OtelSpanContext | undefined {
    if (this.#parent === undefined) return undefined;
    const { traceId, spanId } = this.#parent;
    return { traceId, spanId, traceFlags: SAMPLED, isRemote: !(this.#parent instanceof RecordedSpan) };
  }

  spanContext(): OtelSpanContext {
    const { traceId, spanId, traceState } = this;
    const context = { traceId, spanId, traceFlags: SAMPLED };
    return traceState ? { ...context, traceState: new ReceivedState(traceState, this.#sink.api) } : context;
  }

  get startTime(): HrTime {
    return timeOf(this.#epochMs + this.#startedAt);
  }

  get endTime(): HrTime {
    return timeOf(this.#now());
  }

  get duration(): HrTime {
    return timeOf((this.#endedAt ?? performance.now()) - this.#startedAt);
  }

  get ended(): boolean {
    return !this.recording;
  }

  get status(): SpanStatus {
    const message = this.#statusMessage;
    const code = this.#sink.api.SpanStatusCode[this.#status.toUpperCase() as 'UNSET' | 'OK' | 'ERROR'];
    return { code, ...(message !== undefined && { message }) };
  }

  get attributes(): ReadableSpan['attributes'] {
    return this.#attributes.read();
  }

  get droppedAttributesCount(): number {
    return this.#attributes.dropped;
  }

  get events(): TimedEvent[] {
    return (this.#events ?? []).map(({ name, timeMs, attributes }) => ({
      name,
      time: timeOf(timeMs),
      attributes: attributes.read(),
      droppedAttributesCount: attributes.dropped,
    }));
  }

  get droppedEventsCount(): number {
    return this.#droppedEvents;
  }

  get links(): Link[] {
    return [];
  }

  get droppedLinksCount(): number {
    return 0;
  }

  get resource(): Resource {
    return this.#sink.resource;
  }

  get instrumentationScope(): ReadableSpan['instrumentationScope'] {
    return this.#sink.instrumentationScope;
  }

  #now(): number {
    return this.#epochMs + (this.#endedAt ?? performance.now());
  }
}

/** Seconds and nanoseconds of so many milliseconds. */
function timeOf(ms: number): HrTime {
  const seconds = Math.floor(ms / 1000);
  // To the microsecond, which is as much as milliseconds since 1970 can say.
  return [seconds, Math.min(Math.round((ms - seconds * 1000) * 1000), 999_999) * 1000];
}
