import { Readable } from 'node:stream';
import type { Controller } from '../dispatch.js';

const ignore = () => {};

/** A response's body on its way, with back pressure down to the connection. */
export class ResponseBody extends Readable {
  /** Undefined once the response is over. */
  #controller: Controller | undefined;

  constructor(controller: Controller) {
    super();
    this.#controller = controller;
  }

  /** A piece has come. */
  receive(controller: Controller, chunk: Buffer): void {
    this.#controller = controller;
    if (!this.push(chunk)) controller.pause();
  }

  /** The last piece has come. */
  complete(): void {
    this.#controller = undefined;
    this.push(null);
  }

  /** It broke off. Whoever reads gets the error; when nobody does yet, it waits and is no uncaught exception. */
  break(error: Error): void {
    this.#controller = undefined;
    this.on('error', ignore);
    this.destroy(error);
  }

  override _read(): void {
    this.#controller?.resume();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    const controller = this.#controller;
    this.#controller = undefined;
    controller?.abort(error ?? new Error('the body was destroyed before its end'));
    callback(error);
  }
}
