import { constants, type ServerHttp2Session } from 'node:http2';
import type { DescMethod, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  type Metadata,
  Server,
  ServerCredentials,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  type UntypedHandleCall,
} from '@grpc/grpc-js';
import {
  ActionCache,
  Capabilities,
  ContentAddressableStorage as Cas,
} from '../../gen/build/bazel/remote/execution/v2/remote_execution_pb.js';
import { ByteStream } from '../../gen/google/bytestream/bytestream_pb.js';

type Answer<M extends DescMethod> = MessageInitShape<M['output']> | Buffer;

type Unary<M extends DescMethod> = (
  request: MessageShape<M['input']>,
  call: ServerUnaryCall<Buffer, Buffer>,
) => Answer<M> | Promise<Answer<M>>;

/** What a peer of the tests does; a method without a handler is not implemented. What a handler throws is the status. */
export interface PeerHandlers {
  readonly capabilities?: Unary<typeof Capabilities.method.getCapabilities>;
  readonly findMissing?: Unary<typeof Cas.method.findMissingBlobs>;
  readonly batchRead?: Unary<typeof Cas.method.batchReadBlobs>;
  readonly batchUpdate?: Unary<typeof Cas.method.batchUpdateBlobs>;
  readonly getActionResult?: Unary<typeof ActionCache.method.getActionResult>;
  /** With undecoded messages: a result may be any bytes. */
  readonly updateActionResult?: (request: Buffer) => Buffer;
  readonly read?: (
    request: MessageShape<typeof ByteStream.method.read.input>,
    call: ServerWritableStream<Buffer, Buffer>,
  ) => void;
  readonly write?: (call: ServerReadableStream<Buffer, Buffer>, answer: sendUnaryData<Buffer>) => void;
}

interface TestPeer extends AsyncDisposable {
  readonly port: number;
  /** The names of the methods that were called, in order. */
  readonly calls: string[];
  /** What the calls came with. */
  readonly metadata: Metadata[];
  /** How often a method was called. */
  count(method: string): number;
}

/** A gRPC server whose every answer a test chooses, coded by the generated code or not at all. */
export async function startTestPeer(handlers: PeerHandlers, credentials = ServerCredentials.createInsecure()) {
  const server = new Server();
  const calls: string[] = [];
  const metadata: Metadata[] = [];
  const add = (method: DescMethod, handle: UntypedHandleCall | undefined) => {
    if (!handle) return;
    const path = `/${method.parent.typeName}/${method.name}`;
    const counted = (call: { metadata: Metadata }, answer: unknown) => {
      calls.push(method.name);
      metadata.push(call.metadata);
      return (handle as (call: unknown, answer: unknown) => void)(call, answer);
    };
    server.register(path, counted as UntypedHandleCall, asIs, asIs, kindOf(method));
  };
  add(Capabilities.method.getCapabilities, unary(Capabilities.method.getCapabilities, handlers.capabilities));
  add(Cas.method.findMissingBlobs, unary(Cas.method.findMissingBlobs, handlers.findMissing));
  add(Cas.method.batchReadBlobs, unary(Cas.method.batchReadBlobs, handlers.batchRead));
  add(Cas.method.batchUpdateBlobs, unary(Cas.method.batchUpdateBlobs, handlers.batchUpdate));
  add(ActionCache.method.getActionResult, unary(ActionCache.method.getActionResult, handlers.getActionResult));
  const { read, updateActionResult: update } = handlers;
  add(
    ActionCache.method.updateActionResult,
    update &&
      ((call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>) => {
        try {
          answer(null, update(call.request));
        } catch (error) {
          answer(error as Error);
        }
      }),
  );
  add(
    ByteStream.method.read,
    read &&
      ((call: ServerWritableStream<Buffer, Buffer>) =>
        read(fromBinary(ByteStream.method.read.input, call.request), call)),
  );
  add(ByteStream.method.write, handlers.write as UntypedHandleCall | undefined);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', credentials, (error, bound) => (error ? reject(error) : resolve(bound)));
  });
  const peer: TestPeer = {
    port,
    calls,
    metadata,
    count: (method) => calls.filter((name) => name === method).length,
    async [Symbol.asyncDispose]() {
      server.forceShutdown();
    },
  };
  return peer;
}

interface Layer {
  readonly call?: Layer;
  readonly nextCall?: Layer;
  readonly stream?: { readonly session?: ServerHttp2Session };
}

/** The connection of a call, on the peer's side. */
export function sessionOf(call: object): ServerHttp2Session | undefined {
  let layer: Layer | undefined = call;
  while (layer && !layer.stream) layer = layer.call ?? layer.nextCall;
  return layer?.stream?.session;
}

/** Tells the client of a call that its connection takes no others; resolves when it has heard that. */
export async function sendGoaway(call: object): Promise<void> {
  const session = sessionOf(call);
  session?.goaway(constants.NGHTTP2_NO_ERROR, 2 ** 31 - 1);
  await new Promise<void>((resolve) => void session?.ping(() => resolve()));
}

/** An error that a handler ends its call with. */
export function grpcError(code: number, details = 'as the test wants it', metadata?: Metadata): Error {
  return Object.assign(new Error(details), { code, details, metadata });
}

function encoded<M extends DescMethod>(method: M, message: MessageInitShape<M['output']>): Buffer {
  return Buffer.from(toBinary(method.output, create(method.output, message)));
}

/** A message of a `ByteStream.Read`. */
export function readResponse(data: Uint8Array): Buffer {
  return encoded(ByteStream.method.read, { data });
}

/** The answer to a `ByteStream.Write`. */
export function writeResponse(committedSize: number): Buffer {
  return encoded(ByteStream.method.write, { committedSize: BigInt(committedSize) });
}

function unary<M extends DescMethod>(method: M, handler: Unary<M> | undefined): UntypedHandleCall | undefined {
  return (
    handler &&
    (async (call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>) => {
      try {
        const result = await handler(fromBinary(method.input, call.request) as MessageShape<M['input']>, call);
        answer(null, Buffer.isBuffer(result) ? result : encoded(method, result));
      } catch (error) {
        answer(error as Error);
      }
    })
  );
}

function kindOf({ methodKind }: DescMethod): 'unary' | 'clientStream' | 'serverStream' {
  if (methodKind === 'unary') return 'unary';
  return methodKind === 'client_streaming' ? 'clientStream' : 'serverStream';
}

function asIs(bytes: Buffer): Buffer {
  return bytes;
}
