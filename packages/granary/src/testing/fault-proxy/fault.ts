/** From the client to the server, or back. */
export type Direction = 'up' | 'down';

/** What happens to the bytes of one direction, from a point on. */
export type Effect =
  /** Each piece comes this much later, in milliseconds. */
  | { readonly kind: 'latency'; readonly ms: number }
  | { readonly kind: 'bandwidth'; readonly bytesPerSecond: number }
  /** Both ends get a RST. */
  | { readonly kind: 'reset' }
  /** The receiver gets a FIN in the middle, and the sender one too. */
  | { readonly kind: 'truncate' }
  /** Bytes are taken and never delivered. */
  | { readonly kind: 'black-hole' }
  /** Nothing is taken any more: the sender's window closes. */
  | { readonly kind: 'stall' }
  /** One byte arrives with its bits flipped; all others as they are. */
  | { readonly kind: 'corrupt' };

/** What happens to whole connections. */
export type ConnectionEffect =
  /** Nobody listens. */
  | { readonly kind: 'refuse' }
  /** Connections are taken, and nobody ever answers. */
  | { readonly kind: 'half-open' }
  /** Connections are reset as soon as they are made, or after a time in milliseconds. */
  | { readonly kind: 'drop'; readonly afterMs: number };

/** Where in the conversation of a direction an effect begins. */
export type Point =
  | { readonly at: 'start' }
  /** In the middle of the first bytes of a request or a response: in HTTP/2, of its headers. */
  | ({ readonly at: 'head' } & Which)
  /** After this many bytes of bodies since the fault was set, or since the connection began. */
  | { readonly at: 'data'; readonly bytes: number }
  /** At the last bytes of a request or a response: in HTTP/2, in its trailers. */
  | ({ readonly at: 'end' } & Which);

/** Which of the requests on a connection, or of the responses. Default: the first since the fault was set. */
export interface Which {
  /** How many others come before. */
  readonly skip?: number;
  /** Those with this method of HTTP/1.1 alone. */
  readonly method?: string;
}

export interface Fault {
  readonly effect: Effect | ConnectionEffect;
  /** Default: the start. */
  readonly point?: Point;
  /** Default: `down`. Connection effects have none. */
  readonly direction?: Direction;
  /** Which connections it befalls. Default: `all`. */
  readonly connections?: 'new' | 'living' | 'all';
  /** How many connections it befalls; then it is over. Default: any number. */
  readonly times?: number;
}

export function isConnectionEffect(effect: Fault['effect']): effect is ConnectionEffect {
  return effect.kind === 'refuse' || effect.kind === 'half-open' || effect.kind === 'drop';
}
