import type { Controller, Handler } from '../dispatch.js';
import { ForwardingHandler } from './forwarding-handler.js';

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

/**
 * A request that waits for its turn, and then for its connection: what its handler may abort meanwhile, and the handler
 * that it is sent with.
 */
class WaitingRequest extends ForwardingHandler implements Controller {
  readonly paused = false;
  readonly rawHeaders = null;
  readonly rawTrailers = null;
  readonly #abort = new AbortController();
  /** It had its turn, and nobody has begun to send it: what has it now can't be told of an abort. */
  #isQueued = false;
  /** The next handler was told of an abort before there was anything to abort. */
  #isTold = false;

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
    if (this.aborted) return;
    this.#abort.abort(reason);
    if (!this.#isQueued) return;
    this.#isTold = true;
    this.next.onResponseError?.(this, reason);
  }

  pause(): void {}

  resume(): void {}

  /** Its turn has come; the handler to send it with. */
  readonly admit = (): Handler => {
    this.signal.throwIfAborted();
    this.#isQueued = true;
    return this;
  };

  override onRequestStart(controller: Controller, context: unknown): void {
    this.#isQueued = false;
    if (this.aborted) controller.abort(this.signal.reason);
    else super.onRequestStart(controller, context);
  }

  override onResponseError(controller: Controller, error: Error): void {
    this.#isQueued = false;
    if (!this.#isTold) super.onResponseError(controller, error);
  }
}

/**
 * Lets a request wait for `turn`, which sends it in the end, with the handler that `admit` gives it then. The handler can
 * abort it meanwhile; what `turn` rejects with is the request's error.
 */
export function waitForTurn(
  handler: Handler,
  turn: (signal: AbortSignal, admit: () => Handler) => Promise<unknown>,
): void {
  const request = new WaitingRequest(handler);
  handler.onRequestStart?.(request, {});
  turn(request.signal, request.admit).catch((error) => request.onResponseError(request, error));
}
