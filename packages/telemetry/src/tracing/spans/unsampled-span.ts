import type { TracePropagation } from '../propagation/propagation.js';
import { randomId } from '../trace-ids.js';
import type { HeaderWriter, Span, SpanContext } from '../tracer.js';

/**
 * A span of a trace that isn't recorded. It has ids, for log lines and for the processes that it calls, but makes them
 * when somebody asks: most of the time nobody does.
 */
export class UnsampledSpan implements Span {
  readonly #parent: SpanContext | undefined;
  readonly #propagation: TracePropagation;
  #traceId: string | undefined;
  #spanId: string | undefined;

  constructor(parent: SpanContext | undefined, propagation: TracePropagation) {
    this.#parent = parent;
    this.#propagation = propagation;
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

  get sampled(): boolean {
    return false;
  }

  get recording(): boolean {
    return false;
  }

  setAttribute(): void {}
  setAttributes(): void {}
  addEvent(): void {}
  recordError(): void {}
  setStatus(): void {}
  end(): void {}

  inject(write: HeaderWriter): void {
    try {
      this.#propagation.inject(this, write);
    } catch {
      // A request that cannot take the headers goes without them.
    }
  }
}
