import type { Socket } from 'node:net';
import type { buildConnector } from 'undici';

/**
 * Has connections end only when all that came over them was read. Where one ends while a response waits for its reader,
 * undici 7 fails an assertion that nobody can catch, and the process goes down: any answer with `connection: close` does
 * it that is read more slowly than it comes (nodejs/undici#5360, mended from 8 on, which needs a newer Node).
 */
export function endingWhenRead(connect: buildConnector.connector): buildConnector.connector {
  return (target, callback) =>
    connect(target, (...[error, socket]) => {
      if (error !== null) return callback(error, null);
      // Those of HTTP/2 aren't read as streams.
      if (!('alpnProtocol' in socket && socket.alpnProtocol === 'h2')) endWhenRead(socket);
      callback(null, socket);
    });
}

/** Told that there is something to read, undici reads until there is nothing, unless the response waits for its reader. */
function endWhenRead(socket: Socket): void {
  const { push, read, destroy } = socket;
  let hasEnded = false;
  let lastRead: unknown;

  const isDrained = (): boolean => {
    lastRead = undefined;
    return !socket.emit('readable') || lastRead === null;
  };

  const endIfDrained = () => {
    if (!hasEnded || socket.destroyed || !isDrained()) return;
    hasEnded = false;
    push.call(socket, null);
    read.call(socket, 0);
  };

  socket.push = (chunk: unknown, encoding?: BufferEncoding) => {
    if (chunk !== null) return push.call(socket, chunk, encoding);
    hasEnded = true;
    process.nextTick(endIfDrained);
    return false;
  };

  socket.read = (size?: number) => {
    const chunk: unknown = read.call(socket, size);
    // Node asks for 0 bytes to have more come.
    if (size === 0) return chunk;
    lastRead = chunk;
    // Not at once: undici reads before it knows whether the response goes on waiting.
    if (chunk === null && hasEnded) process.nextTick(endIfDrained);
    return chunk;
  };

  socket.destroy = (error?: Error & { readonly code?: unknown }) => {
    const isBroken = error === undefined || error === null ? !isDrained() : error.code === 'ECONNRESET';
    return destroy.call(socket, isBroken ? brokenOff(error) : error);
  };
}

/** By any other error than a reset, which undici takes for the end of a response that has no other. */
function brokenOff(cause: Error | undefined): Error {
  const error = new Error(cause?.message ?? 'the connection was closed before all that came was read', { cause });
  return Object.assign(error, { code: 'ECONNABORTED' });
}
