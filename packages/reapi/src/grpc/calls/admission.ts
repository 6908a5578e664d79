import { constants } from 'node:http2';
import type {
  Metadata,
  ServerInterceptingCall,
  ServerInterceptingCallInterface,
  ServerInterceptor,
} from '@grpc/grpc-js';
import { isPending } from '../../services/pending.js';
import { ProtocolError } from '../../services/protocol-error.js';
import { credentialsOf } from './call-credentials.js';
import { type Edge, RunningCall } from './running-call.js';
import type { MethodName, ServerCall } from './server-call.js';

/** Largest message of a method that is open to everyone: such a one names a service, or nothing. */
const MAX_OPEN_MESSAGE_BYTES = 16 * 1024;

type Listener = Parameters<ServerInterceptingCallInterface['start']>[0];

/**
 * Asks who makes a call before its message is taken. Of a call with one message grpc-js tells its handler when all of that
 * is there, so that whoever may not call at all could have the server hold megabytes for each stream, which take a
 * thousandth of that on the wire when they are compressed. It also says for how long such a message, and what
 * answers it, may stand still.
 *
 * Handlers ask by themselves what was not asked here: a server that was made without the interceptor is no less closed.
 *
 * @param methods by their paths; those that take a stream of messages ask for themselves before they take any
 */
export function admission(edge: Edge, methods: ReadonlyMap<string, MethodName>): ServerInterceptor {
  return ({ path, requestStream }, call) => {
    const method = requestStream ? undefined : methods.get(path);
    if (method === undefined) return call as ServerInterceptingCall;
    if (method.right === undefined) limitMessage(call, MAX_OPEN_MESSAGE_BYTES);
    // It has all that an interceptor is asked for.
    return new GuardedCall(edge, method, call) as unknown as ServerInterceptingCall;
  };
}

/**
 * A call whose listener hears of it when it was let in; all else goes through as it is. A `start` that is put on the call
 * itself would make everything slow that is done with it: a small call takes two thirds more of the processor then
 * (benchmark `FindMissingBlobs 1`).
 */
class GuardedCall implements ServerInterceptingCallInterface {
  readonly nextCall: ServerInterceptingCallInterface;
  readonly #edge: Edge;
  readonly #method: MethodName;

  constructor(edge: Edge, method: MethodName, nextCall: ServerInterceptingCallInterface) {
    this.#edge = edge;
    this.#method = method;
    this.nextCall = nextCall;
  }

