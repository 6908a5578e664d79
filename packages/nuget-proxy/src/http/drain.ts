import type { IncomingMessage } from 'node:http';

/**
 * Lets the rest of a body pass by; false when it is over the limit or takes too long.
 *
 * @param received told how many bytes have come
 */
export async function drain(
  request: IncomingMessage,
  received: (bytes: number) => void,
  maxBytes: number,
  maxMs: number,
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
    const timer = setTimeout(settle, maxMs, false);
    request.on('data', count).once('end', ended).once('close', closed);
    request.resume();
  });
}
