import {
  isRemoteStoreError,
  type MaybePromise,
  type OperationOptions,
  type RemoteFailure,
  RemoteStoreError,
  type RemoteStoreErrorOptions,
  StoreClosedError,
} from '@granary/blobs';
import { type ChannelOptions, status as CODES } from '@grpc/grpc-js';
import { survivesDraining } from '../../draining-session.js';
import { GetCapabilitiesRequestSchema } from '../../gen/build/bazel/remote/execution/v2/remote_execution_pb.js';
import { encodeGenerated } from '../../wire/generated-message.js';
import type { ResolvedGrpcOptions } from '../options.js';
import { callFailure, type GrpcStatusError, hasStatus, type PeerStatus } from './call-failure.js';
import { CallHeaders } from './call-headers.js';
import { sessionOf } from './call-session.js';
import { channelCredentials } from './channel-credentials.js';
import type { Seat } from './channels.js';
import { widenConnection } from './connection-window.js';
import { type CallKind, Connections } from './connections.js';
import { DEFAULT_CAPABILITIES, decodeCapabilities, type PeerCapabilities } from './peer-capabilities.js';
import { Slots } from './slots.js';
import { StreamCall } from './stream-call.js';
import { type GrpcTarget, parseTarget } from './target.js';

const GET_CAPABILITIES = '/build.bazel.remote.execution.v2.Capabilities/GetCapabilities';

/** How long the peer has to say what it can do, or that it is there. */
const CAPABILITIES_TIMEOUT_MS = 10_000;
/** What it said is asked again after this time, and after the connection was lost; */
const CAPABILITIES_AGE_MS = 5 * 60_000;
/** after this one where it refused to say, */
const REFUSED_AGE_MS = 10_000;
/** and after this one where it didn't answer. */
const FAILED_AGE_MS = 1000;

/** Calls at a time and in line, over all connections; streams have places of their own, or slow ones would hold up all. */
const MAX_CALLS = 256;
const MAX_STREAMS = 512;
const MAX_WAITING = 4096;

/** Whoever waits long for a connection has given up: a peer that is back is to be found soon. */
const RECONNECT_MS = { 'grpc.initial_reconnect_backoff_ms': 200, 'grpc.max_reconnect_backoff_ms': 5000 };
/** Requests up to this size are kept by grpc-js until the peer answers, for a connection that closes under them. */
const REPLAY_BYTES = 128 * 1024;

/** What every client of gRPC takes, and servers therefore send in a stream, however little they take themselves. */
const USUAL_MESSAGE_BYTES = 4 * 1024 * 1024;

/** One server: its connections, what it can do, and how its calls fail. Connects with the first call. */
export class Peer {
  readonly name: string;
  readonly target: GrpcTarget;
  readonly instance: string;
  /** Largest message that it is sent. */
  readonly maxMessageBytes: number;
  readonly #headers: CallHeaders;
  readonly #connections: Connections;
  readonly #calls: Slots;
  readonly #streams: Slots;
  readonly #active = new Set<StreamCall>();
  readonly #timeoutMs: number;
  readonly #windowBytes: number;
  readonly #clock: () => number;
  #capabilities: PeerCapabilities | undefined;
  #asking: Promise<PeerCapabilities> | undefined;
  #askAt = 0;
  #closed = false;

  /** @throws RangeError that names the option which is wrong */
  constructor(options: ResolvedGrpcOptions) {
    const { name, clock } = options;
    this.name = name;
    this.instance = options.instanceName;
    this.maxMessageBytes = options.maxMessageBytes;
    this.target = parseTarget(options.target);
    this.#timeoutMs = options.timeoutMs;
    this.#clock = clock;
    const { headers, token, tokenFile } = options;
    this.#headers = new CallHeaders({ tier: name, headers, token, tokenFile, clock });
    const credentials = channelCredentials(this.target.tls, options.tls);
    const { connections, windowBytes } = options;
    const { address } = this.target;
    this.#connections = new Connections(address, credentials, channelOptions(options), connections, windowBytes);
    this.#windowBytes = windowBytes;
    const full = () => this.failure('exhausted', 'too many calls wait for their turn');
    this.#calls = new Slots(MAX_CALLS, MAX_WAITING, full);
    this.#streams = new Slots(MAX_STREAMS, MAX_WAITING, full);
  }

