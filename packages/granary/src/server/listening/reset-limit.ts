import { TokenBucket } from '@granary/resilience';

/**
 * Resets of streams that a client may have at once and a second: fewer than the 1000 and 33 beyond which Node's HTTP/2
 * breaks the connection off.
 */
const BURST = 800;
const PER_SECOND = 30;

/** What Node says of a stream. */
export interface EndedStream {
  /** 0 where it ended without an error. */
  readonly rstCode: number;
}

interface Session {
  readonly closed: boolean;
  close(): void;
}

/**
 * Closes connections with many cancelled calls before Node breaks them off, which it does to clients that reset streams as
 * an attack would, and with all their other calls: builds that cancel much, as with dynamic execution, lost their uploads so.
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

  /** To be told of each stream that has ended. */
  ended({ rstCode }: EndedStream): void {
    if (rstCode === 0 || this.#session.closed) return;
    this.#bucket ??= new TokenBucket({ capacity: BURST, refillRate: PER_SECOND });
    if (!this.#bucket.allow()) this.#session.close();
  }
}
