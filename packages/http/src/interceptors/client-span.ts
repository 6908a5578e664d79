import { quietly } from '@granary/resilience';
import type { Attributes, Span, SpanOptions, Tracer } from '@granary/telemetry';
import type { HttpDispatchOptions } from '../dispatch.js';
import { failureCode } from '../failure.js';

/** Methods that OpenTelemetry's conventions know; others could be anything, and are no names for spans. */
const METHODS: ReadonlySet<string> = new Set([
  'CONNECT',
  'DELETE',
  'GET',
  'HEAD',
  'OPTIONS',
  'PATCH',
  'POST',
  'PUT',
  'QUERY',
  'TRACE',
]);

const CLIENT: SpanOptions = { kind: 'client' };

/**
 * Starts the span of a call, by OpenTelemetry's conventions for HTTP clients. `url.full` is left out: paths and queries of
 * feeds hold keys.
 */
export function startClientSpan(tracer: Tracer, options: HttpDispatchOptions): Span {
  const { method, parentSpan } = options;
  const known = METHODS.has(method);
  const span = tracer.startSpan(
    known ? method : 'HTTP',
    parentSpan === undefined ? CLIENT : { kind: 'client', parent: parentSpan },
  );
  if (span.recording) span.setAttributes(attributesOf(options, known));
  return span;
}

/** Ends it, in error when there is one or when the status is from 400 on. */
export function endClientSpan(
  span: Span,
  { progress }: HttpDispatchOptions,
  statusCode: number | undefined,
  error: unknown,
): void {
  if (span.recording) {
    const resends = (progress?.attempts ?? 1) - 1;
    if (resends > 0) span.setAttribute('http.request.resend_count', resends);
    if (statusCode !== undefined) span.setAttribute('http.response.status_code', statusCode);
    if (error !== undefined) {
      span.recordError(error);
      span.setAttribute('error.type', errorType(error));
    } else if (statusCode !== undefined && statusCode >= 400) {
      span.setAttribute('error.type', String(statusCode));
      span.setStatus('error');
    }
  }
  span.end();
}

/** Says on the call's span, where there is one, what happens to the call on its way. */
export function addCallEvent({ span }: HttpDispatchOptions, name: string, attributes?: Attributes): void {
  if (span !== undefined) quietly(() => span.recording && span.addEvent(name, attributes));
}

function attributesOf({ method, origin, progress }: HttpDispatchOptions, known: boolean): Attributes {
  const url = progress?.url ?? new URL(origin ?? '');
  return {
    'http.request.method': known ? method : '_OTHER',
    'http.request.method_original': known ? undefined : method,
    'server.address': url.hostname.replace(/^\[|\]$/g, ''),
    'server.port': Number(url.port) || (url.protocol === 'https:' ? 443 : 80),
    'url.scheme': url.protocol.slice(0, -1),
  };
}

/** The code that callers see; for what has none, such as an abort, the class of the error. */
function errorType(error: unknown): string {
  const code = failureCode(error);
  return code === 'FAILED' && error instanceof Error ? error.name : code;
}
