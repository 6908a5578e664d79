import type { Point } from './fault.js';
import { PointFinder } from './point-finder.js';
import type { Position } from './position.js';

const CRLF_BYTES = 2;

/** In the protocol of Redis, commands and replies have bodies alike: the text of their strings, numbers and states. */
export class ReplyPosition implements Position {
  readonly #finder = new PointFinder();
  #line = '';
  /** Of a string, with what ends it. */
  #left = 0;
  /** Values that are still to come of each list that is open. */
  readonly #lists: number[] = [];

  reset(): void {
    this.#finder.reset();
  }

  advance(bytes: Buffer, point: Point | undefined): number {
    this.#finder.begin(point);
    for (let at = 0; at < bytes.length; ) at = this.#left > 0 ? this.#string(bytes, at) : this.#value(bytes, at);
    return this.#finder.found;
  }

  #string(bytes: Buffer, from: number): number {
    const length = Math.min(this.#left, bytes.length - from);
    const text = Math.min(length, this.#left - CRLF_BYTES);
    if (text > 0) this.#finder.data(from, text);
    this.#left -= length;
    if (this.#left === 0) this.#endValue(from + length);
    return from + length;
  }

  #value(bytes: Buffer, from: number): number {
    const feed = bytes.indexOf(0x0a, from);
    const to = feed < 0 ? bytes.length : feed + 1;
    if (this.#line === '' && this.#lists.length === 0) this.#finder.head(from, to - from);
    this.#line += bytes.toString('latin1', from, to);
    if (feed < 0) return to;
    const type = this.#line[0];
    const text = this.#line.slice(1, -CRLF_BYTES);
    this.#line = '';
    if (type === '*' && Number(text) > 0) this.#lists.push(Number(text));
    else if (type === '$' && Number(text) >= 0) this.#left = Number(text) + CRLF_BYTES;
    else {
      this.#finder.data(Math.max(from, to - CRLF_BYTES - text.length), text.length);
      this.#endValue(to);
    }
    return to;
  }

  #endValue(to: number): void {
    for (let left = this.#lists.pop(); left !== undefined; left = this.#lists.pop()) {
      if (left > 1) {
        this.#lists.push(left - 1);
        return;
      }
    }
    this.#finder.end(to - 1, 1);
  }
}
