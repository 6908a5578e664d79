import type { Duplex } from 'node:stream';
import type { Controller, Handler, ResponseHeaders, Trailers } from '../dispatch.js';

/**
 * Hands every event of a response on to the next handler; a subclass changes what it cares about.
 *
 * `onRequestStart` may come more than once, because a stage that waits or repeats names a new controller then: the
 * latest is the one to abort. Informational responses (1xx) come as `onResponseStart` too, before the real one. An
 * `onResponseError` can come at any time, and must never throw: undici would take it for a failure of its own.
 */
export class ForwardingHandler implements Handler {
  protected readonly next: Handler;

  constructor(next: Handler) {
    this.next = next;
  }

  onRequestStart(controller: Controller, context: unknown): void {
    this.next.onRequestStart?.(controller, context);
  }

  onRequestUpgrade(controller: Controller, statusCode: number, headers: ResponseHeaders, socket: Duplex): void {
    this.next.onRequestUpgrade?.(controller, statusCode, headers, socket);
  }

  onResponseStart(controller: Controller, statusCode: number, headers: ResponseHeaders, statusMessage?: string): void {
    this.next.onResponseStart?.(controller, statusCode, headers, statusMessage);
  }

  onResponseData(controller: Controller, chunk: Buffer): void {
    this.next.onResponseData?.(controller, chunk);
  }

  onResponseEnd(controller: Controller, trailers: Trailers): void {
    this.next.onResponseEnd?.(controller, trailers);
  }

  onResponseError(controller: Controller, error: Error): void {
    this.next.onResponseError?.(controller, error);
  }
}
