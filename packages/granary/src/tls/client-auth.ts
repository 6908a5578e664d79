import type { TLSSocket, TlsOptions, Server as TlsServer } from 'node:tls';
import type { Config } from '../config/schema.js';

export type ClientAuth = Config['tls']['client_auth'];

/** What the TLS layer itself is told. It knows less than the five modes; {@link enforceClientAuth} does the rest. */
export function clientAuthOptions(mode: ClientAuth): Pick<TlsOptions, 'requestCert' | 'rejectUnauthorized'> {
  return { requestCert: mode !== 'none', rejectUnauthorized: mode === 'require_and_verify' };
}

/** Ends connections whose client certificate is missing or not verified where the mode asks for it. */
export function enforceClientAuth(server: TlsServer, mode: ClientAuth): void {
  server.prependListener('secureConnection', (socket) => {
    if (!isAcceptable(mode, socket)) socket.destroy();
  });
}

function isAcceptable(mode: ClientAuth, socket: TLSSocket): boolean {
  if (mode === 'none' || mode === 'request') return true;
  const given = socket.getPeerCertificate().raw !== undefined;
  if (mode === 'require') return given;
  return mode === 'verify_if_given' ? !given || socket.authorized : given && socket.authorized;
}
