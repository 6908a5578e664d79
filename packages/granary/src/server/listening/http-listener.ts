import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from 'node:http';
import { createServer as createSecureServer, Server as HttpsServer } from 'node:https';
import type { Socket } from 'node:net';
import { clientAuthOptions, enforceClientAuth } from '../../tls/client-auth.js';
import { limitConnections } from './connection-limit.js';
import { bind, type Listener, type ListenerOptions, peer } from './listener.js';
import { answerMalformed } from './malformed-requests.js';

/** How long a client may go on sending what was refused, so that it gets to read why. */
const LINGER_MS = 2000;

/** A request that got no further than its listener, which `handle` never hears of. */
export interface RefusedRequest {
  /** Undefined where that could not be read. */
  readonly method: string | undefined;
  readonly status: number;
  readonly socket: Socket;
}

export interface HttpListenerOptions extends ListenerOptions {
  readonly maxHeaderBytes: number;
  /** Time for a request's header. */
  readonly headersTimeoutMs: number;
  /** Time for a whole request; 0 is no limit. */
  readonly requestTimeoutMs: number;
  /** How long a connection may stay open without a request. */
  readonly idleTimeoutMs: number;
  /** How long a connection may stand still while its client has yet to send a request or to take an answer. */
  readonly stallTimeoutMs: number;
  readonly handle: (request: IncomingMessage, response: ServerResponse) => void;
  /** Default: nobody is told. */
  readonly onRefused?: ((request: RefusedRequest) => void) | undefined;
}

/** Serves HTTP/1.1 on a port, over TLS where there are certificates. */
export async function listenHttp(options: HttpListenerOptions): Promise<Listener> {
  const { tls, clientAuth, key, onRefused = () => {} } = options;
  const serverOptions: ServerOptions = {
    maxHeaderSize: options.maxHeaderBytes,
    headersTimeout: headerTimeout(options),
    requestTimeout: options.requestTimeoutMs,
    keepAliveTimeout: options.idleTimeoutMs,
    connectionsCheckingInterval: Math.min(5_000, Math.max(100, options.headersTimeoutMs / 4)),
    noDelay: true,
    // Refused here, where it is told of.
    requireHostHeader: false,
  };
  const server: Server = tls
    ? createSecureServer({
        ...serverOptions,
        ...tls,
        ...clientAuthOptions(clientAuth),
        handshakeTimeout: options.handshakeTimeoutMs,
      })
    : createServer(serverOptions);
  if (server instanceof HttpsServer) {
    enforceClientAuth(server, clientAuth);
    // A handshake that failed or took too long is no malformed request, which Node tells of in the same way: there is
    // nobody to answer, and an answer would wait for the handshake.
    server.prependListener('tlsClientError', (_, socket) => socket.destroy());
  }
  // All of them: their bytes are limited, and Node leaves out those beyond a number of its own without a word.
  server.maxHeadersCount = 0;
  limitConnections(server, options);

  const unused = followUnused(server);
  const latest = endStalledConnections(server, options.stallTimeoutMs);
  answerMalformed(server, latest, (status, socket) => onRefused({ method: undefined, status, socket }));

  if (options.onConnection) server.on(tls ? 'secureConnection' : 'connection', options.onConnection);

  /** Connections that end with a refusal: more requests may come in before they do. */
  const over = new WeakSet<Socket>();
  const refuse = (request: IncomingMessage, response: ServerResponse, status: number, reason: string) => {
    const { method, socket } = request;
    onRefused({ method, status, socket });
    over.add(socket);
    // What else comes over this connection may have been meant for somebody else, or has no answer here any more.
    response.setHeader('Connection', 'close');
    const text = `${reason}\n`;
    response.writeHead(status, { 'Content-Type': 'text/plain', 'Content-Length': Buffer.byteLength(text) });
    response.write(text);
    endAfterBody(request, response);
  };
  let draining = false;
  const handle = (request: IncomingMessage, response: ServerResponse) => {
    if (over.has(request.socket)) return;
    // Node hands a pipelined request over while the one ahead of it is still at work, on whose effect it may depend.
    if (response.socket === null) {
      response.once('socket', () => handle(request, response));
      return;
    }
    if (!latest.has(request.socket)) unused.delete(peer(request.socket));
    latest.set(request.socket, response);
    const hosts = countHosts(request);
    if (hosts > 1 || (hosts === 0 && request.httpVersion === '1.1')) {
      refuse(request, response, 400, `the request has ${hosts === 0 ? 'no' : 'more than one'} Host header`);
      return;
    }
    if (request.httpVersion === '1.0' && request.headers['transfer-encoding'] !== undefined) {
      // A proxy on the way may have taken the chunks for requests of their own (RFC 9112, section 6.1).
      refuse(request, response, 400, 'HTTP/1.0 has no Transfer-Encoding');
      return;
    }
    if (!request.url?.startsWith('/')) toOriginForm(request);
    response.once('close', () => {
      if (draining) setImmediate(() => server.closeIdleConnections());
    });
    if (!draining) return options.handle(request, response);
    response.setHeader('Retry-After', '5');
    refuse(request, response, 503, 'the server is shutting down');
  };
  server.on('request', handle);
  // Without a listener Node says "100 Continue" before anyone has asked whether the body is wanted.
  server.on('checkContinue', handle);
  server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) =>
    refuse(request, response, 417, 'nothing is expected here but 100-continue'),
  );

  const address = await bind(server, key, options.address);
  server.on('error', () => {});
  return {
    key,
    address,
    secure: tls !== undefined,
    useTls(material) {
      if (server instanceof HttpsServer) server.setSecureContext(material);
    },
    async drain() {
      draining = true;
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeIdleConnections();
        for (const socket of unused.values()) socket.destroy();
      });
    },
    destroy() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/**
 * How often a request says which host it is for: once, or it is to be refused (RFC 9112, section 3.2). A proxy on the way
 * may have believed the other of two, and Node shows only the first.
 */
