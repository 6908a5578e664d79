import type { Duplex } from 'node:stream';
import { SemaphoreThrottle, type Throttle } from '@granary/resilience';
import type { Controller, Dispatch, Handler, HttpInterceptor, ResponseHeaders, Trailers } from '../dispatch.js';
import { ForwardingHandler } from '../handlers/forwarding-handler.js';
import { NO_CONTROLLER, waitForTurn } from '../handlers/waiting.js';
import { addCallEvent } from './client-span.js';
import { interceptor } from './interceptor.js';

/**
 * Sends a request when the throttle gives it a place, and keeps the place until the response's body has come to its end.
 * Read every body, or destroy it: one that nobody reads keeps its place until the call's deadline.
 *
 * @param given a throttle that others use, too, or what to make one with
 * @throws InvalidOptionError that names the option
 */
export function throttle(
  given: Throttle | { readonly max: number; readonly maxQueue?: number | undefined },
): HttpInterceptor {
  const limit = 'run' in given ? given : new SemaphoreThrottle(given.max, { maxQueue: given.maxQueue });
  return interceptor(
    (dispatch: Dispatch): Dispatch =>
      (options, handler) => {
        const send = (next: Handler) =>
          new Promise<void>((done) => void dispatch(options, new ThrottledHandler(next, done)));
        // Who finds a place needs nothing to be told of an abort with.
        if (limit instanceof SemaphoreThrottle && limit.active < limit.max) {
          limit.run(() => send(handler)).catch((error) => handler.onResponseError?.(NO_CONTROLLER, error));
        } else {
          addCallEvent(options, 'throttle.waiting');
          waitForTurn(handler, (signal, admit) => {
            const sendAtLast = async () => {
              const admitted = admit();
              addCallEvent(options, 'throttle.admitted');
              await send(admitted);
            };
            return limit.run(sendAtLast, { signal });
          });
        }
        return true;
      },
  );
}

class ThrottledHandler extends ForwardingHandler {
  readonly #done: () => void;

  constructor(next: Handler, done: () => void) {
    super(next);
    this.#done = done;
  }

  /** A request that has become a connection of its own is no request any more. */
  override onRequestUpgrade(controller: Controller, status: number, headers: ResponseHeaders, socket: Duplex): void {
    this.#done();
    super.onRequestUpgrade(controller, status, headers, socket);
  }

  override onResponseEnd(controller: Controller, trailers: Trailers): void {
    this.#done();
    super.onResponseEnd(controller, trailers);
  }

  override onResponseError(controller: Controller, error: Error): void {
    this.#done();
    super.onResponseError(controller, error);
  }
}
