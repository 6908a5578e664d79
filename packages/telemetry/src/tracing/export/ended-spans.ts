import type { ReadableSpan } from '@opentelemetry/sdk-trace';

/** As many are handed on at once. */
const MOST = 64;
/** How long one waits for others. */
const WAIT_MS = 200;

/**
 * Spans that have ended, on their way to a processor. They go there many at once, and none while a request waits: what a
 * processor does is cold each time that it does it for one (benchmark `server-throughput`).
 */
export class EndedSpans {
  readonly #handOn: (span: ReadableSpan) => void;
  #spans: ReadableSpan[] = [];
  #timer: NodeJS.Timeout | undefined;

  /** @param handOn takes one; must not throw */
  constructor(handOn: (span: ReadableSpan) => void) {
    this.#handOn = handOn;
  }

  add(span: ReadableSpan): void {
    const waiting = this.#spans.push(span);
    if (waiting === MOST) this.flush();
    else if (waiting === 1) this.#timer = setTimeout(() => this.flush(), WAIT_MS).unref();
  }

  /** Hands on all that wait. */
  flush(): void {
    clearTimeout(this.#timer);
    const spans = this.#spans;
    this.#spans = [];
    for (const span of spans) this.#handOn(span);
  }
}
