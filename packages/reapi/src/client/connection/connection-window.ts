import type { ClientHttp2Session } from 'node:http2';

/**
 * Lets the peer send so many bytes on a connection before it hears that they have come. grpc-js gives a connection the
 * window of a single stream, which is too little for many streams over a long line, and has no option for that.
 */
export function widenConnection(session: ClientHttp2Session, windowBytes: number): void {
  if ((session.state.effectiveLocalWindowSize ?? windowBytes) < windowBytes) session.setLocalWindowSize(windowBytes);
}
