import type { ClientHttp2Session } from 'node:http2';

interface Layer {
  readonly child?: Layer | null;
  readonly underlyingCalls?: readonly { readonly call: Layer }[];
  readonly http2Stream?: { readonly session?: ClientHttp2Session };
}

/**
 * Lets the peer send so many bytes on a call's connection before it hears that they have come. grpc-js gives a connection
 * the window of a single stream, which is too little for many streams over a long line. It has no option for that, so
 * this looks through its layers; where they change, the window stays as it is and everything else goes on.
 */
export function widenConnection(call: object, windowBytes: number): void {
  for (let layer: Layer | null | undefined = call; layer; layer = layer.child ?? layer.underlyingCalls?.at(-1)?.call) {
    const session = layer.http2Stream?.session;
    if (!session || session.destroyed) continue;
    if ((session.state.effectiveLocalWindowSize ?? windowBytes) < windowBytes) session.setLocalWindowSize(windowBytes);
    return;
  }
}
