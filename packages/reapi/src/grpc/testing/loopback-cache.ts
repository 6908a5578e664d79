import type { DescMessage, DescMethod, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Digest, type DigestFunction, MemoryActionResultStore, MemoryBlobStore } from '@granary/blobs';
import {
  type CallOptions,
  type ChannelOptions,
  Client,
  type ClientReadableStream,
  type ClientWritableStream,
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  type ServiceError,
} from '@grpc/grpc-js';
import { createRemoteCache, type RemoteCache, type RemoteCacheOptions } from '../remote-cache.js';

/** A cache behind a real gRPC server on the loopback, and a client whose messages are coded by the generated code. */
export interface LoopbackCache extends AsyncDisposable {
  readonly cache: RemoteCache;
  readonly client: GeneratedClient;
  readonly port: number;
}

const MIB = 1024 * 1024;

export async function startLoopbackCache(options: Partial<RemoteCacheOptions> = {}): Promise<LoopbackCache> {
  const cache = createRemoteCache({
    blobs: new MemoryBlobStore(),
    actionResults: new MemoryActionResultStore(),
    ...options,
  });
  const server = new Server(cache.grpcServerOptions());
  cache.addTo(server);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  const client = new GeneratedClient(`127.0.0.1:${port}`, { 'grpc.max_receive_message_length': 4 * MIB });
  return {
    cache,
    client,
    port,
    async [Symbol.asyncDispose]() {
      client.close();
      server.forceShutdown();
    },
  };
}

export interface TestCallOptions extends CallOptions {
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Calls any method of the generated services over a plain connection. */
export class GeneratedClient {
  readonly #client: Client;

  constructor(address: string, options: ChannelOptions = {}) {
    this.#client = new Client(address, credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
      ...options,
    });
  }

  /** @throws ServiceError with the call's status when it is not OK */
  unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethod & { readonly input: I; readonly output: O },
    request: MessageInitShape<I>,
    options: TestCallOptions = {},
  ): Promise<MessageShape<O>> {
    return this.raw(method, encode(method.input, request), options).then((bytes) => fromBinary(method.output, bytes));
  }

  /** A unary call with bytes that may be no message at all. */
  raw(method: DescMethod, request: Buffer, { metadata, ...options }: TestCallOptions = {}): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        pathOf(method),
        asIs,
        asIs,
        request,
        toMetadata(metadata),
        options,
        (error: ServiceError | null, response?: Buffer) => (error ? reject(error) : resolve(response as Buffer)),
      );
    });
  }

  openServerStream<I extends DescMessage, O extends DescMessage>(
    method: DescMethod & { readonly input: I; readonly output: O },
    request: MessageInitShape<I>,
    { metadata, ...options }: TestCallOptions = {},
  ): ClientReadableStream<MessageShape<O>> {
    return this.#client.makeServerStreamRequest(
      pathOf(method),
      (message: MessageInitShape<I>) => encode(method.input, message),
      (bytes: Buffer) => fromBinary(method.output, bytes),
      request,
      toMetadata(metadata),
      options,
    );
  }

  /** All messages of a stream. */
  async serverStream<I extends DescMessage, O extends DescMessage>(
    method: DescMethod & { readonly input: I; readonly output: O },
    request: MessageInitShape<I>,
    options?: TestCallOptions,
  ): Promise<MessageShape<O>[]> {
    const messages: MessageShape<O>[] = [];
    for await (const message of this.openServerStream(method, request, options)) messages.push(message);
    return messages;
  }

  /** A stream of requests, and the promise of its answer. */
  openClientStream<I extends DescMessage, O extends DescMessage>(
    method: DescMethod & { readonly input: I; readonly output: O },
    { metadata, ...options }: TestCallOptions = {},
  ): { call: ClientWritableStream<MessageInitShape<I>>; response: Promise<MessageShape<O>> } {
    let call: ClientWritableStream<MessageInitShape<I>> | undefined;
    const response = new Promise<MessageShape<O>>((resolve, reject) => {
      call = this.#client.makeClientStreamRequest(
        pathOf(method),
        (message: MessageInitShape<I>) => encode(method.input, message),
        (bytes: Buffer) => fromBinary(method.output, bytes),
        toMetadata(metadata),
        options,
        (error: ServiceError | null, message?: MessageShape<O>) =>
          error ? reject(error) : resolve(message as MessageShape<O>),
      );
    });
    return { call: call as ClientWritableStream<MessageInitShape<I>>, response };
  }

  /** Sends messages one after the other, as fast as they are taken, and waits for the answer. */
  async clientStream<I extends DescMessage, O extends DescMessage>(
    method: DescMethod & { readonly input: I; readonly output: O },
    requests: Iterable<MessageInitShape<I>>,
    options?: TestCallOptions,
  ): Promise<MessageShape<O>> {
    const { call, response } = this.openClientStream(method, options);
    let answered = false;
    const settled = response.then(
      () => undefined,
      () => undefined,
    );
    void settled.then(() => {
      answered = true;
    });
    for (const request of requests) {
      if (answered) break;
      if (!call.write(request)) await Promise.race([new Promise((resolve) => call.once('drain', resolve)), settled]);
    }
    if (!answered) call.end();
    return response;
  }

  close(): void {
    this.#client.close();
  }
}

/** A digest as the generated code has it. */
export function digestMessage(bytes: Uint8Array | string, fn: DigestFunction = 'sha256') {
  const digest = digestOf(bytes, fn);
  return { hash: digest.hash, sizeBytes: BigInt(digest.size) };
}

export function digestOf(bytes: Uint8Array | string, fn: DigestFunction = 'sha256'): Digest {
  return Digest.of(fn, Buffer.from(bytes as Uint8Array));
}

function encode<I extends DescMessage>(schema: I, message: MessageInitShape<I>): Buffer {
  return Buffer.from(toBinary(schema, create(schema, message)));
}

function pathOf(method: DescMethod): string {
  return `/${method.parent.typeName}/${method.name}`;
}

function toMetadata(entries: Readonly<Record<string, string>> = {}): Metadata {
  const metadata = new Metadata();
  for (const [key, value] of Object.entries(entries)) metadata.set(key, value);
  return metadata;
}

function asIs(bytes: Buffer): Buffer {
  return bytes;
}
