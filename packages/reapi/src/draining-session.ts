import type { Http2Session } from 'node:http2';

type PingCallback = (error: Error | null, duration: number, payload: NonSharedBuffer) => void;

const NO_PAYLOAD = Buffer.alloc(8);

/**
 * Lets calls of grpc-js end on a connection that takes no new ones (GOAWAY), on either side of it: servers say so when they
 * are stopped, when they give their connections an age, or when they count requests. Node sends no pings over such a
 * connection any more, which grpc-js, whose keepalive goes on, takes for one that is lost: it ended every call that was
 * still under way at the next of them. Here such a ping counts as answered. Calls have their own time to notice that the
 * other side has fallen silent.
 */
export function survivesDraining(session: Http2Session): void {
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
