import type { MaybePromise } from '@granary/blobs';
import type {
  handleBidiStreamingCall,
  handleClientStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  MethodDefinition,
  Server,
  ServerDuplexStream,
  ServerReadableStream,
  ServerUnaryCall,
  ServerWritableStream,
  ServiceDefinition,
  sendUnaryData,
  UntypedHandleCall,
} from '@grpc/grpc-js';
import { isPending } from '../../services/pending.js';
import { sendAsItLies } from './framed-response.js';
import { checkSize, IncomingMessages } from './incoming-messages.js';
import { OutgoingMessages } from './outgoing-messages.js';
import { type Edge, RunningCall } from './running-call.js';
import type { MethodName, ServerCall } from './server-call.js';
import { splitLargeWrites } from './upload-decoder.js';

/** A method with how its messages are read and written. */
export interface Method<Request> extends MethodName {
  readonly decode: (bytes: Buffer) => Request;
}

/** A method with its handler, as a server takes it. */
export interface Endpoint {
  readonly method: MethodName;
  readonly definition: MethodDefinition<Buffer, Buffer>;
  readonly handle: UntypedHandleCall;
}

type UnaryCall = ServerUnaryCall<Buffer, Buffer>;
type SendResponse = sendUnaryData<Buffer>;

/** Answers with an encoded message. What it throws becomes the call's status. */
type UnaryHandler<Request> = (request: Request, call: RunningCall) => MaybePromise<Buffer>;

/** Sends encoded messages; one that it returns is sent as the last. */
type StreamHandler<Request> = (
  request: Request,
  call: RunningCall,
  out: OutgoingMessages,
) => MaybePromise<Buffer | undefined>;

/** Takes encoded messages, as many as it wants, and answers with one. */
type UploadHandler = (messages: IncomingMessages, call: RunningCall) => Promise<Buffer>;

/** Takes and sends encoded messages. */
type DuplexHandler = (stream: ServerDuplexStream<Buffer, Buffer>, fail: (error: unknown) => void) => Promise<void>;

/**
 * One request, one response. Messages pass grpc-js as they are on the wire and are decoded here, where a malformed
 * one becomes INVALID_ARGUMENT like every other bad request; grpc-js would call it INTERNAL.
 *
 * Stays synchronous as long as access and handler do: a promise less is a tenth of a small call.
 */
export function unary<Request>(edge: Edge, method: Method<Request>, handler: UnaryHandler<Request>): Endpoint {
  const answer = (call: RunningCall, serverCall: UnaryCall, callback: SendResponse) => {
    const bytes = serverCall.request;
    const { maxRequestBytes = edge.maxMessageBytes } = method;
    call.bytesIn = bytes.length;
    const fail = (error: unknown) => callback(call.fail(error));
    const succeed = (response: Buffer) => {
      if (serverCall.cancelled) return fail(undefined);
      const { framed } = call;
      const asItLies = framed && sendAsItLies(serverCall, framed);
      call.bytesOut = response.length;
      callback(null, response);
      call.succeed();
      if (!asItLies) framed?.release();
    };
    try {
      checkSize(bytes, maxRequestBytes);
      const allowed = call.authorize();
      const response = isPending(allowed)
        ? allowed.then(() => handler(method.decode(bytes), call))
        : handler(method.decode(bytes), call);
      if (isPending(response)) response.then(succeed, fail);
      else succeed(response);
    } catch (error) {
      fail(error);
    }
  };
  const handle: handleUnaryCall<Buffer, Buffer> = (serverCall, callback) =>
    begin(edge, method, answer, serverCall, callback);
  return { method, definition: definition(method, false, false), handle };
}