function countHosts({ rawHeaders }: IncomingMessage): number {
  let hosts = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string;
    if (name.length === 4 && name.toLowerCase() === 'host') hosts++;
  }
  return hosts;
}

/**
 * Ends an answer, and its connection, when the client has sent all of its body, or for long enough: what comes over a
 * connection that is closed makes it be reset, and the answer be lost.
 */
function endAfterBody(request: IncomingMessage, response: ServerResponse): void {
  const end = () => {
    clearTimeout(timer);
    response.end();
  };
  const timer = setTimeout(end, LINGER_MS);
  response.once('close', () => clearTimeout(timer));
  request.once('end', end).resume();
}

/** A header is a part of its request, and Node refuses to wait longer for it than for the whole. */
function headerTimeout({ headersTimeoutMs, requestTimeoutMs }: HttpListenerOptions): number {
  return requestTimeoutMs === 0 ? headersTimeoutMs : Math.min(headersTimeoutMs, requestTimeoutMs);
}

/**
 * Connections without a whole header of a request so far, by their peers. To Node these are not idle but at work, so that
 * a client which opened one in advance would hold up the end of the server.
 *
 * @returns whoever serves a connection's first request takes it out
 */
function followUnused(server: Server): Map<string, Socket> {
  const unused = new Map<string, Socket>();
  server.on('connection', (socket: Socket) => {
    const key = peer(socket);
    unused.set(key, socket);
    socket.once('close', () => {
      if (unused.get(key) === socket) unused.delete(key);
    });
  });
  return unused;
}

/**
 * Ends connections over which nothing went for a while, unless it is this server that has yet to answer: a client that
 * is gone, or does as if, would keep the room for its upload, or the blob that it reads, for hours.
 *
 * @returns to be told each connection's latest answer
 */
function endStalledConnections(server: Server, timeoutMs: number): WeakMap<Socket, ServerResponse> {
  const latest = new WeakMap<Socket, ServerResponse>();
  server.timeout = timeoutMs;
  server.on('timeout', (socket: Socket) => {
    const response = latest.get(socket);
    const isOurTurn = response?.req.complete && !response.writableEnded && socket.writableLength === 0;
    if (isOurTurn) socket.setTimeout(timeoutMs);
    else socket.destroy();
  });
  return latest;
}

/**
 * Takes a request for a whole URL, which clients send that take the server for a proxy, as one for its path; its host
 * stands for that of the header (RFC 9112, section 3.2.2).
 */
function toOriginForm(request: IncomingMessage): void {
  const [, host, target] = /^https?:\/\/([^/?#]*)(.*)$/is.exec(request.url ?? '') ?? [];
  if (host === undefined || target === undefined) return;
  request.headers.host = host;
  request.url = target.startsWith('/') ? target : `/${target}`;
}