  start(listener: Listener): void {
    this.nextCall.start(new Admission(this.#edge, this.#method, this.nextCall, listener));
  }

  sendMetadata(metadata: Metadata): void {
    this.nextCall.sendMetadata(metadata);
  }

  sendMessage(message: unknown, callback: () => void): void {
    this.nextCall.sendMessage(message, callback);
  }

  sendStatus(status: Parameters<ServerInterceptingCallInterface['sendStatus']>[0]): void {
    this.nextCall.sendStatus(status);
  }

  startRead(): void {
    this.nextCall.startRead();
  }

  getPeer(): string {
    return this.nextCall.getPeer();
  }

  getDeadline(): ReturnType<ServerInterceptingCallInterface['getDeadline']> {
    return this.nextCall.getDeadline();
  }

  getHost(): string {
    return this.nextCall.getHost();
  }

  getAuthContext(): ReturnType<ServerInterceptingCallInterface['getAuthContext']> {
    return this.nextCall.getAuthContext();
  }

  getConnectionInfo(): ReturnType<ServerInterceptingCallInterface['getConnectionInfo']> {
    return this.nextCall.getConnectionInfo();
  }

  getMetricsRecorder(): ReturnType<ServerInterceptingCallInterface['getMetricsRecorder']> {
    return this.nextCall.getMetricsRecorder();
  }
}

/** One call until its message is there; what it hears goes on to grpc-js. */
class Admission implements Listener {
  readonly #edge: Edge;
  readonly #method: MethodName;
  readonly #call: ServerInterceptingCallInterface;
  readonly #next: Listener;
  #isWaiting = false;

  constructor(edge: Edge, method: MethodName, call: ServerInterceptingCallInterface, next: Listener) {
    this.#edge = edge;
    this.#method = method;
    this.#call = call;
    this.#next = next;
  }

  onReceiveMetadata(metadata: Metadata): void {
    const { right } = this.#method;
    const { authorize } = this.#edge.hooks;
    try {
      const allowed = right && authorize?.(credentialsOf(this.#serverCall(metadata)), right);
      if (!isPending(allowed)) this.#admit(metadata);
      else
        allowed.then(
          () => this.#admit(metadata),
          (error: unknown) => this.#refuse(metadata, error),
        );
    } catch (error) {
      this.#refuse(metadata, error);
    }
  }

  onReceiveMessage(message: unknown): void {
    this.#next.onReceiveMessage(message);
  }

  onReceiveHalfClose(): void {
    this.#isWaiting = false;
    this.#next.onReceiveHalfClose();
  }

  onCancel(): void {
    this.#isWaiting = false;
    this.#next.onCancel();
  }

  #admit(metadata: Metadata): void {
    const { streamIdleMs, admitted } = this.#edge;
    admitted.add(metadata);
    this.#isWaiting = true;
    onIdle(this.#call, streamIdleMs, (stream) => {
      if (this.#isWaiting) {
        this.#isWaiting = false;
        this.#refuse(metadata, new ProtocolError('IDLE', `nothing came for ${streamIdleMs / 1000} s`));
      } else if (stream.writableLength > 0) {
        // No status would get through to a client that takes nothing.
        stream.close(constants.NGHTTP2_CANCEL);
      }
    });
    this.#next.onReceiveMetadata(metadata);
  }

  #refuse(metadata: Metadata, error: unknown): void {
    const { code, details } = new RunningCall(this.#edge, this.#method, this.#serverCall(metadata)).fail(error);
    this.#call.sendStatus({ code, details });
  }

  /** The call as its handler would see it. */
  #serverCall(metadata: Metadata): ServerCall & { readonly call: object } {
    const call = this.#call;
    return {
      call,
      metadata,
      cancelled: false,
      getHost: () => call.getHost(),
      getPeer: () => call.getPeer(),
      getDeadline: () => call.getDeadline(),
      once: () => undefined,
    };
  }
}

interface CallStream {
  readonly writableLength: number;
  setTimeout?(ms: number): void;
  on(event: 'timeout', listener: () => void): void;
  close(code: number): void;
}

interface Layer {
  readonly nextCall?: Layer;
  readonly stream?: CallStream;
  readonly decoder?: { maxReadMessageLength?: number };
  maxReceiveMessageSize?: number;
}

/**
 * Tells when nothing went over a call for some time. grpc-js has no option for that, so this looks through its layers;
 * where they change, a message may stand still until the connection ends.
 */
function onIdle(call: object, ms: number, tell: (stream: CallStream) => void): void {
  for (let layer: Layer | undefined = call; layer; layer = layer.nextCall) {
    const { stream } = layer;
    if (typeof stream?.setTimeout !== 'function') continue;
    stream.setTimeout(ms);
    stream.on('timeout', () => tell(stream));
    return;
  }
}

/**
 * Has grpc-js refuse the longer messages of a call, as they are and decompressed. It has one limit for all methods, so this
 * looks through its layers, too; where they change, that one holds.
 */
function limitMessage(call: object, maxBytes: number): void {
  for (let layer: Layer | undefined = call; layer; layer = layer.nextCall) {
    if (typeof layer.maxReceiveMessageSize !== 'number') continue;
    layer.maxReceiveMessageSize = maxBytes;
    if (typeof layer.decoder?.maxReadMessageLength === 'number') layer.decoder.maxReadMessageLength = maxBytes;
  }
}
