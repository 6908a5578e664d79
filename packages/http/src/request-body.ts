import { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import {
  type Controller,
  type Dispatch,
  type Handler,
  type HttpDispatchOptions,
  hostOf,
  type Trailers,
} from './dispatch.js';
import { ForwardingHandler } from './handlers/forwarding-handler.js';
import { NO_CONTROLLER } from './handlers/waiting.js';
import { HttpError, type HttpErrorDetails } from './http-error.js';

type Body = HttpDispatchOptions['body'];

/** Whether this body is the same when it is sent again. */
export function isRepeatable(body: Body): boolean {
  return body === undefined || body === null || isBytes(body) || typeof body === 'function';
}

const isBytes = (body: unknown): boolean => typeof body === 'string' || body instanceof Uint8Array;

/**
 * Makes the stream of a body that is a function, for a dispatcher that knows streams only. It is made when the request is
 * sent, not before: one that waits for its turn has no open file yet, and one that is refused never has.
 */
export function makingBodies(dispatch: Dispatch): Dispatch {
  return (options, handler) => {
    if (typeof options.body !== 'function') return dispatch(options, handler);
    let body: Readable;
    try {
      body = options.body();
      checkUsable(body, { method: options.method, host: hostOf(options) });
    } catch (error) {
      handler.onResponseError?.(NO_CONTROLLER, error as Error);
      return true;
    }
    return dispatch({ ...options, body }, new BodyOwner(handler, body));
  };
}

/** Ends the stream that was made for a request with it: undici leaves one alone that it has not begun to send. */
class BodyOwner extends ForwardingHandler {
  readonly #body: Readable;

  constructor(next: Handler, body: Readable) {
    super(next);
    this.#body = body;
    hush(body);
  }

  override onResponseEnd(controller: Controller, trailers: Trailers): void {
    leave(this.#body);
    super.onResponseEnd(controller, trailers);
  }

  override onResponseError(controller: Controller, error: Error): void {
    leave(this.#body);
    super.onResponseError(controller, error);
  }
}

/** Takes a stream over: what it fails with while nobody reads it is found when it is sent, and is no uncaught exception. */
export function hush(body: unknown): void {
  if (body instanceof Readable) body.on('error', ignore);
}

/**
 * Refuses a stream that has ended already, which would be sent as an empty body: a function that makes a new one each time
 * may have given the same again.
 */
export function checkUsable(body: unknown, details: HttpErrorDetails): void {
  if (!(body instanceof Readable) || body.errored || !(body.destroyed || body.readableEnded)) return;
  throw new HttpError('INVALID_REQUEST', 'the body is a stream that was read or destroyed before', details);
}

/** Closes a stream that is not sent any more. */
export function leave(body: unknown): void {
  // A request that a server has got is the server's: to destroy it would take the connection from its answer.
  if (body instanceof Readable && !(body instanceof IncomingMessage)) body.destroy();
}

const ignore = () => {};
