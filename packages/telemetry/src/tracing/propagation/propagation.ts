import type { HeaderReader, HeaderWriter, SpanContext } from '../tracer.js';

/** What a request's headers say of its caller's trace. */
export interface IncomingContext extends Omit<SpanContext, 'sampled'> {
  /** Undefined where the caller leaves the decision to whom it calls. */
  readonly sampled: boolean | undefined;
}

/**
 * What a caller says who is in no trace itself: whether the one that begins with its request is recorded. `debug` is
 * B3's flag, and means recorded by all means.
 */
export type IncomingDecision = 'sampled' | 'debug' | 'unsampled';

/** How the place in a trace is written in headers. Neither method throws. */
export interface TracePropagation {
  /** Undefined where the headers say nothing of a trace, or nothing that can be trusted. */
  extract(read: HeaderReader): IncomingContext | IncomingDecision | undefined;
  inject(context: SpanContext, write: HeaderWriter): void;
}
