import type { ServerHttp2Session } from 'node:http2';
import { createServer, type Server as NetServer, type Socket } from 'node:net';
import { createServer as createTlsServer, Server as TlsServer } from 'node:tls';
import { survivesDraining } from '@granary/reapi';
import { type Server, ServerCredentials } from '@grpc/grpc-js';
import { clientAuthOptions, enforceClientAuth } from '../../tls/client-auth.js';
import { limitConnections } from './connection-limit.js';
import { bind, type Listener, type ListenerOptions, peer } from './listener.js';
import { ResetLimit } from './reset-limit.js';
import { useStreamTable } from './stream-table.js';
import { UserinfoConnection } from './userinfo/userinfo-connection.js';

/** Bytes that a client may send before it must wait for us: 64 KiB, HTTP/2's own, is one round trip per 64 KiB. */
const STREAM_WINDOW_BYTES = 1024 * 1024;
const CONNECTION_WINDOW_BYTES = 4 * STREAM_WINDOW_BYTES;

/** Time for a client to close its end of a connection that is over. */
const LINGER_MS = 1000;

export interface GrpcListenerOptions extends ListenerOptions {
  /** Whether credentials in the authority of a request must be moved before Node sees them. Default false. */
  readonly movesUserinfo?: boolean;
  /** How long a client that is drained may take to close its end of a connection without calls. Default 1000. */
  readonly lingerMs?: number;
}

/**
 * Lets a gRPC server serve on a port. The port is ours and the connections are handed over, because then a busy port
 * is an error with a code, certificates can be replaced while connections live, and connections can be counted.
 */
export async function listenGrpc(server: Server, options: GrpcListenerOptions): Promise<Listener> {
  const { tls, clientAuth, key } = options;
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  tuneSessions(server);

  const connections = new Connections(options.lingerMs ?? LINGER_MS);
  let draining = false;
  const accept = (socket: Socket) => {
    connections.opened(socket);
    options.onConnection?.(socket);
    // A connection that breaks concerns its own calls, which learn of it by themselves.
    socket.on('error', () => {});
    if (draining) socket.destroy();
    else if (!socket.destroyed)
      injector.injectConnection(options.movesUserinfo ? new UserinfoConnection(socket) : socket);
  };
  let port: NetServer;
  if (tls) {
    const secure = createTlsServer({
      ...tls,
      ...clientAuthOptions(clientAuth),
      ALPNProtocols: ['h2'],
      handshakeTimeout: options.handshakeTimeoutMs,
      noDelay: true,
    });
    enforceClientAuth(secure, clientAuth);
    secure.on('connection', (socket: Socket) => connections.began(socket));
    secure.on('secureConnection', accept);
    // Node leaves a connection open whose handshake failed or took too long.
    secure.on('tlsClientError', (_, socket) => socket.destroy());
    port = secure;
  } else {
    port = createServer({ noDelay: true }, accept);
  }
  limitConnections(port, options);
  const address = await bind(port, key, options.address);
  // From here on a failure concerns one connection that could not be accepted, not the port.
  port.on('error', () => {});

  return {
    key,
    address,
    secure: tls !== undefined,
    useTls(material) {
      if (port instanceof TlsServer) port.setSecureContext(material);
    },
    async drain() {
      draining = true;
      connections.endHandshakes();
      connections.endFinished();
      const closed = new Promise<void>((resolve) => port.close(() => resolve()));
      await new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
      await closed;
    },
    destroy() {
      port.close();
      server.forceShutdown();
      connections.end();
    },
  };
}

/** The connections of a port, those that are still shaking hands apart. */
class Connections {
  readonly #shaking = new Map<string, Socket>();
  readonly #open = new Set<Socket>();
  readonly #lingerMs: number;

  constructor(lingerMs: number) {
    this.#lingerMs = lingerMs;
  }

  began(socket: Socket): void {
    const key = peer(socket);
    this.#shaking.set(key, socket);
    socket.once('close', () => this.#shaking.delete(key));
  }

  opened(socket: Socket): void {
    this.#shaking.delete(peer(socket));
    this.#open.add(socket);
    socket.once('close', () => this.#open.delete(socket));
  }

  endHandshakes(): void {
    for (const socket of this.#shaking.values()) socket.destroy();
  }

  /**
   * Ends each connection some time after everything was sent over it and Node has closed its own end: then Node waits for
   * the client, which may never close the other.
   */
  endFinished(): void {
    for (const socket of this.#open) {
      socket.once('finish', () => {
        const timer = setTimeout(() => socket.destroy(), this.#lingerMs);
        socket.once('close', () => clearTimeout(timer));
      });
    }
  }

  end(): void {
    this.endHandshakes();
    for (const socket of this.#open) socket.destroy();
  }
}

interface Http2Settings {
  on(event: 'session', listener: (session: ServerHttp2Session) => void): void;
  updateSettings(settings: { initialWindowSize: number; maxConcurrentStreams?: number }): void;
}

/**
 * Wide windows, and streams in a {@link useStreamTable table}. grpc-js has no option for the windows of a server, only for
 * those of a client, and doesn't show its sessions. So this looks for its HTTP/2 servers; where it doesn't find them,
 * uploads over a slow network are slower, calls cost more, clients that cancel much lose calls that they don't, and
 * everything else is the same.
 */
function tuneSessions(server: Server): void {
  const { http2Servers, options } = server as unknown as {
    readonly http2Servers?: ReadonlyMap<Http2Settings, unknown>;
    readonly options?: Readonly<Record<string, number | undefined>>;
  };
  if (!(http2Servers instanceof Map)) return;
  const maxConcurrentStreams = options?.['grpc.max_concurrent_streams'];
  for (const http2 of http2Servers.keys() as Iterable<Http2Settings>) {
    http2.updateSettings({
      initialWindowSize: STREAM_WINDOW_BYTES,
      ...(maxConcurrentStreams !== undefined && { maxConcurrentStreams }),
    });
    http2.on('session', (session) => {
      session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
      survivesDraining(session);
      const resets = new ResetLimit(session);
      useStreamTable(session, (stream) => resets.watch(stream));
    });
  }
}
