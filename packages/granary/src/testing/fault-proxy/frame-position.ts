import type { Direction, Point } from './fault.js';
import { PointFinder } from './point-finder.js';
import type { Position } from './position.js';

/** `PRI * HTTP/2.0…`, with which a client begins. */
const PREFACE_BYTES = 24;
const FRAME_HEADER_BYTES = 9;
const DATA = 0;
const HEADERS = 1;
const END_STREAM = 1;

/** In HTTP/2 the head of a message is its headers, and the end is its trailers. */
export class FramePosition implements Position {
  readonly #finder = new PointFinder();
  readonly #header = Buffer.alloc(FRAME_HEADER_BYTES);
  #headerBytes = 0;
  #skip: number;
  #payload = 0;
  #type = -1;
  #flags = 0;
  #isBegun = false;

  constructor(direction: Direction) {
    this.#skip = direction === 'up' ? PREFACE_BYTES : 0;
  }

  reset(): void {
    this.#finder.reset();
  }

  advance(bytes: Buffer, point: Point | undefined): number {
    this.#finder.begin(point);
    let at = 0;
    while (at < bytes.length) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, bytes.length - at);
        this.#skip -= skipped;
        at += skipped;
      } else if (this.#payload === 0) {
        const copied = bytes.copy(this.#header, this.#headerBytes, at, at + FRAME_HEADER_BYTES - this.#headerBytes);
        this.#headerBytes += copied;
        at += copied;
        if (this.#headerBytes === FRAME_HEADER_BYTES) this.#beginFrame();
      } else {
        const length = Math.min(this.#payload, bytes.length - at);
        this.#pass(at, length);
        this.#isBegun = true;
        this.#payload -= length;
        at += length;
      }
    }
    return this.#finder.found;
  }

  #beginFrame(): void {
    this.#payload = this.#header.readUIntBE(0, 3);
    this.#type = this.#header[3] as number;
    this.#flags = this.#header[4] as number;
    this.#headerBytes = 0;
    this.#isBegun = false;
  }

  #pass(at: number, length: number): void {
    if (this.#type === DATA) this.#finder.data(at, length);
    if (this.#type !== HEADERS || this.#isBegun) return;
    if (this.#flags & END_STREAM) this.#finder.end(at, length);
    else this.#finder.head(at, length);
  }
}
