import type { Attributes } from '../tracing/tracer.js';

/** Longest text from a client that becomes an attribute, in UTF-16 units. */
const MAX_TEXT = 256;

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
