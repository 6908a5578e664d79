import { Readable } from 'node:stream';
import { NuGetError } from '@granary/nuget';
import type { PackageContent } from '../feed/feed-content.js';
import type { Arrival } from './arrival.js';
import { etagOf, type PackageEntry } from './package-entry.js';
import { type ChunkReader, PulledStream } from './pulled-stream.js';

/** What is handed on at once. */
const PIECE_BYTES = 64 * 1024;

/** A package that still arrives, for one of those who have joined it. */
export class ArrivingPackage implements PackageContent {
  readonly state = 'miss';
  readonly #arrival: Arrival;
  /** Whether the join that this was made with is still its own. */
  #joined = true;

  constructor(arrival: Arrival) {
    this.#arrival = arrival;
  }

  get size(): number | undefined {
    return this.#arrival.length;
  }

  get etag(): string | undefined {
    return this.#entry && etagOf(this.#entry);
  }

  get lastModified(): Date | undefined {
    return this.#entry && new Date(this.#entry.storedAt);
  }

  open(part: { readonly offset?: number | undefined; readonly limit?: number | undefined } = {}): Readable {
    if (!this.#joined && !this.#arrival.join()) return failed();
    this.#joined = false;
    const { offset = 0, limit = Number.POSITIVE_INFINITY } = part;
    return new PulledStream(new ArrivingReader(this.#arrival, offset, offset + limit));
  }

  release(): void {
    if (!this.#joined) return;
    this.#joined = false;
    void this.#arrival.leave();
  }

  get #entry(): PackageEntry | undefined {
    const { state } = this.#arrival;
    return state.name === 'verified' || state.name === 'complete' ? state.entry : undefined;
  }
}

/** Reads a package while it arrives, from its own place and at its own speed. */
class ArrivingReader implements ChunkReader {
  readonly #arrival: Arrival;
  readonly #end: number;
  #position: number;
  #reading: Promise<Buffer> | undefined;
  #wake: (() => void) | undefined;
  #closed = false;

  constructor(arrival: Arrival, position: number, end: number) {
    this.#arrival = arrival;
    this.#position = position;
    this.#end = end;
  }

  next(): Buffer | undefined | Promise<Buffer | undefined> {
    const { state, readableTo } = this.#arrival;
    if (this.#closed || this.#position >= this.#end) return undefined;
    if (state.name === 'failed') throw state.error;
    const ready = Math.min(readableTo, this.#end) - this.#position;
    if (ready > 0) return this.#read(Math.min(ready, PIECE_BYTES));
    // Ends when it is stored, so that who has read it finds it.
    return state.name === 'complete' ? undefined : this.#nextWhenThereIsMore();
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#wake) this.#arrival.offProgress(this.#wake);
    this.#wake?.();
    await this.#reading?.catch(() => {});
    await this.#arrival.leave();
  }

  #read(length: number): Buffer | Promise<Buffer> {
    const bytes = this.#arrival.read(this.#position, length);
    if (!(bytes instanceof Promise)) {
      this.#position += bytes.length;
      return bytes;
    }
    this.#reading = bytes.then((read) => {
      this.#position += read.length;
      return read;
    });
    return this.#reading;
  }

  async #nextWhenThereIsMore(): Promise<Buffer | undefined> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      this.#arrival.onProgress(resolve);
    });
    this.#wake = undefined;
    return this.next();
  }
}

function failed(): Readable {
  const stream = new Readable({ read() {} });
  stream.destroy(new NuGetError('CLOSED', 'the package was released'));
  return stream;
}