/** One request, a stream of responses. */
export function serverStream<Request>(edge: Edge, method: Method<Request>, handler: StreamHandler<Request>): Endpoint {
  const answer = (call: RunningCall, serverCall: ServerWritableStream<Buffer, Buffer>) => {
    const out = new OutgoingMessages(serverCall, edge.streamIdleMs);
    const bytes = serverCall.request;
    call.bytesIn = bytes.length;
    const fail = (error: unknown) => {
      call.bytesOut = out.bytes;
      serverCall.emit('error', call.fail(error));
    };
    const succeed = (last: Buffer | undefined) => {
      if (serverCall.cancelled) return fail(undefined);
      out.finish(last);
      call.bytesOut = out.bytes;
      call.succeed();
    };
    try {
      checkSize(bytes, method.maxRequestBytes ?? edge.maxMessageBytes);
      const allowed = call.authorize();
      const done = isPending(allowed)
        ? allowed.then(() => handler(method.decode(bytes), call, out))
        : handler(method.decode(bytes), call, out);
      if (isPending(done)) done.then(succeed, fail);
      else succeed(done);
    } catch (error) {
      fail(error);
    }
  };
  const handle: handleServerStreamingCall<Buffer, Buffer> = (serverCall) =>
    begin(edge, method, answer, serverCall, undefined);
  return { method, definition: definition(method, false, true), handle };
}

/**
 * A stream of requests, one response, which may be given before the client has sent everything: what still comes is
 * then dropped, and the client learns the answer when it looks.
 */
export function clientStream(edge: Edge, method: MethodName, handler: UploadHandler): Endpoint {
  const answer = async (
    call: RunningCall,
    serverCall: ServerReadableStream<Buffer, Buffer>,
    callback: SendResponse,
  ): Promise<void> => {
    let messages: IncomingMessages | undefined;
    const stop = () => {
      call.bytesIn = messages?.bytes ?? 0;
      messages?.discard();
    };
    try {
      await call.authorize();
      splitLargeWrites(serverCall, edge.maxMessageBytes);
      messages = new IncomingMessages(serverCall, edge);
      const response = await handler(messages, call);
      stop();
      if (serverCall.cancelled) return callback(call.fail(undefined));
      call.bytesOut = response.length;
      callback(null, response);
      call.succeed();
    } catch (error) {
      stop();
      callback(call.fail(error));
    }
  };
  const handle: handleClientStreamingCall<Buffer, Buffer> = (serverCall, callback) =>
    begin(edge, method, answer, serverCall, callback);
  return { method, definition: definition(method, true, false), handle };
}

/**
 * Streams both ways. The handler listens to the stream and ends it; `fail` ends it with an error that comes later.
 * grpc-js holds messages back until somebody listens, so there is time to get ready.
 */
export function duplexStream(edge: Edge, method: MethodName, handler: DuplexHandler): Endpoint {
  const answer = async (call: RunningCall, stream: ServerDuplexStream<Buffer, Buffer>): Promise<void> => {
    const fail = (error: unknown) => {
      stream.emit('error', call.fail(error));
    };
    try {
      await call.authorize();
      await handler(stream, fail);
      stream.once('finish', () => call.succeed());
      // The stream of a client that went away need not finish.
      stream.once('cancelled', () => call.fail(undefined));
    } catch (error) {
      fail(error);
    }
  };
  const handle: handleBidiStreamingCall<Buffer, Buffer> = (stream) => begin(edge, method, answer, stream, undefined);
  return { method, definition: definition(method, true, true), handle };
}

/**
 * Begins a call. Its answer runs as a part of its span where that records, so that log lines and clients deep inside find
 * it; elsewhere not even a function is made for it.
 */
function begin<Call extends ServerCall, Callback>(
  edge: Edge,
  method: MethodName,
  answer: (call: RunningCall, serverCall: Call, callback: Callback) => unknown,
  serverCall: Call,
  callback: Callback,
): void {
  const call = new RunningCall(edge, method, serverCall);
  if (call.span.recording) edge.spans.tracer.runWith(call.span, () => answer(call, serverCall, callback));
  else answer(call, serverCall, callback);
}

/** Registers endpoints, which may be of several services. */
export function addEndpoints(server: Server, endpoints: readonly Endpoint[]): void {
  const definitions: Record<string, ServiceDefinition[string]> = {};
  const handlers: Record<string, UntypedHandleCall> = {};
  for (const { definition: method, handle } of endpoints) {
    definitions[method.path] = method;
    handlers[method.path] = handle;
  }
  server.addService(definitions, handlers);
}

function definition(method: MethodName, requestStream: boolean, responseStream: boolean): Endpoint['definition'] {
  const path = `/${method.service}/${method.name}`;
  return {
    path,
    requestStream,
    responseStream,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  };
}

function asIs(bytes: Buffer): Buffer {
  return bytes;
}
