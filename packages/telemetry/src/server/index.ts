export { boundedText, peerAttributes, serverAttributes } from './connection-attributes.js';
export { endHttpServerSpan, HttpServerSpans, type HttpServerSpansOptions } from './http-server-spans.js';
export { type TraceIds, tracedLogger, traceOf } from './request-trace.js';
