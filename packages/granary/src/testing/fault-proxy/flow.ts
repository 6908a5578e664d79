import type { Socket } from 'node:net';
import type { Effect, Fault, Point } from './fault.js';
import type { Position } from './position.js';

/** Bytes on their way in one direction; from there on the sender waits. */
const MOST_QUEUED_BYTES = 1024 * 1024;

interface Piece {
  readonly bytes: Buffer;
  readonly dueAt: number;
}

/** One direction of a connection. */
export class Flow {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #position: Position;
  readonly #onFault: (effect: Effect) => boolean;
  #fault: { readonly effect: Effect; readonly point: Point } | undefined;
  /** The effect that has begun. */
  #effect: Effect | undefined;
  readonly #queue: Piece[] = [];
  #queuedBytes = 0;
  #lineFreeAt = 0;
  #timer: NodeJS.Timeout | undefined;
  #ended = false;

  /** @param onFault asked when the point of a fault is reached; whether it happens */
  constructor(from: Socket, to: Socket, position: Position, onFault: (effect: Effect) => boolean) {
    this.#from = from;
    this.#to = to;
    this.#position = position;
    this.#onFault = onFault;
    from.on('data', (bytes: Buffer) => this.#take(bytes));
    from.on('end', () => {
      this.#ended = true;
      this.#send();
    });
    to.on('drain', () => this.#send());
  }

  set(fault: Fault): void {
    this.#fault = { effect: fault.effect as Effect, point: fault.point ?? { at: 'start' } };
    this.#position.reset();
  }

  /** No more faults; what is under way comes now. */
  heal(): void {
    this.#fault = undefined;
    this.#effect = undefined;
    this.#lineFreeAt = 0;
    for (const [i, { bytes }] of this.#queue.entries()) this.#queue[i] = { bytes, dueAt: 0 };
    this.#send();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#queue.length = 0;
  }

  #take(bytes: Buffer): void {
    const at = this.#position.advance(bytes, this.#fault?.point);
    const begins = at >= 0 ? this.#fault?.effect : undefined;
    if (begins && this.#onFault(begins)) {
      this.#fault = undefined;
      this.#pass(bytes.subarray(0, at));
      this.#begin(begins, bytes.subarray(at));
    } else this.#pass(bytes);
  }

  #begin(effect: Effect, rest: Buffer): void {
    if (effect.kind === 'reset') {
      this.#from.resetAndDestroy();
      this.#to.resetAndDestroy();
    } else if (effect.kind === 'truncate') {
      this.#to.end();
      this.#from.end();
      // What still comes is read, or the end would not be seen.
      this.#effect = { kind: 'black-hole' };
    } else if (effect.kind === 'stall') {
      this.#effect = effect;
      this.#from.pause();
    } else {
      if (effect.kind === 'corrupt') rest[0] = (rest[0] as number) ^ 0xff;
      else this.#effect = effect;
      this.#pass(rest);
    }
  }

  #pass(bytes: Buffer): void {
    if (bytes.length === 0 || this.#effect?.kind === 'black-hole') return;
    const now = performance.now();
    let dueAt = Math.max(now, this.#lineFreeAt);
    if (this.#effect?.kind === 'bandwidth') dueAt += (bytes.length * 1000) / this.#effect.bytesPerSecond;
    this.#lineFreeAt = dueAt;
    if (this.#effect?.kind === 'latency') dueAt += this.#effect.ms;
    this.#queue.push({ bytes, dueAt });
    this.#queuedBytes += bytes.length;
    if (this.#queuedBytes > MOST_QUEUED_BYTES) this.#from.pause();
    this.#send();
  }

  #send(): void {
    clearTimeout(this.#timer);
    for (let next = this.#queue[0]; next; next = this.#queue[0]) {
      if (this.#to.writableNeedDrain || this.#to.destroyed) return;
      const wait = next.dueAt - performance.now();
      if (wait > 0) {
        this.#timer = setTimeout(() => this.#send(), wait);
        return;
      }
      this.#queue.shift();
      this.#queuedBytes -= next.bytes.length;
      this.#to.write(next.bytes);
      if (this.#queuedBytes <= MOST_QUEUED_BYTES && this.#effect?.kind !== 'stall') this.#from.resume();
    }
    if (this.#ended) this.#to.end();
  }
}
