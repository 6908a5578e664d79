import { once } from 'node:events';
import type { Server, Socket } from 'node:net';
import type { Logger } from '@granary/telemetry';
import { formatAddress, type ListenAddress } from '../../config/address.js';
import type { ConnectionListener } from '../../metrics/connection-metrics.js';
import type { ClientAuth } from '../../tls/client-auth.js';
import type { TlsMaterial } from '../../tls/tls-material.js';

/** A port that serves. */
export interface Listener {
  /** The configuration key that asked for it, such as `listen.grpc`. */
  readonly key: string;
  /** Where it really listens: port 0 has become the one that the system chose. */
  readonly address: ListenAddress;
  readonly secure: boolean;
  /** New connections get these certificates; those that are open stay. */
  useTls(material: TlsMaterial): void;
  /** Takes no new connections and resolves when the requests that run are answered and every connection is closed. */
  drain(): Promise<void>;
  /** Ends every connection at once. */
  destroy(): void;
}

/** What every listener is made of. */
export interface ListenerOptions {
  readonly key: string;
  readonly address: ListenAddress;
  readonly tls: TlsMaterial | undefined;
  readonly clientAuth: ClientAuth;
  readonly maxConnections: number;
  /** Time for a TLS handshake. */
  readonly handshakeTimeoutMs: number;
  readonly onConnection?: ConnectionListener | undefined;
  /** Told of each connection beyond `maxConnections`. */
  readonly onConnectionRefused?: (() => void) | undefined;
  /** Default: nobody is told. */
  readonly logger?: Logger | undefined;
}

/** A port that can't be listened on. */
export class ListenError extends Error {
  readonly code = 'LISTEN_FAILED';

  /** @param owner the key of this server's own listener that has the port, if one has */
  constructor(key: string, address: ListenAddress, cause: NodeJS.ErrnoException, owner?: string) {
    super(`${key}: can't listen on ${formatAddress(address)}: ${reason(cause, owner)}`, { cause });
    this.name = 'ListenError';
  }
}

function reason(error: NodeJS.ErrnoException, owner: string | undefined): string {
  if (error.code === 'EADDRINUSE') {
    const state = owner === undefined ? 'in use' : `that of ${owner}`;
    return `the port is ${state}; choose another one, or 0 for any that is free`;
  }
  if (error.code === 'EACCES') return 'the port is reserved for privileged users; choose one above 1023';
  if (error.code === 'EADDRNOTAVAIL') return 'this machine has no such address';
  if (error.code === 'ENOTFOUND') return 'there is no such host';
  return error.message;
}

/**
 * Starts to listen and answers with the real address.
 *
 * @throws ListenError that names the key and the address
 */
export async function bind(server: Server, key: string, address: ListenAddress): Promise<ListenAddress> {
  try {
    server.listen(address);
    await once(server, 'listening');
  } catch (error) {
    throw new ListenError(key, address, error as NodeJS.ErrnoException);
  }
  const bound = server.address();
  return bound === null || typeof bound === 'string' ? address : { host: bound.address, port: bound.port };
}

/** Names a connection: a TLS handshake ends with another socket object than it begins with, and the same peer. */
export function peer(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort}`;
}
