import type { ConnectionOptions } from 'node:tls';
import { Agent, type buildConnector, EnvHttpProxyAgent } from 'undici';
import type { Dispatch } from '../dispatch.js';
import { isDirect, type ProxyOptions, proxiesOf } from './proxies.js';

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
}

/** What has connections. */
export interface ConnectionOwner {
  close(): Promise<unknown>;
  destroy(): Promise<unknown>;
}

/** The connections of a client: by way of a proxy where one is configured. */
export function createAgent(settings: ConnectionSettings): { agent: ConnectionOwner; dispatch: Dispatch } {
  const { http2 } = settings;
  // undici's types leave out `undefined` where Node's have it.
  const connect = {
    ...settings.tls,
    timeout: undiciMs(settings.connectTimeoutMs),
  } as Partial<buildConnector.BuildOptions>;
  const options = {
    connect,
    allowH2: http2,
    connections: settings.maxConnectionsPerHost,
    headersTimeout: undiciMs(settings.headersTimeoutMs),
    bodyTimeout: undiciMs(settings.bodyTimeoutMs),
    keepAliveTimeout: settings.keepAliveMs,
    maxHeaderSize: settings.maxHeaderBytes,
  };
  const proxies = proxiesOf(settings.proxy);
  if (proxies === undefined) {
    const agent = new Agent(options);
    return { agent, dispatch: counted(agent.dispatch.bind(agent) as Dispatch) };
  }
  const { directRanges, ...environment } = proxies;
  const agent = new EnvHttpProxyAgent({
    ...options,
    ...environment,
    // Plain HTTP goes to the proxy as it is: many let no tunnel through but to port 443.
    proxyTunnel: false,
    requestTls: { ...connect, allowH2: http2 } as never,
    proxyTls: { timeout: undiciMs(settings.connectTimeoutMs) } as never,
  });
  const dispatch = counted(agent.dispatch.bind(agent) as Dispatch);
  // undici writes into the headers of what it sends through a proxy.
  const copied: Dispatch = (request, handler) =>
    dispatch({ ...request, headers: { ...request.headers } as never }, handler);
  if (directRanges === undefined) return { agent, dispatch: copied };
  // undici knows no ranges, and takes them for names.
  const direct = createAgent({ ...settings, proxy: false });
  const both = [agent, direct.agent];
  return {
    agent: {
      close: () => Promise.all(both.map((one) => one.close())),
      destroy: () => Promise.all(both.map((one) => one.destroy())),
    },
    dispatch: (request, handler) =>
      isDirect(directRanges, request.origin) ? direct.dispatch(request, handler) : copied(request, handler),
  };
}

/** undici takes whole milliseconds, and 0 for none. */
const undiciMs = (ms: number): number => (ms === Infinity ? 0 : Math.ceil(ms));

/** Every attempt ends here, so here it is counted. */
function counted(dispatch: Dispatch): Dispatch {
  return (request, handler) => {
    if (request.progress !== undefined) request.progress.attempts++;
    return dispatch(request, handler);
  };
}
