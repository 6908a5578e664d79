import type { Readable } from 'node:stream';
import type { PackageReader } from '../../feed/feed-content.js';
import type { Exchange } from '../exchange.js';
import { HttpError } from '../http-error.js';

/** Bytes that the client takes in one go, or is taken to have stopped. */
const PIECE_BYTES = 256 * 1024;

/**
 * Sends a body at the client's pace, each chunk when the one before has left the process, and ends the answer only when all
 * of it was there. Closes the reader.
 *
 * @param begin sends the headers: called when the first chunk is there
 * @throws HttpError 499 when the client goes away, 408 when it takes nothing for too long; what the body fails with
 */
export async function sendChunks(
  exchange: Exchange,
  reader: PackageReader,
  length: number | undefined,
  begin: () => void,
): Promise<void> {
  const { response, edge } = exchange;
  let closing: Promise<void> | undefined;
  const close = () => {
    closing ??= reader.close().catch(() => {});
    return closing;
  };
  /** Ends the wait for the client, while there is one. */
  let giveUp: ((error: HttpError) => void) | undefined;
  const gone = () => {
    giveUp?.(wentAway());
    void close();
  };
  const stall = setTimeout(() => {
    if (giveUp) giveUp(new HttpError(408, 'the client takes nothing'));
    else stall.refresh();
  }, edge.sendIdleMs);
  const taken = (send: (done: (error?: Error | null) => void) => void) => {
    stall.refresh();
    return new Promise<void>((resolve, reject) => {
      giveUp = reject;
      send((error) => (error ? reject(wentAway()) : resolve()));
    }).finally(() => {
      giveUp = undefined;
    });
  };
  response.once('close', gone);
  try {
    if (response.destroyed) throw wentAway();
    // Who has all that was announced may leave, and need not wait for the body's end.
    while (exchange.bytesOut !== length) {
      const chunk = await reader.next();
      if (chunk === undefined) break;
      if (!response.headersSent) begin();
      for (let at = 0; at < chunk.length; at += PIECE_BYTES) {
        const piece = chunk.subarray(at, at + PIECE_BYTES);
        exchange.bytesOut += piece.length;
        // More than was announced would be taken for the next answer.
        if (length !== undefined && exchange.bytesOut > length) throw wrongLength(exchange, length);
        await taken((done) => response.write(piece, done));
      }
    }
    if (!response.headersSent) begin();
    if (exchange.bytesOut === length) {
      response.end();
      return;
    }
    if (response.destroyed) throw wentAway();
    if (length !== undefined) throw wrongLength(exchange, length);
    await taken((done) => response.end(done));
  } catch (error) {
    throw response.destroyed && !(error instanceof HttpError) ? wentAway() : error;
  } finally {
    clearTimeout(stall);
    response.off('close', gone);
    await close();
  }
}

/** What a stream gives; destroyed when that is closed. */
export function readerOf(stream: Readable): PackageReader {
  // One that is destroyed may still have something to say.
  stream.on('error', () => {});
  const chunks: AsyncIterator<Buffer> = stream[Symbol.asyncIterator]();
  return {
    next: async () => {
      const { done, value } = await chunks.next();
      return done ? undefined : value;
    },
    close: async () => {
      stream.destroy();
    },
  };
}

function wrongLength({ bytesOut }: Exchange, length: number): Error {
  return new Error(`a package has ${bytesOut} bytes instead of ${length}`);
}

function wentAway(): HttpError {
  return new HttpError(499, 'the client went away');
}
