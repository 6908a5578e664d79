import { decodeQueryWriteStatusRequest, decodeReadRequest } from '../../wire/index.js';
import { clientStream, type Endpoint, serverStream, unary } from '../calls/endpoint.js';
import { readBlob } from './byte-stream-read.js';
import { queryWriteStatus, writeBlob } from './byte-stream-write.js';
import type { CacheParts } from './cache-parts.js';

const SERVICE = 'google.bytestream.ByteStream';

/** `google.bytestream.ByteStream`: content of any size. */
export function byteStreamEndpoints(parts: CacheParts): Endpoint[] {
  const read = { service: SERVICE, name: 'Read', right: 'read', decode: decodeReadRequest } as const;
  const write = { service: SERVICE, name: 'Write', right: 'write' } as const;
  const query = {
    service: SERVICE,
    name: 'QueryWriteStatus',
    right: 'read',
    decode: decodeQueryWriteStatusRequest,
  } as const;
  return [
    serverStream(parts.edge, read, (request, call, out) => readBlob(parts, request, call, out)),
    clientStream(parts.edge, write, (messages, call) => writeBlob(parts, messages, call)),
    unary(parts.edge, query, (request, call) => queryWriteStatus(parts, request, call)),
  ];
}
