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
import { failureCode, isHostFailure } from './failure.js';
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
 *
 * What a stream itself fails with is told from what the server does.
 */
export function makingBodies(dispatch: Dispatch): Dispatch {
  const send = failing(dispatch);
  return (options, handler) => {
    if (options.body instanceof Readable) return send(options, new BodyWatch(handler, options.body, options));
    if (typeof options.body !== 'function') return send(options, handler);
    let body: Readable;
    try {
      body = options.body();
      checkUsable(body, { method: options.method, host: hostOf(options) });
    } catch (error) {
      handler.onResponseError?.(NO_CONTROLLER, error as Error);
      return true;
    }
    return send({ ...options, body }, new BodyOwner(handler, body, options));
  };
}

/**
 * Tells the handlers what a dispatcher throws, as undici's own tell it: they hold a place, a timer or a breaker's permit,
 * and would never give it back.
 */
function failing(dispatch: Dispatch): Dispatch {
  return (options, handler) => {
    try {
      return dispatch(options, handler);
    } catch (error) {
      handler.onResponseError?.(NO_CONTROLLER, error as Error);
      return true;
    }
  };
}

/**
 * Says of a stream's own error that it is one. It can look like the server's: a body that comes from another connection
 * breaks off with `ECONNRESET`, and neither is the host to blame for it nor would another attempt help.
 */
class BodyWatch extends ForwardingHandler {
  protected readonly body: Readable;
  readonly #request: HttpDispatchOptions;

  constructor(next: Handler, body: Readable, request: HttpDispatchOptions) {
    super(next);
    this.body = body;
    this.#request = request;
  }

  override onResponseError(controller: Controller, error: Error): void {
    const isOwn = !controller?.aborted && brokeOff(this.body, error) && isHostFailure(failureCode(error));
    super.onResponseError(controller, isOwn ? this.#failed(error) : error);
  }

  #failed(cause: Error): HttpError {
    const { method, progress } = this.#request;
    const details = { method, host: hostOf(this.#request), attempts: progress?.attempts, cause };
    return new HttpError('FAILED', 'the request body broke off', details);
  }
}

/** Whether this error began with the stream, as far as that can be told. */
function brokeOff(body: Readable, error: Error): boolean {
  const code = 'code' in error ? String(error.code) : '';
  // What undici says of a stream that was destroyed without an error.
  if (code === 'UND_ERR_ABORTED') return body.destroyed && !body.readableEnded;
  // A connection of HTTP/2 that breaks takes the stream with it before anybody is told, by the same error.
  return body.errored === error && !('syscall' in error) && !OF_CONNECTION.test(code);
}

const OF_CONNECTION = /^(ERR_HTTP2|ERR_STREAM_PREMATURE|UND_ERR)/;

/** Ends the stream that was made for a request with it: undici leaves one alone that it has not begun to send. */
class BodyOwner extends BodyWatch {
  constructor(next: Handler, body: Readable, request: HttpDispatchOptions) {
    super(next, body, request);
    hush(body);
  }

  override onResponseEnd(controller: Controller, trailers: Trailers): void {
    leave(this.body);
    super.onResponseEnd(controller, trailers);
  }

  override onResponseError(controller: Controller, error: Error): void {
    super.onResponseError(controller, error);
    leave(this.body);
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
