import type { ClientHttp2Session } from 'node:http2';

interface Layer {
  readonly child?: Layer | null;
  readonly underlyingCalls?: readonly { readonly call: Layer }[];
  readonly http2Stream?: { readonly session?: ClientHttp2Session };
}

/**
 * The connection that a call travels on; undefined before it has one. grpc-js doesn't show it, so this looks through its
 * layers; where they change, nothing is found, and what is done with a connection is left out.
 */
export function sessionOf(call: object): ClientHttp2Session | undefined {
  for (let layer: Layer | null | undefined = call; layer; layer = layer.child ?? layer.underlyingCalls?.at(-1)?.call) {
    const session = layer.http2Stream?.session;
    if (session && !session.destroyed) return session;
  }
  return undefined;
}
