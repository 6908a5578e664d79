import { randomUUID } from 'node:crypto';
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder } from '@granary/cache/folders';
import type { ReceivedPackage } from '../../feed/feed-content.js';
import type { Exchange } from '../exchange.js';
import { HttpError } from '../http-error.js';
import { boundaryOf, FormParser } from './form-parser.js';
import { RequestBody } from './request-body.js';

/** What a form has around its file, at most. */
const FORM_BYTES = 1024 * 1024;
/** As many are written between two looks at the disk. */
const PIECE_BYTES = 4 * 1024 * 1024;
/** Bodies that are no package whatever is in them. What `curl --data-binary` says of everything is not among them. */
const FOREIGN = /^(?:multipart\/|text\/|image\/|application\/(?:json|xml|atom))/i;

export interface UploadsOptions {
  /** For files while they arrive, and until the feed has them. */
  readonly directory: string;
  /** Largest package, in bytes. */
  readonly maxPackageBytes: number;
  /** Most bytes in all files together. */
  readonly maxIncomingBytes: number;
  /** Asked before so many bytes are written to the disk; throws where there is no room for them. */
  readonly makeRoom: (bytes: number) => Promise<void>;
  /** How long a client may send nothing, in milliseconds. */
  readonly bodyIdleMs: number;
}

/** Takes what clients push into files, within limits. */
export class Uploads {
  readonly #options: UploadsOptions;
  #bytes = 0;

  constructor(options: UploadsOptions) {
    this.#options = options;
  }

  /**
   * Receives the package that a request has as its body, or as the first file of a form, lets it be used, and removes its
   * file unless that was moved away.
   *
   * @throws HttpError 400, 408, 413, 415, 507
   */
  async receive<T>(exchange: Exchange, use: (received: ReceivedPackage) => Promise<T>): Promise<T> {
    const { directory, bodyIdleMs, makeRoom } = this.#options;
    const pieces = this.#pieces(exchange);
    await makeFolder(directory);
    const path = join(directory, `${randomUUID()}.nupkg`);
    const body = new RequestBody(exchange, bodyIdleMs);
    let size = 0;
    let roomFor = 0;
    try {
      const file = await open(path, 'wx', 0o600);
      try {
        for await (const piece of pieces(body)) {
          this.#reserve(piece.length, size);
          size += piece.length;
          if (size > roomFor) {
            await makeRoom(size - roomFor + PIECE_BYTES);
            roomFor = size + PIECE_BYTES;
          }
          await writeAll(file, piece);
        }
      } finally {
        await file.close();
      }
      if (size === 0) throw new HttpError(400, 'there is no package in the body');
      return await use({ path, size });
    } finally {
      body.close();
      this.#bytes -= size;
      await unlink(path).catch(() => {});
    }
  }

  /** What reads the package out of the body. Refuses at once what isn't wanted, before any of it is sent. */
  #pieces({ request: { headers } }: Exchange): (body: RequestBody) => AsyncGenerator<Buffer> {
    const coding = headers['content-encoding']?.trim().toLowerCase() ?? 'identity';
    if (coding !== 'identity') throw new HttpError(415, 'packages are taken as they are, without a content coding');
    if (Number(headers['content-length'] ?? 0) > this.#options.maxPackageBytes + FORM_BYTES) throw this.#tooLarge();
    const type = headers['content-type'] ?? '';
    if (/^multipart\/form-data\b/i.test(type)) {
      const boundary = boundaryOf(type);
      return (body) => this.#fileOf(body, new FormParser(boundary));
    }
    if (FOREIGN.test(type)) throw new HttpError(415, 'a package is pushed as multipart/form-data or as it is');
    return wholeOf;
  }

  async *#fileOf(body: RequestBody, form: FormParser): AsyncGenerator<Buffer> {
    let left = this.#options.maxPackageBytes + FORM_BYTES;
    for (let chunk = await body.next(); chunk !== undefined; chunk = await body.next()) {
      left -= chunk.length;
      if (left < 0) throw this.#tooLarge();
      yield* form.push(chunk);
    }
    if (!form.isDone) throw new HttpError(400, 'the form ended before its end, or has no file in it');
  }

  #reserve(bytes: number, before: number): void {
    const { maxPackageBytes, maxIncomingBytes } = this.#options;
    if (before + bytes > maxPackageBytes) throw this.#tooLarge();
    if (this.#bytes + bytes > maxIncomingBytes) throw new HttpError(507, 'too much is being pushed at the same time');
    this.#bytes += bytes;
  }

  #tooLarge(): HttpError {
    return new HttpError(413, `a package has at most ${this.#options.maxPackageBytes} bytes here`);
  }
}

async function* wholeOf(body: RequestBody): AsyncGenerator<Buffer> {
  for (let chunk = await body.next(); chunk !== undefined; chunk = await body.next()) yield chunk;
}

async function writeAll(file: FileHandle, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at)).bytesWritten;
}
