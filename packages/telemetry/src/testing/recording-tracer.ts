import { AsyncLocalStorage } from 'node:async_hooks';
import type {
  AttributeSource,
  Attributes,
  AttributeValue,
  HeaderReader,
  HeaderWriter,
  ServerSpanDescription,
  Span,
  SpanContext,
  SpanKind,
  SpanOptions,
  Tracer,
} from '../tracing/tracer.js';

export interface RecordedEvent {
  readonly name: string;
  readonly attributes: Attributes;
}

/** A span as it was told. */
export interface RecordedSpan extends SpanContext {
  readonly name: string;
  readonly kind: SpanKind;
  /** Undefined for the first span of a trace. */
  readonly parentId: string | undefined;
  readonly attributes: Readonly<Record<string, AttributeValue>>;
  readonly events: readonly RecordedEvent[];
  /** What was given to `recordError`. */
  readonly errors: readonly unknown[];
  readonly status: 'unset' | 'ok' | 'error';
  readonly statusMessage: string | undefined;
  readonly ended: boolean;
}

const TRACEPARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

/** What a span is called that isn't recorded. */
const NOBODY_SEES: ServerSpanDescription = { name: '' };

/**
 * Keeps every span in memory, for tests of what traces. Ids are counted, the context of W3C is read and written, and a
 * caller that is not sampled is followed.
 */
export class RecordingTracer implements Tracer {
  enabled = true;
  /** Whether a trace that begins here is recorded. */
  sampled = true;
  /** Spans that recorded, in the order in which they were started. */
  readonly spans: RecordedSpan[] = [];
  /** How many spans were asked for, those that don't record too. */
  started = 0;
  readonly #active = new AsyncLocalStorage<Span>();

  startSpan(name: string, options: SpanOptions = {}): Span {
    this.started++;
    const parent = options.parent === undefined ? this.activeSpan() : (options.parent ?? undefined);
    const id = String(this.started);
    const span = new MemorySpan(name, options, {
      traceId: parent?.traceId ?? id.padStart(32, '0'),
      spanId: id.padStart(16, '0'),
      sampled: parent?.sampled ?? this.sampled,
      traceState: parent?.traceState,
      parentId: parent?.spanId,
    });
    if (span.sampled) this.spans.push(span);
    return span;
  }

  startServerSpan(read: HeaderReader, describe: () => ServerSpanDescription): Span {
    const parent = this.extract(read) ?? null;
    const { name, attributes } = (parent?.sampled ?? this.sampled) ? describe() : NOBODY_SEES;
    return this.startSpan(name, { kind: 'server', parent, attributes });
  }

  extract(read: HeaderReader): SpanContext | undefined {
    const [, traceId, spanId, flags] = TRACEPARENT.exec(read('traceparent') ?? '') ?? [];
    if (traceId === undefined || spanId === undefined) return undefined;
    return { traceId, spanId, sampled: (Number.parseInt(flags ?? '', 16) & 1) === 1, traceState: read('tracestate') };
  }

  activeSpan(): SpanContext | undefined {
    return this.#active.getStore();
  }

  runWith<T>(span: Span, work: () => T): T {
    return this.#active.run(span, work);
  }

  /** Spans of this name. */
  named(name: string): RecordedSpan[] {
    return this.spans.filter((span) => span.name === name);
  }

  /** The only span of this name. */
  only(name: string): RecordedSpan {
    const [span, ...others] = this.named(name);
    if (span && others.length === 0) return span;
    const there = this.spans.map((each) => each.name).join(', ') || 'none';
    throw new Error(`${others.length + (span ? 1 : 0)} spans are named ${name}; there are: ${there}`);
  }

  /** Each span as its path of names from the first span that was recorded, in the order of their starts. */
  paths(): string[] {
    const path = (span: RecordedSpan): string => {
      const parent = this.spans.find(({ spanId }) => spanId === span.parentId);
      return parent ? `${path(parent)} > ${span.name}` : span.name;
    };
    return this.spans.map(path);
  }
}

interface Place extends SpanContext {
  readonly parentId: string | undefined;
}

class MemorySpan implements Span, RecordedSpan {
  readonly name: string;
  readonly kind: SpanKind;
  readonly traceId: string;
  readonly spanId: string;
  readonly sampled: boolean;
  readonly traceState: string | undefined;
  readonly parentId: string | undefined;
  readonly attributes: Record<string, AttributeValue> = {};
  readonly events: RecordedEvent[] = [];
  readonly errors: unknown[] = [];
  status: RecordedSpan['status'] = 'unset';
  statusMessage: string | undefined;
  ended = false;

  constructor(name: string, { kind, attributes }: SpanOptions, place: Place) {
    this.name = name;
    this.kind = kind ?? 'internal';
    this.traceId = place.traceId;
    this.spanId = place.spanId;
    this.sampled = place.sampled;
    this.traceState = place.traceState;
    this.parentId = place.parentId;
    if (attributes) this.setAttributes(attributes);
  }

  get recording(): boolean {
    return this.sampled && !this.ended;
  }

  setAttribute(name: string, value: AttributeValue): void {
    if (this.recording) this.attributes[name] = value;
  }

  setAttributes(source: AttributeSource): void {
    const attributes = typeof source === 'function' ? source() : source;
    for (const [name, value] of Object.entries(attributes)) if (value !== undefined) this.setAttribute(name, value);
  }

  addEvent(name: string, attributes: Attributes = {}): void {
    if (this.recording) this.events.push({ name, attributes });
  }

  recordError(error: unknown): void {
    if (!this.recording) return;
    this.errors.push(error);
    this.status = 'error';
  }

  setStatus(status: 'ok' | 'error', message?: string): void {
    if (!this.recording) return;
    this.status = status;
    this.statusMessage = message;
  }

  inject(write: HeaderWriter): void {
    write('traceparent', `00-${this.traceId}-${this.spanId}-${this.sampled ? '01' : '00'}`);
    if (this.traceState) write('tracestate', this.traceState);
  }

  end(): void {
    this.ended = true;
  }
}
