import type { Direction, Point } from './fault.js';
import { PointFinder } from './point-finder.js';
import type { Position } from './position.js';

/** - `line`: the length of a chunk, the line that ends one, or a trailer */
type Part = 'head' | 'body' | 'chunk' | 'line';

const NO_BODY = /^HTTP\/1\.1 (1..|204|304) /;

/** In HTTP/1.1 the end of a message is its last byte, also where it has no body. */
export class MessagePosition implements Position {
  readonly #finder = new PointFinder();
  readonly #direction: Direction;
  /** Of the requests that are not answered yet: what is answered to HEAD has no body. */
  readonly #methods: string[];
  /** Of the message that is under way. */
  #method: string | undefined;
  /** Whether that is known, which begins a message. */
  #isNamed = false;
  #part: Part = 'head';
  #text = '';
  #left = 0;
  /** Whether the last chunk has come. */
  #isLast = false;

  constructor(direction: Direction, methods: string[]) {
    this.#direction = direction;
    this.#methods = methods;
  }

  reset(): void {
    this.#finder.reset();
  }

  advance(bytes: Buffer, point: Point | undefined): number {
    this.#finder.begin(point);
    for (let at = 0; at < bytes.length; ) {
      if (this.#part === 'head') at = this.#head(bytes, at);
      else if (this.#part === 'line') at = this.#line(bytes, at);
      else at = this.#body(bytes, at);
    }
    return this.#finder.found;
  }

  #head(bytes: Buffer, from: number): number {
    const before = this.#text.length;
    this.#text += bytes.toString('latin1', from);
    const end = this.#text.indexOf('\r\n\r\n');
    const to = end < 0 ? bytes.length : from + end + 4 - before;
    if (before === 0) {
      this.#isNamed = false;
      this.#method = this.#direction === 'up' ? undefined : (this.#methods.shift() ?? '');
    }
    this.#method ??= /^(\w+) /.exec(this.#text)?.[1];
    if (!this.#isNamed && this.#method !== undefined) {
      this.#isNamed = true;
      this.#finder.head(from, to - from, this.#method);
    }
    if (end >= 0) this.#beginBody(this.#text.slice(0, end), to);
    return to;
  }

  #beginBody(head: string, to: number): void {
    this.#text = '';
    if (this.#direction === 'up') this.#methods.push(this.#method ?? '');
    const isBare = this.#direction === 'down' && (this.#method === 'HEAD' || NO_BODY.test(head));
    this.#left = isBare ? 0 : Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
    this.#isLast = false;
    if (!isBare && /^transfer-encoding: *chunked/im.test(head)) this.#part = 'line';
    else if (this.#left > 0) this.#part = 'body';
    else this.#end(to);
  }

  #body(bytes: Buffer, from: number): number {
    const length = Math.min(this.#left, bytes.length - from);
    this.#finder.data(from, length);
    this.#left -= length;
    if (this.#left === 0) {
      if (this.#part === 'chunk') this.#part = 'line';
      else this.#end(from + length);
    }
    return from + length;
  }

  #line(bytes: Buffer, from: number): number {
    const feed = bytes.indexOf(0x0a, from);
    const to = feed < 0 ? bytes.length : feed + 1;
    this.#text += bytes.toString('latin1', from, to);
    if (feed < 0) return to;
    const line = this.#text.trim();
    this.#text = '';
    if (this.#isLast && line === '') this.#end(to);
    else if (!this.#isLast && line !== '') {
      this.#left = Number.parseInt(line, 16);
      this.#isLast = this.#left === 0;
      this.#part = this.#isLast ? 'line' : 'chunk';
    }
    return to;
  }

  #end(to: number): void {
    this.#part = 'head';
    this.#finder.end(to - 1, 1, this.#method);
  }
}
