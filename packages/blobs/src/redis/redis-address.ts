import { readFile } from 'node:fs/promises';
import type { RedisConnection } from '@granary/cache/redis';
import { InvalidOptionError } from '@granary/resilience';

/** PEM text. */
type Pem = string | Uint8Array;

/** Where a Redis or Valkey is, and who we are there. */
export interface RedisAddress {
  /**
   * `redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]`, or `rediss://…` for TLS. One for a server; some of the nodes of a
   * cluster; the Sentinels of a group. User, password and database are taken from the first one. Port 6379, for
   * Sentinels 26379.
   */
  readonly urls: readonly [string, ...string[]];
  /** What the URLs name. Default `server`. */
  readonly topology?: 'server' | 'cluster' | 'sentinel' | undefined;
  /** The name of the group that Sentinels watch over. */
  readonly group?: string | undefined;
  /** Instead of the user in the URL. */
  readonly username?: string | undefined;
  /** Instead of the password in the URL. */
  readonly password?: string | undefined;
  /** A file with the password, read again whenever a connection is lost. Instead of the password in the URL. */
  readonly passwordFile?: string | undefined;
  /** For Sentinels that want a password of their own. */
  readonly sentinelPassword?: string | undefined;
  /** For `rediss` URLs. */
  readonly tls?: RedisTlsOptions | undefined;
}

export interface RedisTlsOptions {
  /** Certificates of the authorities that are trusted. Default: those that Node trusts. */
  readonly ca?: Pem | undefined;
  /** Our own certificate, for a server that asks for one; with `key`. */
  readonly cert?: Pem | undefined;
  /** Its private key. */
  readonly key?: Pem | undefined;
  /** Name that the server's certificate must have, where it is another one than the host of the URL. */
  readonly serverName?: string | undefined;
}

/** What a client is made with; the password can change while it lives. */
export type ConnectionOptions = Exclude<RedisConnection, string | { getBuffer: unknown }>;

interface Place {
  readonly url: URL;
  readonly host: string;
  readonly port: number;
}

/**
 * @throws InvalidOptionError that names the option, and never quotes credentials
 * @throws an error of the file system when the password can't be read
 */
export async function connectionOf(address: RedisAddress): Promise<ConnectionOptions> {
  const { topology = 'server', group, sentinelPassword } = address;
  const defaultPort = topology === 'sentinel' ? 26_379 : 6379;
  const places = address.urls.map((url, i) => parse(url, i, defaultPort));
  const [first] = places;
  if (!first) throw new InvalidOptionError('urls', 'one URL at least', address.urls);
  if (topology === 'server' && places.length > 1)
    throw new InvalidOptionError('urls', 'one URL, unless topology says that they name more', places.length);
  if ((topology === 'sentinel') !== (group !== undefined))
    throw new InvalidOptionError('group', 'a name for the topology sentinel, and nothing for others', group);
  const tls = tlsOf(address, places);
  const common = { ...(await credentialsOf(address, first.url)), ...(tls && { tls }) };
  const nodes = places.map(({ host, port }) => ({ host, port }));
  const db = databaseOf(first.url);
  if (topology === 'cluster') {
    if (db !== 0) throw new InvalidOptionError('urls', 'without a database, which clusters do not have', `/${db}`);
    return { nodes, options: { redisOptions: common } };
  }
  if (group === undefined) return { ...common, host: first.host, port: first.port, db };
  const sentinelTls = tls && { sentinelTLS: tls, enableTLSForSentinelMode: true };
  return {
    ...common,
    ...sentinelTls,
    sentinels: nodes,
    name: group,
    db,
    ...(sentinelPassword && { sentinelPassword }),
  };
}

/** The password as it is now. */
export async function passwordIn(file: string): Promise<string> {
  return (await readFile(file, 'utf8')).trim();
}

function parse(text: string, index: number, defaultPort: number): Place {
  const option = `urls[${index}]`;
  const expected = 'redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE] or rediss://…';
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new InvalidOptionError(option, expected, 'what is no URL');
  }
  if (url.protocol !== 'redis:' && url.protocol !== 'rediss:')
    throw new InvalidOptionError(option, expected, url.protocol);
  if (url.hostname === '' || url.search !== '' || url.hash !== '')
    throw new InvalidOptionError(option, expected, 'a URL without a host, or with more than that');
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  return { url, host, port: url.port === '' ? defaultPort : Number(url.port) };
}

function databaseOf({ pathname }: URL): number {
  const text = pathname.replace(/^\//, '');
  if (text === '') return 0;
  if (/^\d{1,5}$/.test(text)) return Number(text);
  throw new InvalidOptionError('urls', 'the number of a database as path', pathname);
}

async function credentialsOf(address: RedisAddress, url: URL): Promise<{ username?: string; password?: string }> {
  const given = [address.password, address.passwordFile].filter((one) => one !== undefined);
  if (given.length > 1) throw new InvalidOptionError('password', 'given once, as text or as a file', 'both');
  const username = address.username ?? decoded(url.username);
  const password =
    address.passwordFile === undefined
      ? (address.password ?? decoded(url.password))
      : await passwordIn(address.passwordFile);
  return { ...(username !== '' && { username }), ...(password !== '' && { password }) };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new InvalidOptionError('urls', 'user and password in percent encoding', 'others');
  }
}

function tlsOf({ tls }: RedisAddress, places: readonly Place[]): object | undefined {
  const encrypted = places.filter(({ url }) => url.protocol === 'rediss:').length;
  if (encrypted !== 0 && encrypted !== places.length)
    throw new InvalidOptionError('urls', 'all redis:// or all rediss://', 'both');
  if (encrypted === 0) {
    if (tls)
      throw new InvalidOptionError('tls', 'nothing, because the URL is not encrypted: use rediss://', 'something');
    return undefined;
  }
  const { ca, cert, key, serverName } = tls ?? {};
  if ((cert === undefined) !== (key === undefined))
    throw new InvalidOptionError('tls', 'cert and key together', 'one of them');
  return {
    ...(ca !== undefined && { ca: Buffer.from(ca as Uint8Array) }),
    ...(cert !== undefined && { cert: Buffer.from(cert as Uint8Array) }),
    ...(key !== undefined && { key: Buffer.from(key as Uint8Array) }),
    ...(serverName !== undefined && { servername: serverName }),
  };
}