  /** An error of this peer. */
  failure(kind: RemoteFailure, reason: string, options?: RemoteStoreErrorOptions): RemoteStoreError {
    return new RemoteStoreError(this.name, kind, `${reason} (${this.target.display})`, options);
  }

  /** The error for a call, or a blob of a batch, that the peer answered with something else than OK. */
  statusFailure(path: string, status: PeerStatus): GrpcStatusError {
    const method = path.slice(path.lastIndexOf('.') + 1).replace('/', '.');
    const details = this.#headers.redact(status.details);
    return callFailure(this.name, `${method} at ${this.target.display}`, { ...status, details });
  }

  /** One request, one response, within the timeout. */
  async unary(path: string, request: Buffer, options?: OperationOptions, timeoutMs = this.#timeoutMs): Promise<Buffer> {
    const call = await this.#open(path, options, 'call', timeoutMs);
    void call.send(request);
    call.halfClose();
    const response = await call.next();
    if (response === undefined) throw this.failure('invalid', `${path} ended without an answer`);
    if ((await call.next()) === undefined) return response;
    const error = this.failure('invalid', `${path} was answered more than once`);
    call.cancel(error);
    throw error;
  }

  /** A call with messages in a stream, which the caller ends or cancels. */
  stream(path: string, kind: 'upload' | 'download', options?: OperationOptions): Promise<StreamCall> {
    return this.#open(path, options, kind, undefined);
  }

