import type { IncomingMessage, ServerResponse } from 'node:http';
import { TLSSocket } from 'node:tls';
import { type HeaderReader, type Logger, noopSpan, type Span, type SpanContext, type Tracer } from '@granary/telemetry';
import { pathOf } from './nuget-path.js';

/** Methods that OpenTelemetry's conventions for HTTP know: those of RFC 9110 and PATCH. */
const KNOWN = new Set(['CONNECT', 'DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT', 'TRACE']);
/** Longest text from a client that becomes an attribute, in UTF-16 units. */
const MAX_TEXT = 256;

/** The spans of requests for packages, as a server sees them, after OpenTelemetry's conventions for HTTP. */
export class ExchangeSpans {
  readonly tracer: Tracer;
  /** Of the request whose headers are being read, so that no request needs a function of its own. */
  #request: IncomingMessage | undefined;
  readonly #read: HeaderReader = (name) => this.#request?.headers[name]?.toString();

  constructor(tracer: Tracer) {
    this.tracer = tracer;
  }

  /** Begins the span of a request; costs next to nothing when nobody will see it. */
  start(request: IncomingMessage): Span {
    const { tracer } = this;
    if (!tracer.enabled) return noopSpan;
    this.#request = request;
    const parent = tracer.extract(this.#read) ?? null;
    this.#request = undefined;
    const method = KNOWN.has(request.method ?? '') ? request.method : undefined;
    const span = tracer.startSpan(`${method ?? 'HTTP'} nuget`, {
      kind: 'server',
      parent,
      attributes: { 'http.request.method': method ?? '_OTHER' },
    });
    if (span.recording) describe(span, request);
    return span;
  }
}

/** Ends a span that records. Of an answer that the client didn't wait for only the status that it was sent counts. */
export function endExchangeSpan(span: Span, response: ServerResponse, failure: unknown): void {
  const { statusCode } = response;
  if (response.headersSent) span.setAttribute('http.response.status_code', statusCode);
  if (!response.writableFinished) span.addEvent('the connection closed before the answer was complete');
  if (failure !== undefined) span.recordError(failure);
  if (statusCode >= 500) {
    if (failure === undefined) span.setStatus('error');
    span.setAttribute('error.type', String(statusCode));
  }
  span.end();
}

/** A logger whose lines can be found from the trace, and the trace from them. */
export function tracedLogger(logger: Logger, span: Span): Logger {
  const trace = traceOf(span, true);
  return trace ? logger.with({ trace_id: trace.traceId, span_id: trace.spanId }) : logger;
}

/** Undefined for a request of no trace, and for one whose trace isn't recorded where nobody writes a line about it. */
export function traceOf(span: Span, isLogged: boolean): Omit<SpanContext, 'traceState' | 'debug'> | undefined {
  const { sampled } = span;
  if (span === noopSpan || !(sampled || isLogged) || span.traceId === noopSpan.traceId) return undefined;
  return { traceId: span.traceId, spanId: span.spanId, sampled };
}

function describe(span: Span, { headers, socket, method = '', url = '' }: IncomingMessage): void {
  span.setAttributes({
    'http.request.method_original': KNOWN.has(method) ? undefined : bounded(method),
    'url.scheme': socket instanceof TLSSocket ? 'https' : 'http',
    'url.path': bounded(pathOf(url)),
    'network.protocol.version': '1.1',
    'user_agent.original': bounded(headers['user-agent']),
    'client.address': socket.remoteAddress,
    'network.peer.address': socket.remoteAddress,
    'network.peer.port': socket.remotePort,
  });
}

/** Text that a client chose, as an attribute: bounded, with no half of a character at its end; undefined for none. */
function bounded(text: string | undefined): string | undefined {
  if (!text) return undefined;
  return text.length <= MAX_TEXT ? text : text.slice(0, MAX_TEXT).replace(/[\ud800-\udbff]$/, '');
}
