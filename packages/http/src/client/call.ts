import type { Readable } from 'node:stream';
import type { CallProgress, Controller, Handler, ResponseHeaders } from '../dispatch.js';
import { toHttpError } from '../failure.js';
import { HttpError, type HttpErrorCode } from '../http-error.js';
import { leave } from '../request-body.js';
import { Linked } from './ring.js';
import type { SignalGroups, SignalMember } from './signal-groups.js';

/** A call as its client keeps it while it runs. */
export interface RunningCall extends Linked {
  /** Ends the call with this reason. */
  abort(reason: Error): void;
  /** The reason for ending it when its client is closed. */
  closedError(): HttpError;
}

/** Who starts a call and wants to hear of its end. */
export interface CallOwner {
  readonly signals: SignalGroups;
  over(call: RunningCall): void;
}

/**
 * The last handler of a call: it turns what happens into one promise, and whatever fails into an {@link HttpError}. An
 * abort is answered at once, whatever the request is doing, and rejects with the signal's reason.
 */
export abstract class Call<T> extends Linked implements Handler, CallProgress, RunningCall {
  readonly promise: Promise<T>;
  /** Whether the response may begin anew when its body breaks off. */
  abstract readonly restartable: boolean;
  readonly method: string;
  attempts = 0;
  url: URL;
  statusCode: number | undefined;
  /** The stream that is its body, which ends with it. */
  body: Readable | undefined;
  readonly #owner: CallOwner;
  readonly #listening: SignalMember | undefined;
  #resolve: (value: T) => void = () => {};
  #reject: (reason: unknown) => void = () => {};
  #controller: Controller | undefined;
  #over = false;
  /** Why the caller gave up, where the request could not be told yet. */
  #pendingAbort: Error | undefined;

  constructor(method: string, url: URL, signal: AbortSignal | undefined, owner: CallOwner) {
    super();
    this.method = method;
    this.url = url;
    this.#owner = owner;
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#listening = signal && owner.signals.join(signal, this);
  }

  abort(reason: Error): void {
    if (this.#over) return;
    const controller = this.#controller;
    if (controller === undefined) this.#pendingAbort = reason;
    this.end(reason);
    controller?.abort(reason);
  }

  onRequestStart(controller: Controller): void {
    this.#controller = controller;
    if (this.#pendingAbort !== undefined) controller.abort(this.#pendingAbort);
  }

  onResponseStart(controller: Controller, statusCode: number, headers: ResponseHeaders, statusText = ''): void {
    if (statusCode < 200 || this.#over) return;
    this.#controller = controller;
    this.statusCode = statusCode;
    this.start(controller, statusCode, headers, statusText);
  }

  onResponseData(controller: Controller, chunk: Buffer): void {
    if (!this.#over) this.receive(controller, chunk);
  }

  onResponseEnd(): void {
    if (this.#over) return;
    this.complete();
    this.end(undefined);
  }

  onResponseError(_controller: Controller | undefined, error: Error): void {
    if (!this.#over) this.end(toHttpError(error, this));
  }

  closedError(): HttpError {
    return this.error('CLOSED', 'the client was closed');
  }

  protected abstract start(
    controller: Controller,
    statusCode: number,
    headers: ResponseHeaders,
    statusText: string,
  ): void;
  protected abstract receive(controller: Controller, chunk: Buffer): void;
  protected abstract complete(): void;
  /** The call broke off after its start. */
  protected abstract break(reason: Error): void;

  protected succeed(value: T): void {
    this.#resolve(value);
  }

  protected reject(reason: Error): void {
    this.#reject(reason);
  }

  protected error(code: HttpErrorCode, what: string, cause?: unknown): HttpError {
    const { host, method, statusCode, attempts } = this;
    return new HttpError(code, what, { host, method, statusCode, attempts, cause });
  }

  get host(): string {
    return this.url.host;
  }

  protected end(reason: Error | undefined): void {
    this.#over = true;
    if (this.body !== undefined) leave(this.body);
    if (this.#listening !== undefined) this.#owner.signals.leave(this.#listening);
    this.#owner.over(this);
    if (reason === undefined) return;
    this.#reject(reason);
    this.break(reason);
  }
}
