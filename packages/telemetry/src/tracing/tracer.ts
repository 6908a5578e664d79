/** What a span stands for, as OpenTelemetry has it. */
export type SpanKind = 'internal' | 'server' | 'client' | 'producer' | 'consumer';

export type AttributeValue = string | number | boolean | readonly string[] | readonly number[];

export type Attributes = Readonly<Record<string, AttributeValue | undefined>>;

/**
 * What a span is told: attributes, or a function that gives them. The function is called when the span is exported, maybe
 * seconds later and maybe never, so what it reads must stay as it is, and should be little. It is for what costs: of a
 * process that records few of its requests, the code that records them is never warm.
 */
export type AttributeSource = Attributes | (() => Attributes);

/** The place of a span in its trace: what is passed on from one process to the next. */
export interface SpanContext {
  /** 32 hexadecimal digits in lower case. */
  readonly traceId: string;
  /** 16 hexadecimal digits in lower case. */
  readonly spanId: string;
  /** Whether the trace is recorded. */
  readonly sampled: boolean;
  /** The `tracestate` header that came with it, passed on as it is. */
  readonly traceState?: string | undefined;
  /** B3's debug flag: whoever began the trace wants it recorded by all means. Passed on by B3 only. */
  readonly debug?: boolean | undefined;
}

/** Gives a header by its name in lower case. */
export type HeaderReader = (name: string) => string | undefined;

/** Takes a header, its name in lower case. */
export type HeaderWriter = (name: string, value: string) => void;

export interface SpanOptions {
  /** Default `internal`. */
  readonly kind?: SpanKind | undefined;
  readonly attributes?: AttributeSource | undefined;
  /**
   * The span that this one is part of, or the place of one in another process. Default: the active span; `null` begins
   * a trace.
   */
  readonly parent?: SpanContext | null | undefined;
}

/** What a server's span is called and told of its request. */
export interface ServerSpanDescription {
  readonly name: string;
  readonly attributes?: AttributeSource | undefined;
}

/**
 * One piece of work in a trace, from its start to {@link end}. Nothing of it throws, and nothing happens when it isn't
 * {@link recording}: ask for that before working out what an attribute would say.
 */
export interface Span extends SpanContext {
  /** Whether anybody will see what is told to this span. */
  readonly recording: boolean;
  setAttribute(name: string, value: AttributeValue): void;
  setAttributes(attributes: AttributeSource): void;
  addEvent(name: string, attributes?: Attributes): void;
  /** Adds the error as an event, without secrets, and sets the status to `error`. */
  recordError(error: unknown): void;
  setStatus(status: 'ok' | 'error', message?: string): void;
  /** Writes the trace context, for a request to another process. */
  inject(write: HeaderWriter): void;
  /** Ends the span; what is told to it later is lost. */
  end(): void;
}

/**
 * Starts spans, and is all that library code knows of tracing. {@link noopTracer} is the default of everything that takes
 * one; `openTelemetryTracer` fits the application's OpenTelemetry to it.
 */
export interface Tracer {
  /** False when no span will ever be recorded: then nothing need be asked of it. */
  readonly enabled: boolean;
  startSpan(name: string, options?: SpanOptions): Span;
  /**
   * Starts the span of a request that came in: in the trace of its caller, as {@link extract} finds it, or at the
   * beginning of one. Costs next to nothing where nobody will see it.
   *
   * @param describe is asked at once, and only for a span that is recorded
   */
  startServerSpan(read: HeaderReader, describe: () => ServerSpanDescription): Span;
  /**
   * The caller's place in a trace, from the headers of a request; undefined where they have none or a broken one. Where
   * they only say that the trace which begins here is to be recorded, its ids are zeros.
   */
  extract(read: HeaderReader): SpanContext | undefined;
  /** The span that the running code is part of. */
  activeSpan(): SpanContext | undefined;
  /**
   * Runs `work` as a part of the span, with everything that it awaits. On Node 20 the first call makes every promise of
   * the process a little dearer, so servers hand spans on as arguments and use this for those that record.
   */
  runWith<T>(span: Span, work: () => T): T;
}
