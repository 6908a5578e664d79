import { type ClientHttp2Session, type ClientHttp2Stream, connect, type Settings } from 'node:http2';
import { create, type DescMethod, type MessageInitShape, toBinary } from '@bufbuild/protobuf';

/** Calls a server with bare HTTP/2 frames, to behave as no client library would. */
export class RawClient {
  readonly session: ClientHttp2Session;

  constructor(port: number, settings: Settings = {}) {
    this.session = connect(`http://127.0.0.1:${port}`, { settings });
    this.session.on('error', () => {});
  }

  open(method: DescMethod, headers: Readonly<Record<string, string>> = {}): ClientHttp2Stream {
    const stream = this.session.request({
      ':method': 'POST',
      ':path': `/${method.parent.typeName}/${method.name}`,
      te: 'trailers',
      'content-type': 'application/grpc',
      ...headers,
    });
    stream.on('error', () => {});
    stream.resume();
    return stream;
  }

  close(): void {
    this.session.destroy();
  }
}

/** A message with gRPC's prefix of five bytes. */
export function framed<M extends DescMethod>(method: M, message: MessageInitShape<M['input']>): Buffer {
  const bytes = toBinary(method.input, create(method.input, message));
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([prefix, bytes]);
}

/** The status of a call, from its trailers or its only headers. */
export function statusOf(stream: ClientHttp2Stream): Promise<number> {
  return new Promise((resolve) => {
    const look = (headers: NodeJS.Dict<string | string[]>) => {
      if (headers['grpc-status'] !== undefined) resolve(Number(headers['grpc-status']));
    };
    stream.on('response', look);
    stream.on('trailers', look);
  });
}
