import { BlockList, isIP } from 'node:net';
import { InvalidOptionError } from '@granary/resilience';

/** Proxies by the URL's scheme. What is not given is taken from the environment. */
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

export interface Proxies {
  readonly httpProxy?: string;
  readonly httpsProxy?: string;
  /** The names and addresses that are asked directly. */
  readonly noProxy: string;
  /** The ranges that are asked directly, where there are any. */
  readonly directRanges: BlockList | undefined;
}

/** Undefined when nothing goes through a proxy, which spares every request the look at the environment. */
export function proxiesOf(proxy: ProxyOptions | boolean): Proxies | undefined {
  if (proxy === false) return undefined;
  const { env } = process;
  const given = proxy === true ? {} : proxy;
  const httpProxy = given.httpProxy ?? env['http_proxy'] ?? env['HTTP_PROXY'];
  const httpsProxy = given.httpsProxy ?? env['https_proxy'] ?? env['HTTPS_PROXY'];
  if (!httpProxy && !httpsProxy) return undefined;
  const direct = (given.noProxy ?? env['no_proxy'] ?? env['NO_PROXY'] ?? '').split(/[,\s]+/).filter(Boolean);
  if (direct.includes('*')) return undefined;
  return {
    ...(httpProxy && { httpProxy: proxyUrl('httpProxy (HTTP_PROXY)', httpProxy) }),
    ...(httpsProxy && { httpsProxy: proxyUrl('httpsProxy (HTTPS_PROXY)', httpsProxy) }),
    noProxy: direct.map(asInUrl).join(','),
    directRanges: rangesOf(direct),
  };
}

/** Whether this origin is an address in one of the ranges. */
export function isDirect(ranges: BlockList, origin: string | URL | undefined): boolean {
  const host = new URL(origin ?? '').hostname.replace(/^\[|\]$/g, '');
  const family = isIP(host);
  return family !== 0 && ranges.check(host, family === 6 ? 'ipv6' : 'ipv4');
}

/** undici compares what URLs say, where an address of IPv6 has brackets and is as short as it can be. */
function asInUrl(entry: string): string {
  const url = `http://[${entry}]`;
  return isIP(entry) === 6 && URL.canParse(url) ? new URL(url).hostname : entry;
}

/** Whoever writes `proxy:3128` means a proxy of HTTP, as for other programs. */
function proxyUrl(option: string, value: string): string {
  const url = value.includes('://') ? value : `http://${value}`;
  if (URL.canParse(url) && /^(https?|socks5?):$/.test(new URL(url).protocol)) return url;
  throw new InvalidOptionError(option, 'a URL such as http://proxy:3128', url.replace(/\/\/.*@/, '//'));
}

function rangesOf(entries: readonly string[]): BlockList | undefined {
  const ranges = new BlockList();
  for (const entry of entries) {
    const [, address = '', bits] = /^([^/]+)\/(\d{1,3})$/.exec(entry) ?? [];
    const family = isIP(address);
    // Like a name that nobody has, what is no range excepts nothing.
    if (family === 0 || Number(bits) > (family === 6 ? 128 : 32)) continue;
    ranges.addSubnet(address, Number(bits), family === 6 ? 'ipv6' : 'ipv4');
  }
  return ranges.rules.length > 0 ? ranges : undefined;
}
