import { createServer } from 'node:http2';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { HeaderRewriter } from './header-rewriter.js';
import { encodeHeader } from './hpack-decoder.js';

/**
 * A connection whose requests may have `user:password@` in their authority, as gRPC clients write a URL that holds it.
 * HTTP/2 forbids that (RFC 9113, section 8.3.1), and Node enforces it since a later 22: such requests are reset before
 * anyone sees them. So the credentials move into a header before Node looks.
 *
 * Costs a copy of what passes, because Node reads such a stream in JavaScript.
 */
export class UserinfoConnection extends Duplex {
  /** The connection itself, for its address and certificate. */
  readonly connection: Socket;
  readonly #rewriter = new HeaderRewriter();

  constructor(connection: Socket) {
    super({ allowHalfOpen: true });
    this.connection = connection;
    connection.on('data', (chunk: Buffer) => this.#received(chunk));
    connection.on('end', () => this.push(null));
    connection.on('error', (error) => this.destroy(error));
    connection.on('close', () => this.destroy());
    connection.pause();
  }

  #received(chunk: Buffer): void {
    try {
      let wanted = true;
      for (const part of this.#rewriter.rewrite(chunk)) if (part.length > 0) wanted = this.push(part);
      if (!wanted) this.connection.pause();
    } catch (error) {
      this.destroy(error as Error);
    }
  }

  override _read(): void {
    this.connection.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.connection.write(chunk, done);
  }

  override _writev(chunks: { chunk: Buffer; encoding: BufferEncoding }[], done: (error?: Error | null) => void): void {
    this.connection.cork();
    for (const [i, { chunk }] of chunks.entries()) {
      if (i === chunks.length - 1) this.connection.write(chunk, done);
      else this.connection.write(chunk);
    }
    this.connection.uncork();
  }

  override _final(done: (error?: Error | null) => void): void {
    this.connection.end(done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.connection.destroy();
    done(error);
  }
}

const RST_STREAM = 3;
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const EMPTY_SETTINGS = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);

/** Whether this Node resets requests with userinfo in their authority; found out by making one, within memory. */
export function refusesUserinfo(): Promise<boolean> {
  const block = encodeHeader([
    { name: ':authority', value: 'user:password@host' },
    { name: ':method', value: 'POST' },
    { name: ':path', value: '/' },
    { name: ':scheme', value: 'http' },
  ]);
  const head = Buffer.from([0, 0, block.length, 1, 5, 0, 0, 0, 1]);
  return new Promise((resolve) => {
    const server = createServer();
    const answer = (refused: boolean) => {
      resolve(refused);
      pipe.destroy();
    };
    const pipe: Duplex = new Duplex({
      read() {},
      write(chunk: Buffer, _encoding, done) {
        for (let at = 0; at + 9 <= chunk.length; at += 9 + chunk.readUIntBE(at, 3)) {
          if (chunk[at + 3] === RST_STREAM) answer(true);
        }
        done();
      },
    });
    pipe.on('error', () => resolve(true));
    pipe.on('close', () => resolve(true));
    server.on('stream', (stream) => {
      stream.on('error', () => {});
      answer(false);
    });
    server.on('sessionError', () => answer(true));
    server.emit('connection', pipe);
    pipe.push(Buffer.concat([PREFACE, EMPTY_SETTINGS, head, block]));
  });
}
