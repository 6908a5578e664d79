import type { ClientHttp2Session } from 'node:http2';

type PingCallback = (error: Error | null, duration: number, payload: NonSharedBuffer) => void;

const NO_PAYLOAD = Buffer.alloc(8);

/**
 * Lets calls end on a connection whose peer takes no new ones (GOAWAY), as servers do that are stopped, that give their
 * connections an age, or that count requests. Node sends no pings over it any more, which grpc-js, whose keepalive goes on,
 * takes for a connection that is lost: it ended every call that was still under way half a minute later. Here such a ping
 * counts as answered. Calls have their own time to notice that a peer has fallen silent.
 */
export function survivesDraining(session: ClientHttp2Session): void {
  if (Object.hasOwn(session, 'ping')) return;
  const { ping } = session;
  const pingUnlessDraining = (...args: [PingCallback] | [NodeJS.ArrayBufferView, PingCallback]): boolean => {
    if (!session.closed || session.destroyed) return Reflect.apply(ping, session, args);
    const callback = args.at(-1) as PingCallback;
    setImmediate(callback, null, 0, NO_PAYLOAD);
    return true;
  };
  session.ping = pingUnlessDraining;
}
