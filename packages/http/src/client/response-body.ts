import { Readable } from 'node:stream';
import type { Controller } from '../dispatch.js';

/** Whoever takes a body as it comes, without a stream in between. */
export interface BodyConsumer {
  /** After `pause()` of the body the rest of what has just been received may still come. */
  onChunk(chunk: Buffer): void;
  onEnd(): void;
  /** It broke off, or was destroyed. */
  onError(error: Error): void;
}

const ignore = () => {};

/**
 * A response's body on its way, with back pressure down to the connection. It becomes a stream when somebody reads it as
 * one; see {@link consumeBody} for the other way.
 */
export class ResponseBody extends Readable {
  /** Undefined once the response is over. */
  #controller: Controller | undefined;
  /** What came before anybody read; undefined from then on. */
  #queue: Buffer[] | undefined = [];
  #queuedBytes = 0;
  #isComplete = false;
  #consumer: BodyConsumer | undefined;
  /** Whether the consumer has paused it. */
  #isHeld = false;

  constructor(controller: Controller) {
    super();
    this.#controller = controller;
  }

  /** A piece has come. */
  receive(controller: Controller, chunk: Buffer): void {
    this.#controller = controller;
    if (this.#consumer !== undefined) this.#consumer.onChunk(chunk);
    else if (this.#queue === undefined) {
      if (!this.push(chunk)) controller.pause();
    } else {
      this.#queue.push(chunk);
      this.#queuedBytes += chunk.length;
      if (this.#queuedBytes >= this.readableHighWaterMark) controller.pause();
    }
  }

  /** The last piece has come. */
  complete(): void {
    this.#controller = undefined;
    this.#isComplete = true;
    if (this.#consumer !== undefined) this.#takeConsumer()?.onEnd();
    else if (this.#queue === undefined) this.push(null);
  }

  /** It broke off. Whoever reads gets the error; when nobody does yet, it waits and is no uncaught exception. */
  break(error: Error): void {
    this.#controller = undefined;
    this.on('error', ignore);
    this.destroy(error);
  }

  /** Hands all of it to a consumer, if nobody has begun to read it; whether nobody had. */
  give(consumer: BodyConsumer): boolean {
    const queue = this.#queue;
    if (queue === undefined) return false;
    this.#queue = undefined;
    if (this.destroyed) {
      consumer.onError(this.errored ?? destroyed());
      return true;
    }
    this.#consumer = consumer;
    for (const chunk of queue) if (this.#consumer === consumer) consumer.onChunk(chunk);
    if (this.#isComplete) this.#takeConsumer()?.onEnd();
    else if (!this.#isHeld) this.#controller?.resume();
    return true;
  }

  override pause(): this {
    if (this.#consumer === undefined) return super.pause();
    this.#isHeld = true;
    this.#controller?.pause();
    return this;
  }

  override resume(): this {
    if (this.#consumer === undefined) return super.resume();
    this.#isHeld = false;
    this.#controller?.resume();
    return this;
  }

  override _read(): void {
    const queue = this.#queue;
    if (queue === undefined) {
      this.#controller?.resume();
      return;
    }
    this.#queue = undefined;
    let wantsMore = true;
    for (const chunk of queue) wantsMore = this.push(chunk);
    if (this.#isComplete) this.push(null);
    else if (wantsMore) this.#controller?.resume();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    const controller = this.#controller;
    this.#controller = undefined;
    controller?.abort(error ?? destroyed());
    this.#takeConsumer()?.onError(error ?? destroyed());
    callback(error);
  }

  #takeConsumer(): BodyConsumer | undefined {
    const consumer = this.#consumer;
    this.#consumer = undefined;
    return consumer;
  }
}

/**
 * Hands a body to a consumer, all of it, with its end or what it broke off with. Of a response's body that nobody has begun
 * to read, the pieces come as they are received, some of them before this returns: without a stream's buffer, events and
 * promises, which is most of what a small body costs. Other streams are read by their events.
 *
 * `body.pause()` and `body.resume()` hold the pieces back, `body.destroy()` ends it.
 */
export function consumeBody(body: Readable, consumer: BodyConsumer): void {
  if (body instanceof ResponseBody && body.give(consumer)) return;
  let isOver = false;
  const once = (tell: () => void) => {
    if (isOver) return;
    isOver = true;
    tell();
  };
  body.on('data', (chunk: Buffer) => {
    if (!isOver) consumer.onChunk(chunk);
  });
  body.once('end', () => once(() => consumer.onEnd()));
  body.on('error', (error: Error) => once(() => consumer.onError(error)));
  body.once('close', () => once(() => consumer.onError(body.errored ?? destroyed())));
  if (body.destroyed) once(() => consumer.onError(body.errored ?? destroyed()));
}

const destroyed = (): Error => new Error('the body was destroyed before its end');
