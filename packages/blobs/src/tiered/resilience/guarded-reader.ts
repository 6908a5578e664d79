import {
  type CallContext,
  type CircuitBreaker,
  type EndListener,
  listenForAbort,
  unlistenForAbort,
  withTimeout,
} from '@granary/resilience';
import type { BlobReader } from '../../blob-store.js';
import { iterateReader } from '../../buffer-reader.js';
import { RemoteStoreError } from '../../remote/remote-store-error.js';
import type { HoldsPermit, StorePolicies } from './store-policies.js';

const LEFT = new DOMException('the reader was closed', 'AbortError');

/**
 * A stream from a tier that may not stand still, and whose end tells the breaker how it went: all that was promised is
 * a success, and a reader that is closed earlier says nothing.
 */
export class GuardedReader implements BlobReader, HoldsPermit, EndListener {
  readonly length: number;
  readonly #inner: BlobReader;
  readonly #policies: StorePolicies;
  readonly #what: string;
  /** Ends the stream's own work. */
  readonly #controller: AbortController;
  readonly #signal: AbortSignal | undefined;
  /** The first chunk, which came while the stream was being opened. */
  #first: { readonly chunk: Buffer | undefined } | undefined;
  #delivered = 0;
  #breaker: CircuitBreaker | undefined;
  #permit = 0;
  #over = false;
  #closing: Promise<void> | undefined;

  private constructor(
    inner: BlobReader,
    policies: StorePolicies,
    what: string,
    controller: AbortController,
    signal: AbortSignal | undefined,
  ) {
    this.length = inner.length;
    this.#inner = inner;
    this.#policies = policies;
    this.#what = what;
    this.#controller = controller;
    this.#signal = signal;
  }

  /**
   * Opens a stream and waits for its first chunk, within one attempt.
   *
   * @param read opens it; its signal lives as long as the stream
   * @param signal the caller's
   */
  static async open(
    policies: StorePolicies,
    what: string,
    context: CallContext,
    signal: AbortSignal | undefined,
    read: (signal: AbortSignal) => Promise<BlobReader | undefined>,
  ): Promise<GuardedReader | undefined> {
    const controller = new AbortController();
    let guarded: GuardedReader | undefined;
    const attempt = {
      end: (reason: unknown) => {
        controller.abort(reason);
        void guarded?.close();
      },
    };
    const { signal: attemptSignal } = context;
    listenForAbort(attemptSignal, attempt);
    try {
      const inner = await read(controller.signal);
      if (!inner) return undefined;
      guarded = new GuardedReader(inner, policies, what, controller, signal);
      if (!attemptSignal.aborted) guarded.#first = { chunk: await nextWithBytes(inner) };
      if (attemptSignal.aborted) throw attemptSignal.reason;
      if (signal) listenForAbort(signal, guarded);
      return guarded;
    } catch (error) {
      void guarded?.close();
      throw error;
    } finally {
      unlistenForAbort(attemptSignal, attempt);
    }
  }

  hold(breaker: CircuitBreaker, permit: number): void {
    this.#breaker = breaker;
    this.#permit = permit;
    if (this.#over) breaker.released(permit);
  }

  get lasting(): boolean {
    return this.#inner.lasting === true;
  }

  async next(): Promise<Buffer | undefined> {
    if (this.#closing) return undefined;
    const first = this.#first;
    this.#first = undefined;
    const chunk = first ? first.chunk : await this.#pull();
    if (chunk) {
      this.#delivered += chunk.length;
      if (this.#delivered > this.length) this.#fail(this.#wrong('invalid', `more than ${this.length} bytes came`));
      return chunk;
    }
    if (this.#closing) return undefined;
    if (this.#delivered < this.length) {
      this.#fail(this.#wrong('unavailable', `it ended after ${this.#delivered} of ${this.length} bytes`));
    }
    this.#settle();
    return undefined;
  }

  /** Resolves when the stream is closed, or has had its time to. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncIterator](): AsyncGenerator<Buffer, void> {
    return iterateReader(this);
  }

  /** The caller has aborted. */
  end(reason: unknown): void {
    this.#settle(reason);
    this.#controller.abort(reason);
  }

  async #pull(): Promise<Buffer | undefined> {
    if (this.#over && this.#delivered === this.length) return undefined;
    const { idleTimeoutMs, timers } = this.#policies;
    try {
      return await withTimeout(() => nextWithBytes(this.#inner), idleTimeoutMs, { signal: this.#signal, timers });
    } catch (error) {
      if (this.#closing) return undefined;
      return this.#fail(this.#signal?.aborted ? error : this.#policies.explain(this.#what, error));
    }
  }

  #fail(error: unknown): never {
    this.#settle(error);
    this.#controller.abort(error);
    throw error;
  }

  #wrong(kind: 'invalid' | 'unavailable', reason: string): RemoteStoreError {
    return new RemoteStoreError(this.#policies.tier, kind, `${this.#what}: ${reason}`);
  }

  /** Tells the breaker, once: a failure, or how far it came. */
  #settle(error?: unknown): void {
    if (this.#over) return;
    this.#over = true;
    if (this.#signal) unlistenForAbort(this.#signal, this);
    if (error !== undefined) this.#breaker?.rejected(this.#permit, error, this.#signal);
    else if (this.#delivered === this.length) this.#breaker?.succeeded(this.#permit);
    else this.#breaker?.released(this.#permit);
  }

  async #close(): Promise<void> {
    const early = this.#delivered < this.length;
    this.#settle();
    this.#first = undefined;
    if (early) this.#controller.abort(LEFT);
    const { idleTimeoutMs, timers } = this.#policies;
    // What fails or hangs here was not needed any more.
    await withTimeout(() => this.#inner.close(), idleTimeoutMs, { timers }).catch(() => {});
  }
}

/** A stream that sends nothing, again and again, stands still all the same. */
async function nextWithBytes(reader: BlobReader): Promise<Buffer | undefined> {
  let chunk = await reader.next();
  while (chunk?.length === 0) chunk = await reader.next();
  return chunk;
}
