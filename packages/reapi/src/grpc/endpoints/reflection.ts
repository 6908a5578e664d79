import type { ServerDuplexStream } from '@grpc/grpc-js';
import { WireFormatError } from '../../wire/index.js';
import { duplexStream, type Endpoint } from '../calls/endpoint.js';
import type { Edge } from '../calls/running-call.js';
import type { ReflectionMethod } from './reflection-library.js';

/** The services that the library has methods for, each with one of this name. */
const SERVICES = ['grpc.reflection.v1.ServerReflection', 'grpc.reflection.v1alpha.ServerReflection'];
const METHOD = 'ServerReflectionInfo';

/**
 * Server reflection, v1 and v1alpha, for the services in our own .proto files; it asks for the right to read. People ask
 * for it, builds don't, and its library takes a tenth of a start: so that is loaded when somebody asks first.
 */
export function reflectionEndpoints(edge: Edge): Endpoint[] {
  let methods: Promise<ReadonlyMap<string, ReflectionMethod>> | undefined;
  const load = async () => (await import('./reflection-library.js')).reflectionMethods();
  return SERVICES.map((service) =>
    duplexStream(edge, { service, name: METHOD, right: 'read' }, async (stream, fail) => {
      methods ??= load();
      const method = (await methods).get(`/${service}/${METHOD}`);
      if (!method) throw new Error(`the library of server reflection has no ${service}`);
      method.handle(new DecodedStream(stream, method, fail));
    }),
  );
}

/** A stream as the library's handlers use it: of messages, not of bytes. */
class DecodedStream {
  readonly #stream: ServerDuplexStream<Buffer, Buffer>;
  readonly #method: ReflectionMethod;
  readonly #fail: (error: unknown) => void;
  #failed = false;

  constructor(stream: ServerDuplexStream<Buffer, Buffer>, method: ReflectionMethod, fail: (error: unknown) => void) {
    this.#stream = stream;
    this.#method = method;
    this.#fail = fail;
  }

  on(event: string, listener: (message?: unknown) => void): void {
    if (event !== 'data') this.#stream.on(event, listener);
    else
      this.#stream.on('data', (bytes: Buffer) => {
        const message = this.#decode(bytes);
        if (message !== undefined) listener(message);
      });
  }

  write(message: unknown): void {
    this.#stream.write(this.#method.encode(message));
  }

  end(): void {
    if (!this.#failed) this.#stream.end();
  }

  #decode(bytes: Buffer): unknown {
    if (this.#failed) return undefined;
    try {
      return this.#method.decode(bytes);
    } catch (error) {
      this.#failed = true;
      this.#fail(new WireFormatError(error instanceof Error ? error.message : String(error)));
      return undefined;
    }
  }
}
