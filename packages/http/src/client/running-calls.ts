import { MAX_TIMER_MS } from '@granary/resilience';
import { HttpError } from '../http-error.js';
import type { CallOwner, RunningCall } from './call.js';
import { Ring } from './ring.js';
import { SignalGroups } from './signal-groups.js';

/** The calls of a client that are not over yet: waiting, running, or with a body that still comes. */
export class RunningCalls implements CallOwner {
  readonly signals = new SignalGroups();
  readonly #calls = new Ring<RunningCall>();
  readonly #max: number;
  #onIdle = () => {};

  constructor(max: number) {
    this.#max = max;
  }

  /** @throws HttpError `QUEUE_FULL` when there are as many as there may be */
  checkRoom(method: string, host: string): void {
    if (this.#calls.size < this.#max) return;
    throw new HttpError('QUEUE_FULL', `the client has ${this.#max} calls already`, { method, host });
  }

  add(call: RunningCall): void {
    this.#calls.add(call);
  }

  over(call: RunningCall): void {
    this.#calls.delete(call);
    if (this.#calls.size === 0) this.#onIdle();
  }

  /** Resolves when all are over; those that aren't after so many milliseconds are ended. */
  async finish(graceMs: number): Promise<void> {
    if (this.#calls.size === 0) return;
    const idle = new Promise<void>((resolve) => {
      this.#onIdle = resolve;
    });
    const timer = setTimeout(
      () => {
        for (let call = this.#calls.some; call; call = this.#calls.some) call.abort(call.closedError());
      },
      Math.min(graceMs, MAX_TIMER_MS),
    );
    await idle;
    clearTimeout(timer);
  }
}
