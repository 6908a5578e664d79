import type { Direction, Point } from './fault.js';

/** `PRI * HTTP/2.0…`, with which a client begins. */
const PREFACE_BYTES = 24;
const FRAME_HEADER_BYTES = 9;
const DATA = 0;
const HEADERS = 1;
const END_STREAM = 1;

/** Knows, in one direction of a connection, which frame of HTTP/2 each byte belongs to. */
export class FramePosition {
  readonly #header = Buffer.alloc(FRAME_HEADER_BYTES);
  #headerBytes = 0;
  #skip: number;
  #payload = 0;
  #type = -1;
  #flags = 0;
  /** Of the frame that is under way. */
  #seen = 0;
  /** Bytes of bodies since {@link reset}. */
  #data = 0;
  /** Headers and trailers since then. */
  #met = 0;

  constructor(direction: Direction) {
    this.#skip = direction === 'up' ? PREFACE_BYTES : 0;
  }

  /** Counts bodies from here on. */
  reset(): void {
    this.#data = 0;
    this.#met = 0;
  }

  /** Reads the bytes; answers where in them the point is, or -1. After that it is to be read to the end all the same. */
  advance(bytes: Buffer, point: Point | undefined): number {
    let found = point?.at === 'start' ? 0 : -1;
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
        if (found < 0 && point) found = this.#find(at, length, point);
        if (this.#type === DATA) this.#data += length;
        this.#seen += length;
        this.#payload -= length;
        at += length;
      }
    }
    return found;
  }

  #beginFrame(): void {
    this.#payload = this.#header.readUIntBE(0, 3);
    this.#type = this.#header[3] as number;
    this.#flags = this.#header[4] as number;
    this.#headerBytes = 0;
    this.#seen = 0;
  }

  #find(at: number, length: number, point: Point): number {
    if (point.at === 'data') {
      const left = point.bytes - this.#data;
      return this.#type === DATA && left >= 0 && left < length ? at + left : -1;
    }
    if (point.at === 'start' || this.#type !== HEADERS || this.#seen > 0) return -1;
    const ends = (this.#flags & END_STREAM) !== 0;
    if (ends !== (point.at === 'trailers')) return -1;
    return this.#met++ === (point.skip ?? 0) ? at + (length >> 1) : -1;
  }
}
