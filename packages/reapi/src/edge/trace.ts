import { type Attributes, type Logger, noopSpan, type Span } from '@granary/telemetry';

/** Longest text from a client that becomes an attribute, in UTF-16 units. */
const MAX_TEXT = 256;

/** Where a request has its place in a trace, for its record. */
export interface TraceIds {
  readonly traceId: string;
  readonly spanId: string;
  /** Whether the trace is recorded, and an id of it leads somewhere. */
  readonly sampled: boolean;
}

/**
 * Undefined for a request of no trace, and for one whose trace isn't recorded where nobody writes a line about it: its
 * ids would be made for nothing.
 *
 * @param isLogged whether somebody will write a line about the request
 */
export function traceOf(span: Span, isLogged: boolean): TraceIds | undefined {
  const { sampled } = span;
  if (span === noopSpan || !(sampled || isLogged) || span.traceId === noopSpan.traceId) return undefined;
  return { traceId: span.traceId, spanId: span.spanId, sampled };
}

/** A logger whose lines can be found from the trace, and the trace from them. */
export function tracedLogger(logger: Logger, span: Span): Logger {
  const trace = traceOf(span, true);
  return trace ? logger.with({ trace_id: trace.traceId, span_id: trace.spanId }) : logger;
}

/** Who is on the other end of the connection; a client behind a proxy is not looked for, since anyone can claim one. */
export function peerAttributes(address: string | undefined, port: number | undefined): Attributes {
  return { 'client.address': address, 'network.peer.address': address, 'network.peer.port': port };
}

/** The host that a client meant, without the credentials that may stand before it. */
export function serverAttributes(authority: string | undefined): Attributes {
  if (!authority) return {};
  const host = authority.slice(authority.lastIndexOf('@') + 1);
  const [, bracketed, plain, port] = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d{1,5}))?$/.exec(host) ?? [];
  return { 'server.address': boundedText(bracketed ?? plain), 'server.port': port ? Number(port) : undefined };
}

/** Text that a client chose, as an attribute: bounded, with no half of a character at its end; undefined for none. */
export function boundedText(text: string | undefined): string | undefined {
  if (!text) return undefined;
  return text.length <= MAX_TEXT ? text : text.slice(0, MAX_TEXT).replace(/[\ud800-\udbff]$/, '');
}
