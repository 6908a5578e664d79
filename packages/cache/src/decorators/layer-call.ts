import type { Span } from '@granary/telemetry';
import type { SetOptions } from '../layer.js';

/**
 * The options of a call as the layer inside sees them: the caller's, with a signal that also ends with the call's time.
 * An `AbortController` costs more than everything else here together, so there is none until a layer reads the signal.
 */
export class LayerCall implements SetOptions {
  readonly ttlMs: number | undefined;
  readonly graceMs: number | undefined;
  readonly span: Span | undefined;
  #controller: AbortController | undefined;
  #ended = false;
  #reason: unknown;

  constructor(options: SetOptions | undefined) {
    this.ttlMs = options?.ttlMs;
    this.graceMs = options?.graceMs;
    this.span = options?.span;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#ended) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** Tells the layer that nobody waits for it any more. */
  end(reason: unknown): void {
    this.#ended = true;
    this.#reason = reason;
    this.#controller?.abort(reason);
  }
}
