import { type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';

/** What a client is told whose request can't be read or didn't come in time; all others sent a bad one. */
const STATUS_BY_CODE: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};

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
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    const current = latest.get(socket);
    const isAtWork = current !== undefined && !current.writableFinished;
    // What has begun to be answered can't be answered otherwise.
    if (socket.writable && !(isAtWork && current.headersSent)) {
      const status = STATUS_BY_CODE[error.code ?? ''] ?? 400;
      socket.write(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\n\r\n`);
      // Clients open connections in advance, too, over which no request ever comes.
      if (!isAtWork && socket.bytesRead > 0) onRefused(status, socket);
    }
    socket.destroySoon();
  });
}
