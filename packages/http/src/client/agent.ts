import type { ConnectionOptions } from 'node:tls';
import { Agent, type buildConnector, type Dispatcher, EnvHttpProxyAgent } from 'undici';
import { type Dispatch, withBody } from '../dispatch.js';

/** Proxies by the URL's scheme. What is not given is taken from the environment. */
export interface ProxyOptions {
  /** Default `HTTP_PROXY`. */
  readonly httpProxy?: string | undefined;
  /** Default `HTTPS_PROXY`, else the same as for http. */
  readonly httpsProxy?: string | undefined;
  /** Hosts that are asked directly, separated by commas. Default `NO_PROXY`. */
  readonly noProxy?: string | undefined;
}

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

/** The connections of a client: by way of a proxy where one is configured. */
export function createAgent(settings: ConnectionSettings): { agent: Dispatcher; dispatch: Dispatch } {
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
  const agent = new EnvHttpProxyAgent({
    ...options,
    ...proxies,
    // Plain HTTP goes to the proxy as it is: many let no tunnel through but to port 443.
    proxyTunnel: false,
    requestTls: { ...connect, allowH2: http2 } as never,
    proxyTls: { timeout: undiciMs(settings.connectTimeoutMs) } as never,
  });
  const dispatch = counted(agent.dispatch.bind(agent) as Dispatch);
  // undici writes into the headers of what it sends through a proxy.
  const copied: Dispatch = (request, handler) =>
    dispatch({ ...request, headers: { ...request.headers } as never }, handler);
  return { agent, dispatch: copied };
}

/** undici takes whole milliseconds, and 0 for none. */
const undiciMs = (ms: number): number => (ms === Infinity ? 0 : Math.ceil(ms));

/** Undefined when nothing goes through a proxy, which spares every request the look at the environment. */
function proxiesOf(proxy: ProxyOptions | boolean) {
  if (proxy === false) return undefined;
  const { env } = process;
  const given = proxy === true ? {} : proxy;
  const httpProxy = given.httpProxy ?? env['http_proxy'] ?? env['HTTP_PROXY'];
  const httpsProxy = given.httpsProxy ?? env['https_proxy'] ?? env['HTTPS_PROXY'];
  if (!httpProxy && !httpsProxy) return undefined;
  const noProxy = given.noProxy ?? env['no_proxy'] ?? env['NO_PROXY'] ?? '';
  return { ...(httpProxy && { httpProxy }), ...(httpsProxy && { httpsProxy }), noProxy };
}

/** Every attempt ends here, so here it is counted. */
function counted(dispatch: Dispatch): Dispatch {
  return (request, handler) => {
    if (request.progress !== undefined) request.progress.attempts++;
    return dispatch(withBody(request), handler);
  };
}
