import type { Socket } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { Agent, buildConnector } from 'undici';
import type { Dispatch } from '../../dispatch.js';
import { LengthHandler } from '../../handlers/length-handler.js';
import { headerRecord } from '../../headers.js';
import { HttpError } from '../../http-error.js';
import { type AllowsAddress, checkedConnector } from './checked-connector.js';
import { endingWhenRead } from './end-when-read.js';
import { type ProxyOf, type ProxyOptions, proxiesOf } from './proxies.js';
import { forwards, proxyConnector } from './proxy-connector.js';
import { basic } from './tunnels.js';

export interface ConnectionSettings {
  readonly connectTimeoutMs: number;
  readonly headersTimeoutMs: number;
  readonly bodyTimeoutMs: number;
  readonly keepAliveMs: number;
  readonly maxConnectionsPerHost: number;
  readonly maxHeaderBytes: number;
  readonly http2: boolean;
  readonly tls: ConnectionOptions;
  readonly proxy: ProxyOptions | boolean;
  readonly allowsAddress: AllowsAddress | undefined;
}

/** What has connections. */
export interface ConnectionOwner {
  close(): Promise<unknown>;
  destroy(): Promise<unknown>;
}

/** The connections of a client: by way of a proxy where one is configured. */
export function createAgent(settings: ConnectionSettings): { agent: ConnectionOwner; dispatch: Dispatch } {
  const { http2, maxHeaderBytes } = settings;
  const timeoutMs = undiciMs(settings.connectTimeoutMs);
  // undici's types leave out `undefined` where Node's have it.
  const plain = buildConnector({
    ...settings.tls,
    timeout: timeoutMs,
    allowH2: http2,
  } as buildConnector.BuildOptions);
  const { allowsAddress } = settings;
  const connect = allowsAddress === undefined ? plain : checkedConnector(plain, allowsAddress);
  const proxyOf = proxiesOf(settings.proxy);
  const opening = new Set<Socket>();
  const agent = new Agent({
    connect: endingWhenRead(
      proxyOf === undefined
        ? connect
        : proxyConnector({ proxyOf, opening, timeoutMs, maxAnswerBytes: maxHeaderBytes, connect }),
    ),
    allowH2: http2,
    connections: settings.maxConnectionsPerHost,
    headersTimeout: undiciMs(settings.headersTimeoutMs),
    bodyTimeout: undiciMs(settings.bodyTimeoutMs),
    keepAliveTimeout: settings.keepAliveMs,
    maxHeaderSize: maxHeaderBytes,
  });
  const send = agent.dispatch.bind(agent) as Dispatch;
  const dispatch = counted(http2 ? holdingToLength(send) : send);
  if (proxyOf === undefined) return { agent, dispatch };
  const owner = {
    close: () => agent.close(),
    async destroy() {
      await agent.destroy();
      for (const socket of opening) socket.destroy();
    },
  };
  return { agent: owner, dispatch: addressed(dispatch, proxyOf) };
}

/** undici takes whole milliseconds, and 0 for none. */
export const undiciMs = (ms: number): number => (ms === Infinity ? 0 : Math.ceil(ms));

/** Every attempt ends here, so here it is counted. */
function counted(dispatch: Dispatch): Dispatch {
  return (request, handler) => {
    if (request.progress !== undefined) request.progress.attempts++;
    return dispatch(request, handler);
  };
}

function holdingToLength(dispatch: Dispatch): Dispatch {
  return (request, handler) => dispatch(request, new LengthHandler(handler, request.method));
}

const AUTHORIZATION = 'proxy-authorization';

/** What a proxy passes on names the server and not only the path, and has the credentials for the proxy. */
function addressed(dispatch: Dispatch, proxyOf: ProxyOf): Dispatch {
  return (request, handler) => {
    const origin = new URL(request.origin ?? '');
    const proxy = proxyOf(origin);
    if (proxy === undefined) return dispatch(request, handler);
    const headers = headerRecord(request.headers);
    // Through a tunnel, the server would get them.
    if (headers[AUTHORIZATION] !== undefined)
      throw new HttpError('INVALID_REQUEST', 'credentials for a proxy belong into its URL', {
        host: origin.host,
        method: request.method,
      });
    if (!forwards(proxy, origin)) return dispatch(request, handler);
    if (proxy.credentials !== undefined) headers[AUTHORIZATION] = basic(proxy.credentials);
    return dispatch({ ...request, path: origin.origin + request.path, headers }, handler);
  };
}
