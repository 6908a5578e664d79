import type { Socket } from 'node:net';
import {
  type Attributes,
  type HeaderReader,
  noopSpan,
  OVERFLOW_LABEL,
  type ServerSpanDescription,
  type Span,
  type Tracer,
} from '@granary/telemetry';
import { peerAttributes, serverAttributes } from '@granary/telemetry/server';
import { status as CODES } from '@grpc/grpc-js';
import { socketOf } from './peer-socket.js';
import { requestMetadataAttributes, requestMetadataOf } from './request-metadata.js';
import type { MethodName, ServerCall } from './server-call.js';
import { isServerError } from './status.js';

/**
 * The spans of calls, as a server sees them. Names and attributes are those of OpenTelemetry's conventions for RPC since
 * they became a release candidate: `rpc.method` names the service too, and `rpc.response.status_code` is the code's
 * name. What they replaced (`rpc.system`, `rpc.service`, `rpc.grpc.status_code`) is not set besides.
 */
export class CallSpans {
  readonly tracer: Tracer;
  readonly #peers = new WeakMap<Socket, Attributes>();
  /** Of the call whose span is being started, so that no call needs functions of its own. */
  #method: MethodName | undefined;
  #call: ServerCall | undefined;

  constructor(tracer: Tracer) {
    this.tracer = tracer;
  }

  /** Begins the span of a call; costs next to nothing when nobody will see it. */
  start(method: MethodName, call: ServerCall): Span {
    const { tracer } = this;
    if (!tracer.enabled) return noopSpan;
    this.#method = method;
    this.#call = call;
    const span = tracer.startServerSpan(this.#read, this.#describe);
    this.#method = undefined;
    this.#call = undefined;
    return span;
  }

  readonly #read: HeaderReader = (name) => {
    const value = this.#call?.metadata.get(name)[0];
    return typeof value === 'string' ? value : undefined;
  };

  readonly #describe = (): ServerSpanDescription => {
    const call = this.#call as ServerCall;
    const { service, name: method } = this.#method as MethodName;
    const isKnown = method !== OVERFLOW_LABEL;
    const name = isKnown ? `${service}/${method}` : 'grpc';
    const peer = this.#peerOf(call);
    const host = call.getHost();
    const message = requestMetadataOf(call.metadata);
    const attributes = () => ({
      'rpc.system.name': 'grpc',
      'rpc.method': isKnown ? name : '_OTHER',
      ...peer,
      ...serverAttributes(host),
      ...(message && requestMetadataAttributes(message)),
    });
    return { name, attributes };
  };

  #peerOf(call: ServerCall): Attributes {
    const socket = socketOf(call);
    const known = socket && this.#peers.get(socket);
    if (known) return known;
    const attributes = parsePeer(call.getPeer());
    if (socket) this.#peers.set(socket, attributes);
    return attributes;
  }
}

/** Ends a span that records. */
export function endCallSpan(span: Span, code: CODES, error: unknown): void {
  span.setAttribute('rpc.response.status_code', CODES[code]);
  if (isServerError(code)) {
    if (error === undefined) span.setStatus('error');
    else span.recordError(error);
    span.setAttribute('error.type', CODES[code]);
  }
  span.end();
}

function parsePeer(peer: string): Attributes {
  const colon = peer.lastIndexOf(':');
  const port = Number(peer.slice(colon + 1));
  return colon > 0 && port > 0 ? peerAttributes(peer.slice(0, colon), port) : peerAttributes(peer, undefined);
}
