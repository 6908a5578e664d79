import type { Readable } from 'node:stream';
import { NuGetError } from '@granary/nuget';
import type { PackageContent, PackagePart, PackageReader } from '../../feed/feed-content.js';
import { etagOf, type PackageEntry } from '../package-entry.js';
import { PulledStream } from '../pulled-stream.js';
import type { Arrival } from './arrival.js';
import { SPOOL_READ_BYTES } from './spool.js';

/** A package that still arrives, for one of those who have joined it. */
export class ArrivingPackage implements PackageContent {
  readonly state: 'hit' | 'miss';
  readonly #arrival: Arrival;
  /** Whether the join that this was made with is still its own. */
  #joined = true;

  /** @param state whether somebody else had asked for it before */
  constructor(arrival: Arrival, state: 'hit' | 'miss') {
    this.#arrival = arrival;
    this.state = state;
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

  open(part: PackagePart = {}): Readable {
    return new PulledStream(this.#reader(part, undefined));
  }

  read(part: PackagePart = {}): PackageReader {
    let memory: Buffer | undefined;
    return this.#reader(part, () => {
      memory ??= Buffer.allocUnsafeSlow(SPOOL_READ_BYTES);
      return memory;
    });
  }

  release(): void {
    if (!this.#joined) return;
    this.#joined = false;
    void this.#arrival.leave();
  }

  #reader({ offset = 0, limit = Number.POSITIVE_INFINITY }: PackagePart, allocate?: () => Buffer): PackageReader {
    if (!this.#joined && !this.#arrival.join()) return released;
    this.#joined = false;
    return new ArrivingReader(this.#arrival, offset, offset + limit, allocate);
  }

  get #entry(): PackageEntry | undefined {
    const { state } = this.#arrival;
    return state.name === 'verified' || state.name === 'complete' ? state.entry : undefined;
  }
}

/** Reads a package while it arrives, from its own place and at its own speed. */
class ArrivingReader implements PackageReader {
  readonly #arrival: Arrival;
  readonly #end: number;
  readonly #allocate: (() => Buffer) | undefined;
  #position: number;
  #reading: Promise<Buffer> | undefined;
  #wake: (() => void) | undefined;
  #closed = false;

  constructor(arrival: Arrival, position: number, end: number, allocate: (() => Buffer) | undefined) {
    this.#arrival = arrival;
    this.#position = position;
    this.#end = end;
    this.#allocate = allocate;
  }

  next(): Buffer | undefined | Promise<Buffer | undefined> {
    const { state, readableTo, isWhole } = this.#arrival;
    if (this.#closed || this.#position >= this.#end) return undefined;
    if (state.name === 'failed') throw state.error;
    // Nobody has all of a part of a wrong package, either: with the other parts of the right one it would become a third.
    const ready = Math.min(readableTo, isWhole ? this.#end : this.#end - 1) - this.#position;
    if (ready > 0) return this.#read(Math.min(ready, SPOOL_READ_BYTES));
    // Ends when it is stored, so that who has read it finds it.
    if (state.name === 'complete') return undefined;
    this.#arrival.hurry();
    return this.#nextWhenThereIsMore();
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#wake) this.#arrival.offProgress(this.#wake);
    this.#wake?.();
    await this.#reading?.catch(() => {});
    await this.#arrival.leave();
  }

  #read(length: number): Buffer | Promise<Buffer> {
    const bytes = this.#arrival.read(this.#position, length, this.#allocate);
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

/** Of a package that was released, and is over. */
const released: PackageReader = {
  next: () => {
    throw new NuGetError('CLOSED', 'the package was released');
  },
  close: async () => {},
};
