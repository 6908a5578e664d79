import { type ChannelInterface, status as CODES, type Metadata } from '@grpc/grpc-js';
import type { PeerStatus } from './call-failure.js';

/** A call as grpc-js's channels make it: messages as bytes, taken one at a time, which its streams don't promise. */
export type TransportCall = ReturnType<ChannelInterface['createCall']>;

interface Waiter {
  readonly resolve: (message: Buffer | undefined) => void;
  readonly reject: (error: unknown) => void;
}

/** How a {@link StreamCall} is run. */
export interface StreamCallOptions {
  readonly metadata: Metadata;
  readonly signal: AbortSignal | undefined;
  /** How long the peer may neither send nor take anything while it is waited for; undefined for a call with a deadline. */
  readonly idleMs: number | undefined;
  /** The error for a status other than OK. */
  readonly failure: (status: PeerStatus) => Error;
  /** Called when something was sent or has come, until it says that it has found the call's connection. */
  readonly onMoved: () => boolean;
  /**
   * Called once, when the call has ended.
   *
   * @param inSilence whether it was given up, by us or for its time, while the peer was waited for
   */
  readonly onEnd: (call: StreamCall, inSilence: boolean) => void;
}

/**
 * One call, with messages both ways and backpressure both ways: the first message is taken as it comes, each other one
 * when the consumer asks for it, and the rest waits at the peer; a message is sent when the transport has taken the one
 * before.
 */
export class StreamCall {
  readonly #call: TransportCall;
  readonly #options: StreamCallOptions;
  #halfClosed = false;
  /** The first message, when it came before it was asked for. */
  #ahead: Buffer | undefined;
  #isReading = true;
  #isFound = false;
  #waiter: Waiter | undefined;
  #sent: (() => void) | undefined;
  #idle: NodeJS.Timeout | undefined;
  #status: PeerStatus | undefined;
  #reason: { readonly error: unknown } | undefined;

  constructor(call: TransportCall, options: StreamCallOptions) {
    this.#call = call;
    this.#options = options;
    call.start(options.metadata, {
      onReceiveMetadata: () => this.#moved(),
      onReceiveMessage: (message: Buffer) => this.#receive(message),
      onReceiveStatus: (status) => this.#end(status),
    });
    call.startRead();
    options.signal?.addEventListener('abort', this.#abort);
  }

  /** Whether the call is over, whoever ended it. */
  get ended(): boolean {
    return this.#status !== undefined;
  }

  /**
   * Hands a message over. Its memory is free again when the promise settles, which it also does when the call ends:
   * look at {@link ended}.
   */
  send(message: Buffer): Promise<void> {
    if (this.#status) return Promise.resolve();
    return new Promise((resolve) => {
      const settle = () => {
        if (this.#sent !== settle) return;
        this.#sent = undefined;
        this.#moved();
        this.#rest();
        resolve();
      };
      this.#sent = settle;
      this.#watch();
      this.#call.sendMessageWithContext({ callback: settle }, message);
    });
  }

  /** There are no more messages from this side: from now on the peer is waited for. */
  halfClose(): void {
    if (this.#status) return;
    this.#halfClosed = true;
    if (this.#waiter) this.#watch();
    this.#call.halfClose();
  }

  /**
   * The next message, or undefined when the peer ended the call with OK. One at a time.
   *
   * @throws what `failure` makes of any other status; the signal's reason
   */
  next(): Promise<Buffer | undefined> {
    const message = this.#ahead;
    if (message) {
      this.#ahead = undefined;
      return Promise.resolve(message);
    }
    if (this.#status) return this.#outcome();
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject };
      if (this.#halfClosed) this.#watch();
      if (this.#isReading) return;
      this.#isReading = true;
      this.#call.startRead();
    });
  }

  /** Ends the call; whoever waits for a message gets the error. */
  cancel(error: unknown): void {
    if (this.#status) return;
    this.#reason = { error };
    this.#ahead = undefined;
    this.#call.cancelWithStatus(CODES.CANCELLED, 'the caller does not need it any more');
    // grpc-js tells it a tick later; nobody is to wait for that.
    this.#end({ code: CODES.CANCELLED, details: '' });
  }

  readonly #abort = () => this.cancel(this.#options.signal?.reason);

  #moved(): void {
    this.#isFound ||= this.#options.onMoved();
  }

  #receive(message: Buffer): void {
    this.#isReading = false;
    if (this.#status) return;
    const waiter = this.#waiter;
    if (!waiter) {
      this.#ahead = message;
      return;
    }
    this.#waiter = undefined;
    this.#rest();
    waiter.resolve(message);
  }

  #end(status: PeerStatus): void {
    if (this.#status) return;
    this.#status = status;
    clearTimeout(this.#idle);
    this.#options.signal?.removeEventListener('abort', this.#abort);
    const isGivenUp = status.code === CODES.CANCELLED || status.code === CODES.DEADLINE_EXCEEDED;
    this.#options.onEnd(this, isGivenUp && (this.#waiter !== undefined || this.#sent !== undefined));
    this.#sent?.();
    const waiter = this.#waiter;
    this.#waiter = undefined;
    if (waiter) this.#outcome().then(waiter.resolve, waiter.reject);
  }

  #outcome(): Promise<undefined> {
    if (this.#reason) return Promise.reject(this.#reason.error);
    const status = this.#status;
    if (!status || status.code === CODES.OK) return Promise.resolve(undefined);
    return Promise.reject(this.#options.failure(status));
  }

  /** Starts the clock for a peer that is waited for. */
  #watch(): void {
    const { idleMs } = this.#options;
    if (idleMs === undefined) return;
    this.#idle ??= setTimeout(() => {
      const details = `nothing moved for ${idleMs / 1000} s`;
      this.#call.cancelWithStatus(CODES.DEADLINE_EXCEEDED, details);
      this.#end({ code: CODES.DEADLINE_EXCEEDED, details });
    }, idleMs);
  }

  /** Stops it when nobody waits any more. */
  #rest(): void {
    if ((this.#waiter && this.#halfClosed) || this.#sent) {
      this.#idle?.refresh();
      return;
    }
    clearTimeout(this.#idle);
    this.#idle = undefined;
  }
}