  async #open(
    path: string,
    options: OperationOptions | undefined,
    kind: CallKind,
    timeoutMs: number | undefined,
  ): Promise<StreamCall> {
    this.#checkOpen();
    const signal = options?.signal;
    signal?.throwIfAborted();
    const slots = kind === 'call' ? this.#calls : this.#streams;
    const turn = slots.acquire(signal);
    if (turn) await turn;
    let seat: Seat | undefined;
    try {
      const found = this.#headers.for(options);
      const metadata = found instanceof Promise ? await found : found;
      this.#checkOpen();
      signal?.throwIfAborted();
      const connections = this.#connections;
      const channels = connections.choose(kind);
      const taken = channels.take();
      seat = taken;
      const deadline = timeoutMs === undefined ? Number.POSITIVE_INFINITY : Date.now() + timeoutMs;
      const transport = taken.channel.createCall(path, deadline, null, null, null);
      const call = new StreamCall(transport, {
        metadata,
        signal,
        idleMs: timeoutMs === undefined ? this.#timeoutMs : undefined,
        failure: (status) => this.#failed(path, status),
        onMoved: () => {
          const session = sessionOf(transport);
          if (!session) return false;
          survivesDraining(session);
          if (connections.isNarrow(channels)) widenConnection(session, this.#windowBytes);
          return true;
        },
        onEnd: (ended, inSilence) => {
          this.#active.delete(ended);
          channels.leave(taken, inSilence);
          connections.release(kind, channels);
          slots.release();
        },
      });
      this.#active.add(call);
      return call;
    } catch (error) {
      if (!seat) slots.release();
      throw error;
    }
  }

  #failed(path: string, status: PeerStatus): Error {
    if (status.code === CODES.UNAUTHENTICATED || status.code === CODES.PERMISSION_DENIED) this.#headers.doubt();
    // The server that answers next may be another one.
    if (status.code === CODES.UNAVAILABLE) this.#askAt = Number.NEGATIVE_INFINITY;
    return this.statusFailure(path, status);
  }

  /**
   * What the peer can do: asked once, before the first operation, and then again from time to time beside the
   * operations, which go on with what was known.
   *
   * @throws RemoteStoreError when it can't be asked
   */
  capabilities(signal: AbortSignal | undefined): MaybePromise<PeerCapabilities> {
    this.#checkOpen();
    const known = this.#capabilities;
    if (known) {
      if (this.#clock() >= this.#askAt && !this.#asking) this.#ask().catch(() => {});
      return known;
    }
    const asked = this.#asking ?? this.#ask();
    return signal ? untilAborted(asked, signal) : asked;
  }

  /** What is known of it now. */
  get known(): PeerCapabilities {
    return this.#capabilities ?? DEFAULT_CAPABILITIES;
  }

  /** Asks now, which tells whether the peer is there and takes our credentials. */
  async check(signal: AbortSignal): Promise<void> {
    await this.#requestCapabilities({ signal });
  }

  #ask(): Promise<PeerCapabilities> {
    this.#asking = this.#askOnce().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #askOnce(): Promise<PeerCapabilities> {
    let age = CAPABILITIES_AGE_MS;
    try {
      this.#capabilities = await this.#requestCapabilities(undefined);
    } catch (error) {
      age = FAILED_AGE_MS;
      // One that we may not ask, or that answers nonsense, may still serve us: the operation itself will tell.
      if (!isRemoteStoreError(error) || (error.kind !== 'refused' && error.kind !== 'invalid')) throw error;
      age = REFUSED_AGE_MS;
      this.#capabilities ??= DEFAULT_CAPABILITIES;
    } finally {
      this.#askAt = this.#clock() + age;
    }
    return this.#capabilities;
  }

  async #requestCapabilities(options: OperationOptions | undefined): Promise<PeerCapabilities> {
    const request = encodeGenerated(GetCapabilitiesRequestSchema, { instanceName: this.instance });
    const timeoutMs = Math.min(this.#timeoutMs, CAPABILITIES_TIMEOUT_MS);
    let response: Buffer;
    try {
      response = await this.unary(GET_CAPABILITIES, request, options, timeoutMs);
    } catch (error) {
      if (hasStatus(error, CODES.UNIMPLEMENTED)) return DEFAULT_CAPABILITIES;
      throw error;
    }
    try {
      return decodeCapabilities(response);
    } catch (cause) {
      throw this.failure('invalid', 'GetCapabilities was answered with something else', { cause });
    }
  }

  #checkOpen(): void {
    if (this.#closed) throw new StoreClosedError();
  }

  /** Ends all calls and closes the connections. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const error = new StoreClosedError();
    this.#calls.rejectAll(error);
    this.#streams.rejectAll(error);
    for (const call of [...this.#active]) call.cancel(error);
    this.#connections.close();
  }
}

function channelOptions(options: ResolvedGrpcOptions): ChannelOptions {
  const serverName = options.tls?.serverName;
  return {
    ...RECONNECT_MS,
    'grpc.primary_user_agent': 'granary',
    'grpc.max_receive_message_length': Math.max(options.maxMessageBytes, USUAL_MESSAGE_BYTES),
    'grpc.max_send_message_length': -1,
    'grpc.keepalive_time_ms': options.keepaliveMs,
    'grpc.keepalive_timeout_ms': Math.min(options.keepaliveMs, 10_000),
    'grpc.per_rpc_retry_buffer_size': REPLAY_BYTES,
    // What the peer's name service has to say of retries is none of its business: they belong to whoever calls.
    'grpc.service_config_disable_resolution': 1,
    'grpc.enable_channelz': 0,
    ...(serverName !== undefined && {
      'grpc.ssl_target_name_override': serverName,
      'grpc.default_authority': serverName,
    }),
  };
}

/** What others wait for too, but no longer than the signal lets this caller. */
function untilAborted<T>(shared: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) return abort();
    signal.addEventListener('abort', abort);
    shared.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
