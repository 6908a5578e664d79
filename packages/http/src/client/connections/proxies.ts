import { BlockList, isIP } from 'node:net';
import { InvalidOptionError } from '@granary/resilience';

/** Proxies by the URL's scheme: of HTTP, with or without TLS, or of SOCKS 5. What is not given is taken from the environment. */
export interface ProxyOptions {
  /** A URL, or `host:port`. Default `HTTP_PROXY`. */
  readonly httpProxy?: string | undefined;
  /** A URL, or `host:port`. Default `HTTPS_PROXY`, else the same as for http. */
  readonly httpsProxy?: string | undefined;
  /**
   * What is asked directly, separated by commas: names (and what ends in them), with a port or without, addresses, ranges
   * of addresses such as `10.0.0.0/8`, or `*` for everything. Default `NO_PROXY`.
   */
  readonly noProxy?: string | undefined;
}

/** Where connections go that don't go to the server itself. */
export interface ProxyServer {
  readonly protocol: 'http:' | 'https:' | 'socks5:';
  /** An address of IPv6 has no brackets here. */
  readonly hostname: string;
  readonly port: string;
  readonly credentials: ProxyCredentials | undefined;
}

export interface ProxyCredentials {
  readonly username: string;
  readonly password: string;
}

/** The proxy of an origin; undefined where the server is asked directly. */
export type ProxyOf = (origin: URL) => ProxyServer | undefined;

/** Undefined when nothing goes through a proxy, which spares every request the look at its origin. */
export function proxiesOf(proxy: ProxyOptions | boolean): ProxyOf | undefined {
  if (proxy === false) return undefined;
  const { env } = process;
  const given = proxy === true ? {} : proxy;
  const http = given.httpProxy ?? env['http_proxy'] ?? env['HTTP_PROXY'];
  const https = given.httpsProxy ?? env['https_proxy'] ?? env['HTTPS_PROXY'];
  if (!http && !https) return undefined;
  const exceptions = (given.noProxy ?? env['no_proxy'] ?? env['NO_PROXY'] ?? '').split(/[,\s]+/).filter(Boolean);
  if (exceptions.includes('*')) return undefined;
  const httpProxy = http ? parseProxy('httpProxy (HTTP_PROXY)', http) : undefined;
  const httpsProxy = https ? parseProxy('httpsProxy (HTTPS_PROXY)', https) : httpProxy;
  const isDirect = directOrigins(exceptions);
  return (origin) => {
    const found = origin.protocol === 'https:' ? httpsProxy : httpProxy;
    return found === undefined || isDirect(origin) ? undefined : found;
  };
}

const DEFAULT_PORTS = { 'http:': '80', 'https:': '443', 'socks5:': '1080' };

/** Whoever writes `proxy:3128` means a proxy of HTTP, as for other programs. */
function parseProxy(option: string, value: string): ProxyServer {
  const text = value.includes('://') ? value : `http://${value}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  // Names are always looked up by the proxy, which some programs call socks5h.
  const protocol = url?.protocol.replace(/^socks.*/, 'socks5:') as ProxyServer['protocol'];
  if (!url?.hostname || !/^(https?|socks5?h?):$/.test(url.protocol))
    throw new InvalidOptionError(option, 'a URL such as http://proxy:3128', text.replace(/\/\/.*@/, '//'));
  const { username, password } = url;
  return {
    protocol,
    hostname: withoutBrackets(url.hostname),
    port: url.port || DEFAULT_PORTS[protocol],
    credentials: username || password ? { username: decoded(username), password: decoded(password) } : undefined,
  };
}

/** A percent sign that nobody has encoded stands for itself, as with other programs. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const withoutBrackets = (hostname: string): string => hostname.replace(/^\[|\]$/g, '');

/** Whether the servers of an origin are asked directly. */
function directOrigins(exceptions: readonly string[]): (origin: URL) => boolean {
  const ranges = rangesOf(exceptions);
  const names = exceptions.map((entry) => {
    const [, name = '', port] = /^(.+?)(?::(\d+))?$/.exec(isIP(entry) === 6 ? `[${entry}]` : entry) ?? [];
    return { name: asInUrl(name.replace(/^\*?\./, '')), port: port && Number(port) };
  });
  return ({ protocol, hostname, port }) => {
    const address = withoutBrackets(hostname);
    const family = isIP(address);
    if (family !== 0 && ranges.check(address, family === 6 ? 'ipv6' : 'ipv4')) return true;
    const host = withoutRoot(hostname);
    const ownPort = Number(port || DEFAULT_PORTS[protocol as 'http:']);
    return names.some(
      (entry) => (!entry.port || entry.port === ownPort) && (host === entry.name || host.endsWith(`.${entry.name}`)),
    );
  };
}

/** In URLs names are in lower case and ASCII, and an address of IPv6 is as short as it can be. */
function asInUrl(name: string): string {
  const url = `http://${name}`;
  return withoutRoot(/[/?#@\\]/.test(name) || !URL.canParse(url) ? name : new URL(url).hostname);
}

/** A name that ends with a dot is the same name, looked up from the root on. */
const withoutRoot = (hostname: string): string => hostname.replace(/\.$/, '');

function rangesOf(entries: readonly string[]): BlockList {
  const ranges = new BlockList();
  for (const entry of entries) {
    const [, address = '', bits] = /^([^/]+)\/(\d{1,3})$/.exec(entry) ?? [];
    const family = isIP(address);
    // Like a name that nobody has, what is no range excepts nothing.
    if (family === 0 || Number(bits) > (family === 6 ? 128 : 32)) continue;
    ranges.addSubnet(address, Number(bits), family === 6 ? 'ipv6' : 'ipv4');
  }
  return ranges;
}
