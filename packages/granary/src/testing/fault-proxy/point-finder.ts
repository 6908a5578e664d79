import type { Point } from './fault.js';

/** Compares the parts of messages, as they pass, with the point that is looked for. */
export class PointFinder {
  #point: Point | undefined;
  #found = -1;
  /** Bytes of bodies since {@link reset}. */
  #data = 0;
  #heads = 0;
  #ends = 0;

  reset(): void {
    this.#data = 0;
    this.#heads = 0;
    this.#ends = 0;
  }

  /** Begins with new bytes. */
  begin(point: Point | undefined): void {
    this.#point = point;
    this.#found = point?.at === 'start' ? 0 : -1;
  }

  /** Where in the bytes the point is, or -1. */
  get found(): number {
    return this.#found;
  }

  /** As much of the beginning of a message as came together. */
  head(at: number, length: number, method?: string): void {
    if (this.#point?.at !== 'head' || (this.#point.method ?? method) !== method) return;
    if (this.#heads++ === (this.#point.skip ?? 0)) this.#note(at + (length >> 1));
  }

  /** Bytes of a body. */
  data(at: number, length: number): void {
    if (this.#point?.at === 'data') {
      const left = this.#point.bytes - this.#data;
      if (left >= 0 && left < length) this.#note(at + left);
    }
    this.#data += length;
  }

  /** As much of the end of a message as came together. */
  end(at: number, length: number, method?: string): void {
    if (this.#point?.at !== 'end' || (this.#point.method ?? method) !== method) return;
    if (this.#ends++ === (this.#point.skip ?? 0)) this.#note(at + (length >> 1));
  }

  #note(at: number): void {
    if (this.#found < 0) this.#found = at;
  }
}
