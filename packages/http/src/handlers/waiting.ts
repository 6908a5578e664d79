import type { Controller, Handler } from '../dispatch.js';

/** Stands for a request that was never sent, where a handler is told of its failure. */
export const NO_CONTROLLER: Controller = Object.freeze({
  aborted: false,
  paused: false,
  reason: null,
  rawHeaders: null,
  rawTrailers: null,
  abort: () => {},
  pause: () => {},
  resume: () => {},
});

/** What a handler may abort while its request waits for its turn, before there is a connection. */
class WaitingController implements Controller {
  readonly #abort = new AbortController();
  readonly paused = false;
  readonly rawHeaders = null;
  readonly rawTrailers = null;

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get aborted(): boolean {
    return this.#abort.signal.aborted;
  }

  get reason(): Error | null {
    return this.aborted ? this.#abort.signal.reason : null;
  }

  abort(reason: Error): void {
    this.#abort.abort(reason);
  }

  pause(): void {}

  resume(): void {}
}

/**
 * Lets a request wait for `turn`, which sends it in the end. The handler can abort it meanwhile; what `turn` rejects with
 * is the request's error.
 */
export function waitForTurn(handler: Handler, turn: (signal: AbortSignal) => Promise<unknown>): void {
  const controller = new WaitingController();
  handler.onRequestStart?.(controller, {});
  turn(controller.signal).catch((error) => handler.onResponseError?.(controller, error));
}
