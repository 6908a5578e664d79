import type { ActiveSpans } from './active-spans.js';
import type { HeadSampler } from './head-sampler.js';
import { noopSpan } from './noop-tracer.js';
import type { TracePropagation } from './propagation/propagation.js';
import { UnsampledSpan } from './spans/unsampled-span.js';
import type { HeaderReader, ServerSpanDescription, Span, SpanContext, SpanOptions, Tracer } from './tracer.js';

export interface HeadSamplingTracerParts {
  /** Undefined leaves the decision to whoever records. */
  readonly sampler: HeadSampler | undefined;
  readonly propagation: TracePropagation;
  readonly activeSpans: ActiveSpans;
}

/** Of a caller who is in no trace, and wants the one recorded that begins here. */
const NO_PLACE: SpanContext = { traceId: noopSpan.traceId, spanId: noopSpan.spanId, sampled: true };

/**
 * Finds out which trace a span is part of and whether it is recorded, at the head of the trace. How one is recorded is a
 * subclass's business; one that is not costs some ten nanoseconds.
 */
export abstract class HeadSamplingTracer implements Tracer {
  readonly enabled = true;
  protected readonly propagation: TracePropagation;
  readonly #sampler: HeadSampler | undefined;
  readonly #active: ActiveSpans;

  constructor({ sampler, propagation, activeSpans }: HeadSamplingTracerParts) {
    this.propagation = propagation;
    this.#sampler = sampler;
    this.#active = activeSpans;
  }

  startSpan(name: string, options?: SpanOptions): Span {
    const parent = this.#parentOf(options?.parent);
    return this.#unseen(parent) ?? this.record(name, options, parent);
  }

  startServerSpan(read: HeaderReader, describe: () => ServerSpanDescription): Span {
    const caller = this.extract(read);
    const unseen = this.#unseen(caller);
    if (unseen) return unseen;
    const { name, attributes } = described(describe);
    return this.record(name, { kind: 'server', parent: caller ?? null, attributes }, caller);
  }

  extract(read: HeaderReader): SpanContext | undefined {
    try {
      const found = this.propagation.extract(read);
      if (found === undefined) return undefined;
      if (found === 'unsampled') return new UnsampledSpan(undefined, this.propagation);
      if (typeof found === 'string') return { ...NO_PLACE, debug: found === 'debug' };
      if (found.sampled !== undefined) return found as SpanContext;
      // The decision is ours, and holds for all that is asked of us about this trace.
      return { ...found, sampled: this.#sampler?.decide(undefined) ?? true };
    } catch {
      return undefined;
    }
  }

  activeSpan(): SpanContext | undefined {
    return this.#active.active();
  }

  runWith<T>(span: Span, work: () => T): T {
    return span === noopSpan ? work() : this.#active.runWith(span, work);
  }

  /** Starts a span that somebody will see. Must not throw: a tracer that fails must not fail what it watches. */
  protected abstract record(name: string, options: SpanOptions | undefined, parent: SpanContext | undefined): Span;

  /** What stands for a span that nobody will see; undefined for one that is recorded. */
  #unseen(parent: SpanContext | undefined): Span | undefined {
    // Nobody sees the children of a span that nobody sees: it stands for them all.
    if (parent instanceof UnsampledSpan) return parent;
    if (this.#sampler === undefined || this.#sampler.decide(parent)) return undefined;
    return new UnsampledSpan(parent, this.propagation);
  }

  #parentOf(given: SpanContext | null | undefined): SpanContext | undefined {
    if (given === null) return undefined;
    // A span that traces nothing comes from a part that has no tracer, and says nothing about the caller.
    return given === undefined || given === noopSpan ? this.#active.active() : given;
  }
}

/** A request is served and traced even if nobody can say what it is called. */
function described(describe: () => ServerSpanDescription): ServerSpanDescription {
  try {
    return describe();
  } catch {
    return { name: 'request' };
  }
}
