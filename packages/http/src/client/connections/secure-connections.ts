import type { Socket } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { buildConnector } from 'undici';
import { type ProxyOptions, proxiesOf } from './proxies.js';
import { proxyConnector } from './proxy-connector.js';

export interface SecureConnectionsOptions {
  /** As for the client: proxies of URLs with `https`; true takes them from the environment. */
  readonly proxy: ProxyOptions | boolean;
  /** For a connection as a whole, in milliseconds. */
  readonly timeoutMs: number;
  readonly tls?: Pick<ConnectionOptions, 'ca' | 'cert' | 'key'> | undefined;
}

/** The server to connect to. */
export interface SecureServer {
  readonly hostname: string;
  readonly port: number;
  /** Default: the hostname. */
  readonly servername?: string | undefined;
}

/** TLS connections for clients that make their requests themselves. */
export interface SecureConnections {
  /** @throws ProxyError, or what Node says */
  connect(server: SecureServer): Promise<Socket>;
  /** Ends those that lead nowhere yet. */
  destroy(): void;
}

/** Longest answer of a proxy. */
const MAX_ANSWER_BYTES = 16 * 1024;

/** Undefined where nothing goes through a proxy. @throws InvalidOptionError for a proxy that is no URL */
export function secureConnections({ proxy, timeoutMs, tls }: SecureConnectionsOptions): SecureConnections | undefined {
  const proxyOf = proxiesOf(proxy);
  if (proxyOf === undefined) return undefined;
  const opening = new Set<Socket>();
  const connector = proxyConnector({
    proxyOf,
    opening,
    timeoutMs,
    maxAnswerBytes: MAX_ANSWER_BYTES,
    connect: buildConnector({ ...tls, timeout: timeoutMs } as buildConnector.BuildOptions),
  });
  return {
    connect: ({ hostname, port, servername }) =>
      new Promise((resolve, reject) => {
        const host = `${hostname.includes(':') ? `[${hostname}]` : hostname}:${port}`;
        connector(
          { protocol: 'https:', hostname, host, port: String(port), ...(servername && { servername }) },
          (...[error, socket]) => (error === null ? resolve(socket) : reject(error)),
        );
      }),
    destroy() {
      for (const socket of opening) socket.destroy();
    },
  };
}
