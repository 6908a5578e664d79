import { isThenable } from '../is-thenable.js';
import type { Span, SpanOptions, Tracer } from './tracer.js';

/**
 * Runs a piece of work as a span: the span is active meanwhile, records what the work throws or rejects with, and ends
 * with it. A span that isn't recorded is active too, so that no part of its work begins a trace of its own. A tracer that
 * is off calls the work and no more.
 */
export function withSpan<T>(tracer: Tracer, name: string, options: SpanOptions, work: (span: Span) => T): T {
  const span = tracer.startSpan(name, options);
  if (!tracer.enabled) return work(span);
  let result: T;
  try {
    result = tracer.runWith(span, () => begun(work(span)));
  } catch (error) {
    fail(span, error);
    throw error;
  }
  if (result instanceof Promise) {
    return result.then(
      (value) => {
        span.end();
        return value;
      },
      (error: unknown) => {
        fail(span, error);
        throw error;
      },
    ) as T;
  }
  span.end();
  return result;
}

/** Such a query begins when it is asked for its result, and again when it is asked once more. */
function begun<T>(result: T): T {
  return isThenable(result) && !(result instanceof Promise) ? (Promise.resolve(result) as T) : result;
}

function fail(span: Span, error: unknown): void {
  span.recordError(error);
  span.end();
}
