import type { Socket } from 'node:net';
import { MAX_TIMER_MS } from '@granary/resilience';
import { buildConnector, errors } from 'undici';
import { failureCode } from '../../failure.js';
import { ProxyError } from '../../proxy-error.js';
import type { ProxyOf, ProxyServer } from './proxies.js';
import { openTunnel } from './tunnels.js';

export interface ProxyConnectorOptions {
  readonly proxyOf: ProxyOf;
  /** For a connection as a whole: to the proxy, through it, and TLS with the server. 0 is none. */
  readonly timeoutMs: number;
  /** Longest answer of a proxy. */
  readonly maxAnswerBytes: number;
  /** Connects to servers, and speaks TLS with them. */
  readonly connect: buildConnector.connector;
  /** Connections to proxies that lead nowhere yet, for whoever ends all. */
  readonly opening: Set<Socket>;
}

/** Whether requests are handed to this proxy as they are: many let no tunnel through but to port 443. */
export const forwards = (proxy: ProxyServer, origin: URL): boolean =>
  proxy.protocol !== 'socks5:' && origin.protocol === 'http:';

/**
 * Makes connections by way of the proxies that their origins have. undici's own agent for proxies (7.30.2) waits five
 * minutes for the answer to CONNECT, tries again without end or pause when a proxy closes the connection, and heeds
 * none of a client's limits where it sends plain requests.
 */
export function proxyConnector(options: ProxyConnectorOptions): buildConnector.connector {
  const connectToProxy = buildConnector({ timeout: options.timeoutMs });
  return (target, callback) => {
    const origin = new URL(`${target.protocol}//${target.host}`);
    const proxy = options.proxyOf(origin);
    if (proxy === undefined) return options.connect(target, callback);
    connectThrough(proxy, origin, target).then(
      (socket) => callback(null, socket),
      (error: Error) => callback(error, null),
    );
  };

  async function connectThrough(proxy: ProxyServer, origin: URL, target: buildConnector.Options): Promise<Socket> {
    const { timeoutMs, maxAnswerBytes, connect, opening } = options;
    const start = performance.now();
    const socket = await connected(connectToProxy, asTarget(proxy)).catch(blameProxy);
    if (forwards(proxy, origin)) return socket;
    const tunnelled = async () => {
      const isTls = origin.protocol === 'https:';
      const port = Number(origin.port || (isTls ? 443 : 80));
      await openTunnel(socket, proxy, { hostname: target.hostname, port }, maxAnswerBytes);
      return isTls ? connected(connect, { ...target, httpSocket: socket }) : socket;
    };
    opening.add(socket);
    try {
      return await (timeoutMs === 0 ? tunnelled() : within(timeoutMs - (performance.now() - start), tunnelled()));
    } catch (error) {
      socket.destroy();
      throw error;
    } finally {
      opening.delete(socket);
    }
  }
}

function within<T>(ms: number, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new errors.ConnectTimeoutError('no tunnel through the proxy in time')),
      Math.min(ms, MAX_TIMER_MS),
    );
    const settle =
      <A>(outcome: (argument: A) => void) =>
      (argument: A) => {
        clearTimeout(timer);
        outcome(argument);
      };
    work.then(settle(resolve), settle(reject));
  });
}

const asTarget = ({ protocol, hostname, port }: ProxyServer): buildConnector.Options => ({
  protocol: protocol === 'https:' ? 'https:' : 'http:',
  hostname,
  host: hostname,
  port,
});

function connected(connect: buildConnector.connector, target: buildConnector.Options): Promise<Socket> {
  return new Promise((resolve, reject) => {
    connect(target, (...[error, socket]) => (error === null ? resolve(socket) : reject(error)));
  });
}

function blameProxy(error: unknown): never {
  if (failureCode(error) !== 'CERTIFICATE') throw error;
  throw new ProxyError("the proxy's certificate is not trusted", 'CERTIFICATE', error);
}
