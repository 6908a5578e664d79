import { Readable } from 'node:stream';

/** What is handed to a connection at a time: it takes the next one when this has left. */
const PIECE_BYTES = 64 * 1024;

/** A step between a command of the SDK and its connection. */
type Middleware = <A extends { readonly request: unknown }, R>(next: (args: A) => R) => (args: A) => R;

interface Command {
  readonly middlewareStack: {
    add(middleware: Middleware, place: { step: 'deserialize'; priority: 'low'; name: string }): void;
  };
}

/** Told that something gets on. */
export type OnProgress = () => void;

/**
 * What is on its way to a bucket, so that a slow line can be told from one that stands still: the SDK gives a body to its
 * connection as a whole, and says nothing before the answer.
 */
export class Traffic {
  readonly #waiting = new Set<{ readonly onProgress: OnProgress }>();

  /** The command, with its body in pieces; a body that nobody watches is sent as a whole. */
  watched<C extends Command>(command: C, onProgress: OnProgress | undefined): C {
    if (!onProgress) return command;
    const onPiece = () => this.tell(onProgress);
    // The last step before the connection: what is signed is the whole body.
    command.middlewareStack.add(
      (next) => (args) => {
        const request = args.request as { body?: unknown };
        if (request.body instanceof Uint8Array) request.body = new Pieces(request.body, onPiece);
        return next(args);
      },
      { step: 'deserialize', priority: 'low', name: 'bodyInPieces' },
    );
    return command;
  }

  /** Tells whoever gets on, and all who wait for others to. */
  tell(onProgress: OnProgress): void {
    onProgress();
    for (const waiting of this.#waiting) waiting.onProgress();
  }

  /** Waits for others to be done with what there is too little of, and gets on as long as they do. */
  async wait<T>(turn: Promise<T>, onProgress: OnProgress | undefined): Promise<T> {
    if (!onProgress) return turn;
    const waiting = { onProgress };
    this.#waiting.add(waiting);
    try {
      return await turn;
    } finally {
      this.#waiting.delete(waiting);
    }
  }
}

/** Bytes in pieces, which share their memory. */
class Pieces extends Readable {
  readonly #bytes: Uint8Array;
  readonly #onPiece: OnProgress;
  #at = 0;

  constructor(bytes: Uint8Array, onPiece: OnProgress) {
    super({ highWaterMark: PIECE_BYTES });
    this.#bytes = bytes;
    this.#onPiece = onPiece;
  }

  override _read(): void {
    if (this.#at > 0) this.#onPiece();
    const end = Math.min(this.#at + PIECE_BYTES, this.#bytes.length);
    if (this.#at < end) this.push(this.#bytes.subarray(this.#at, end));
    if (end === this.#bytes.length) this.push(null);
    this.#at = end;
  }
}
