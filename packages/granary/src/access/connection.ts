import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { isLoopback } from '../config/address.js';

/** Where a connection comes from; empty when it is gone already. */
export function peerAddress(socket: Socket | undefined): string {
  return read(socket, ({ remoteAddress }) => remoteAddress) ?? '';
}

/** Whether a connection never left this machine. */
export function isLocal(socket: Socket | undefined): boolean {
  return (
    read(
      socket,
      ({ remoteAddress, localAddress }) => isLoopback(remoteAddress ?? '') && isLoopback(localAddress ?? ''),
    ) ?? false
  );
}

/**
 * What failed attempts are counted by: an IPv4 address, or the /64 network of an IPv6 address, because a client may
 * choose freely within it.
 */
export function clientNetwork(address: string): string {
  if (!address.includes(':') || address.startsWith('::ffff:')) return address.replace('::ffff:', '');
  const [head = '', tail] = address.split('%')[0]?.split('::') ?? [];
  const front = head === '' ? [] : head.split(':');
  if (tail === undefined) return front.slice(0, 4).join(':');
  const back = tail === '' ? [] : tail.split(':');
  const zeros = Array.from({ length: Math.max(0, 8 - front.length - back.length) }, () => '0');
  return [...front, ...zeros, ...back].slice(0, 4).join(':');
}

/**
 * The subject of the client certificate, if it was verified: `CN=ci,O=Example`, attributes in the certificate's order,
 * with a backslash before each comma, equals sign and backslash within a value.
 */
export function certificateSubject(
  socket: Socket | undefined,
): { subject: string; commonName: string | undefined } | undefined {
  const certificate = read(socket as TLSSocket | undefined, (tls) =>
    tls.encrypted && tls.authorized ? tls.getPeerCertificate() : undefined,
  );
  // A resumed session without a certificate counts as authorized too.
  if (!certificate?.raw) return undefined;
  const attributes = Object.entries(certificate.subject ?? {}).flatMap(([name, values]) =>
    [values].flat().map((value) => ({ name, text: `${name}=${String(value).replace(/[\\,=]/g, '\\$&')}` })),
  );
  return {
    subject: attributes.map(({ text }) => text).join(','),
    commonName: attributes.find(({ name }) => name === 'CN')?.text,
  };
}

/**
 * HTTP/2 hands out sockets that throw once their session is gone. Around a stream that is no socket (see
 * `UserinfoConnection`) they know neither addresses nor certificates, but the stream does.
 */
function read<S extends Socket, T>(socket: S | undefined, look: (socket: S) => T): T | undefined {
  try {
    const { stream } = (socket ?? {}) as { readonly stream?: { readonly connection?: S } };
    return socket && look(stream?.connection ?? socket);
  } catch {
    return undefined;
  }
}
