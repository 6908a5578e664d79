import { type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';

/** What a client is told whose request can't be read or didn't come in time; all others sent a bad one. */
const STATUS_BY_CODE: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};

/** How long a client may go on sending what can't be read, so that it gets to read why. */
const LINGER_MS = 2000;

/**
 * Answers requests that can't be read, as Node does by itself, and tells of them: no handler ever sees one. Of a request
 * that is at work already, and whose body goes wrong, its handler hears.
 *
 * @param latest each connection's latest answer
 */
export function answerMalformed(
  server: Server,
  latest: WeakMap<Socket, ServerResponse>,
  onRefused: (status: number, socket: Socket) => void,
): void {
  const answered = new WeakSet<Socket>();
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    // What else comes can be read as little.
    if (answered.has(socket)) return;
    const current = latest.get(socket);
    const isAtWork = current !== undefined && !current.writableFinished;
    // What has begun to be answered can't be answered otherwise.
    if (!socket.writable || (isAtWork && current.headersSent)) {
      socket.destroySoon();
      return;
    }
    const status = STATUS_BY_CODE[error.code ?? ''] ?? 400;
    socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\n\r\n`);
    // Its handler hears of it when the connection is gone.
    if (isAtWork) {
      socket.destroySoon();
      return;
    }
    answered.add(socket);
    const timer = setTimeout(() => socket.destroy(), LINGER_MS);
    socket.once('close', () => clearTimeout(timer));
    // Clients open connections in advance, too, over which no request ever comes.
    if (socket.bytesRead > 0) onRefused(status, socket);
  });
}
