import type { IncomingMessage, ServerResponse } from 'node:http';
import { TLSSocket } from 'node:tls';
import { redactText } from '../logging/secrets/redaction.js';
import { noopSpan } from '../tracing/noop-tracer.js';
import type { HeaderReader, ServerSpanDescription, Span, Tracer } from '../tracing/tracer.js';
import { boundedText, peerAttributes, serverAttributes } from './connection-attributes.js';

/** Methods that OpenTelemetry's conventions for HTTP know: those of RFC 9110 and PATCH. */
const KNOWN = new Set(['CONNECT', 'DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT', 'TRACE']);

export interface HttpServerSpansOptions {
  /** The route of a request's target, of which there are few; undefined for none. Default: there are none. */
  readonly routeOf?: ((target: string) => string | undefined) | undefined;
  /** What stands behind the method in the names of spans without a route. Default: nothing. */
  readonly name?: string | undefined;
}

/** The spans of HTTP requests as a server sees them, after OpenTelemetry's conventions for HTTP (stable since 1.23). */
export class HttpServerSpans {
  readonly #tracer: Tracer;
  readonly #routeOf: HttpServerSpansOptions['routeOf'];
  readonly #name: string | undefined;
  /** The one whose span is being started, so that no request needs functions of its own. */
  #request: IncomingMessage | undefined;

  constructor(tracer: Tracer, { routeOf, name }: HttpServerSpansOptions = {}) {
    this.#tracer = tracer;
    this.#routeOf = routeOf;
    this.#name = name;
  }

  /**
   * Begins the span of a request, below the caller's where its headers name one. Costs next to nothing when nobody will
   * see it.
   */
  start(request: IncomingMessage): Span {
    if (!this.#tracer.enabled) return noopSpan;
    this.#request = request;
    const span = this.#tracer.startServerSpan(this.#read, this.#describe);
    this.#request = undefined;
    return span;
  }

  readonly #read: HeaderReader = (name) => {
    const value = this.#request?.headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  };

  readonly #describe = (): ServerSpanDescription => {
    const { headers, socket, method = '', url = '', httpVersion } = this.#request as IncomingMessage;
    const known = KNOWN.has(method) ? method : undefined;
    const route = this.#routeOf?.(url);
    const name = route ?? this.#name;
    const { remoteAddress, remotePort } = socket;
    const { host, 'user-agent': userAgent } = headers;
    const scheme = socket instanceof TLSSocket ? 'https' : 'http';
    const attributes = () => ({
      'http.request.method': known ?? '_OTHER',
      'http.request.method_original': known ? undefined : boundedText(method),
      'http.route': route,
      'url.scheme': scheme,
      'url.path': boundedText(redactText(pathOf(url))),
      'network.protocol.version': httpVersion,
      'user_agent.original': boundedText(userAgent && redactText(userAgent)),
      ...serverAttributes(host),
      ...peerAttributes(remoteAddress, remotePort),
    });
    return { name: name ? `${known ?? 'HTTP'} ${name}` : (known ?? 'HTTP'), attributes };
  };
}

/**
 * Ends a span that records, when its response has closed. Of an answer that the client didn't wait for only the status
 * that it was sent counts.
 *
 * @param failure the error behind a failure that is the server's own; undefined for none
 * @param isComplete whether all of the answer was sent, for who knows it better than the response
 */
export function endHttpServerSpan(
  span: Span,
  response: ServerResponse,
  failure: unknown,
  isComplete = response.writableFinished,
): void {
  const { statusCode } = response;
  if (response.headersSent) span.setAttribute('http.response.status_code', statusCode);
  if (!isComplete) span.addEvent('the connection closed before the answer was complete');
  if (failure !== undefined) span.recordError(failure);
  if (statusCode >= 500) {
    if (failure === undefined) span.setStatus('error');
    span.setAttribute('error.type', String(statusCode));
  }
  span.end();
}

/** Of a whole URL, as proxies are asked, what comes after its host: before it there may be a password. */
function pathOf(target: string): string {
  const path = target.startsWith('/') ? target : target.replace(/^https?:\/\/[^/?#]*/i, '');
  const query = path.indexOf('?');
  return query === -1 ? path : path.slice(0, query);
}
