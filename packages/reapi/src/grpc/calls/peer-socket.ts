import type { Socket } from 'node:net';

interface Layer {
  readonly call?: Layer;
  readonly nextCall?: Layer;
  readonly stream?: { readonly session?: { readonly socket?: Socket } };
}

/**
 * The connection of a call, whose address and client certificate decide about access. grpc-js only shows them as
 * text and as a certificate that was verified already, so this looks through its layers; where they change, the
 * socket is undefined and everything else goes on.
 */
export function socketOf(call: object): Socket | undefined {
  for (let layer: Layer | undefined = call; layer; layer = layer.call ?? layer.nextCall) {
    const socket = layer.stream?.session?.socket;
    if (socket) return socket;
  }
  return undefined;
}
