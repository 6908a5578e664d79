import { TokenBucket } from '@granary/resilience';

/**
 * Resets of streams that a client may have at once and a second: fewer than the 1000 and 33 beyond which Node's HTTP/2
 * breaks the connection off.
 */
const BURST = 800;
const PER_SECOND = 30;

/** What Node has of a stream. */
export interface WatchedStream {
  /** 0 where it ended without an error. */
  readonly rstCode: number;
  readonly closed: boolean;
  /** Whether it ended before its answer did. */
  readonly aborted: boolean;
  /** Called with what is read, with null at its end, and once more with null when the stream is closed. */
  push(chunk: unknown, encoding?: BufferEncoding): boolean;
}

interface Session {
  readonly closed: boolean;
  close(): void;
}

/**
 * Closes connections with many reset streams before Node breaks them off, which it does to clients that reset streams as
 * an attack would, and with all their other calls: builds that cancel much, as with dynamic execution, lost their uploads so,
 * and so did clients whose uploads are answered before they have sent all, as those of blobs that are here: most reset such
 * a stream without an error.
 * A connection that is closed takes no new calls, lets those that it has end, and is no longer watched by Node; the client
 * opens another one without its user noticing.
 */
export class ResetLimit {
  readonly #session: Session;
  /** Made for the first reset: most connections have none. */
  #bucket: TokenBucket | undefined;

  constructor(session: Session) {
    this.#session = session;
  }

  /**
   * To be told of each stream before anything of it is read. Node says of a stream that was reset without an error what it
   * says of one that both sides have ended. Only the order differs: what the client ends, ends before the stream is closed.
   */
  watch(stream: WatchedStream): void {
    const { push } = stream;
    let halfClosed = false;
    let over = false;
    stream.push = (chunk, encoding) => {
      if (chunk === null && !stream.closed) {
        halfClosed = true;
      } else if (chunk === null && !over) {
        over = true;
        if (stream.rstCode !== 0 || stream.aborted || !halfClosed) this.#count();
      }
      return push.call(stream, chunk, encoding);
    };
  }

  #count(): void {
    if (this.#session.closed) return;
    this.#bucket ??= new TokenBucket({ capacity: BURST, refillRate: PER_SECOND });
    if (!this.#bucket.allow()) this.#session.close();
  }
}
