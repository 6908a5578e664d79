import type { IncomingMessage } from 'node:http';

/** Told how many bytes have arrived. */
export type ByteListener = (bytes: number) => void;

/** Lets the rest of a body pass by; false when it is over the limit or takes too long. */
export async function drain(
  request: IncomingMessage,
  received: ByteListener,
  maxBytes: number,
  maxMs?: number,
): Promise<boolean> {
  if (request.complete) received(request.readableLength);
  if (request.complete || request.readableEnded) return true;
  if (request.destroyed) return false;
  const announced = request.headers['content-length'];
  if (announced === undefined && request.headers['transfer-encoding'] === undefined) return true;
  if (Number(announced) > maxBytes) return false;
  let bytes = 0;
  return new Promise((resolve) => {
    const settle = (drained: boolean) => {
      clearTimeout(timer);
      request.off('data', count).off('end', ended).off('close', closed);
      resolve(drained);
    };
    const count = (chunk: Buffer) => {
      bytes += chunk.length;
      received(chunk.length);
      if (bytes > maxBytes) settle(false);
    };
    const ended = () => settle(true);
    const closed = () => settle(false);
    const timer = maxMs === undefined ? undefined : setTimeout(settle, maxMs, false);
    request.on('data', count).once('end', ended).once('close', closed);
    request.resume();
  });
}

/**
 * Counts what is left of a body that nobody reads, without taking it: Node lets it pass by once the answer is sent.
 *
 * @returns undefined when all of it is here or none will come; else resolves when no more comes
 */
export function countRest(request: IncomingMessage, received: ByteListener): Promise<void> | undefined {
  if (request.complete) {
    received(request.readableLength);
    return undefined;
  }
  if (request.destroyed) return undefined;
  const { socket } = request;
  return new Promise((resolve) => {
    const count = (chunk: Buffer) => received(chunk.length);
    const settle = () => {
      request.off('data', count).off('end', settle);
      socket.off('close', settle);
      resolve();
    };
    // A request whose answer is out doesn't hear that its connection broke.
    socket.once('close', settle);
    // Listened to from before the answer on, since Node throws away what then has no reader.
    request.on('data', count).once('end', settle).resume();
  });
}
