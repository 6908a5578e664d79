import type { IncomingMessage, ServerResponse } from 'node:http';
import { TLSSocket } from 'node:tls';
import { type HeaderReader, noopSpan, type Span, type Tracer } from '@granary/telemetry';
import { boundedText, peerAttributes, serverAttributes } from '../edge/trace.js';
import { routeOf } from './cache-path.js';

/** Methods that OpenTelemetry's conventions for HTTP know: those of RFC 9110 and PATCH. */
const KNOWN = new Set(['CONNECT', 'DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT', 'TRACE']);

/** The spans of HTTP requests, as a server sees them, after OpenTelemetry's conventions for HTTP (stable since 1.23). */
export class ExchangeSpans {
  readonly tracer: Tracer;
  /** Of the request whose headers are being read, so that no request needs a function of its own. */
  #request: IncomingMessage | undefined;
  readonly #read: HeaderReader = (name) => {
    const value = this.#request?.headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  };

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
    const route = routeOf(request.url ?? '');
    const method = KNOWN.has(request.method ?? '') ? request.method : undefined;
    const span = tracer.startSpan(route ? `${method ?? 'HTTP'} ${route}` : (method ?? 'HTTP'), {
      kind: 'server',
      parent,
      attributes: { 'http.request.method': method ?? '_OTHER', 'http.route': route },
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

function describe(span: Span, request: IncomingMessage): void {
  const { headers, socket, url = '' } = request;
  const query = url.indexOf('?');
  span.setAttributes({
    'http.request.method_original': KNOWN.has(request.method ?? '') ? undefined : request.method,
    'url.scheme': socket instanceof TLSSocket ? 'https' : 'http',
    'url.path': boundedText(query === -1 ? url : url.slice(0, query)),
    'network.protocol.version': request.httpVersion,
    'user_agent.original': boundedText(headers['user-agent']),
  });
  span.setAttributes(serverAttributes(headers.host));
  span.setAttributes(peerAttributes(socket.remoteAddress, socket.remotePort));
}
