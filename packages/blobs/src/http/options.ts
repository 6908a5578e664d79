import type { ConnectionOptions } from 'node:tls';
import type { ProxyOptions } from '@granary/http';
import type { MaybePromise } from '../blob-store.js';
import { type DigestFunction, isDigestFunction } from '../digest-function.js';
import type { TierMode } from '../tiered/tier.js';

const MIB = 1024 * 1024;

export interface HttpTierOptions {
  /** Short, stable and different from those of the other tiers: a metric label. */
  readonly name: string;
  readonly mode: TierMode;
  /** Whether it is better to fail than to go on without this tier. Default false. */
  readonly required?: boolean | undefined;
  /**
   * `http://` or `https://`, and the path in front of `/cas/` and `/ac/`. A user and a password in it are sent as Basic
   * credentials. A query is refused.
   */
  readonly url: string | URL;
  /** Basic credentials, instead of those in the URL. */
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** Sent as `Authorization: Bearer …`. A function is asked for each request and may keep what it gives. */
  readonly token?: string | (() => MaybePromise<string>) | undefined;
  /** Sent with every request; names in lower case. Default none. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** For `https`: `ca`, `cert` and `key` in PEM, `servername`, as `tls.connect` takes them. */
  readonly tls?: ConnectionOptions | undefined;
  /** Proxies; `true` takes them from the environment. Default true. */
  readonly proxy?: ProxyOptions | boolean | undefined;
  /**
   * The digest functions of the blobs and actions that the server is asked for. Paths name blobs by their hash alone, and
   * servers that verify uploads take one of 64 digits for SHA-256. Blobs of other functions are missing, and refused.
   * Default `sha256`.
   */
  readonly digestFunctions?: readonly DigestFunction[] | undefined;
  /**
   * Whether 403 to a question means that the blob isn't there, as servers answer that hide what they don't have from
   * those who may not list it. Wrong credentials go unnoticed then. Default false.
   */
  readonly forbiddenIsMissing?: boolean | undefined;
  /** Whether blobs may come compressed: with zstd, where this Node has it. Default true. */
  readonly compression?: boolean | undefined;
  /** Connections; what has none waits. 1 to 1024, default 64. */
  readonly connections?: number | undefined;
  /** Requests that one check of many blobs has under way at a time; 1 to 1024, default 32. */
  readonly parallelChecks?: number | undefined;
  /** For a connection, TLS included, in milliseconds. Default 10 000. */
  readonly connectTimeoutMs?: number | undefined;
  /** How long the server may be silent before its answer and within it, in milliseconds. Default 30 000. */
  readonly idleTimeoutMs?: number | undefined;
  /** Largest action result that is taken, in bytes. Default 16 MiB. */
  readonly maxActionResultBytes?: number | undefined;
}

/** The options with the defaults in them. */
export interface ResolvedHttpOptions {
  readonly name: string;
  /** Without credentials, and without a slash at its end. */
  readonly base: URL;
  readonly basic: string | undefined;
  readonly token: string | (() => MaybePromise<string>) | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: ConnectionOptions | undefined;
  readonly proxy: ProxyOptions | boolean;
  readonly digestFunctions: ReadonlySet<DigestFunction>;
  readonly forbiddenIsMissing: boolean;
  readonly compression: boolean;
  readonly connections: number;
  readonly parallelChecks: number;
  readonly connectTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly maxActionResultBytes: number;
}

/** @throws RangeError that names the option which is wrong, and never quotes credentials */
export function resolveHttpOptions(options: HttpTierOptions): ResolvedHttpOptions {
  const { digestFunctions = ['sha256'], tls } = options;
  for (const fn of digestFunctions) {
    if (!isDigestFunction(fn)) throw new RangeError(`digestFunctions: ${JSON.stringify(fn)} is none`);
  }
  const { base, userinfo } = parseBase(options.url);
  if (tls && base.protocol !== 'https:')
    throw new RangeError('tls is given, but the url is not encrypted: use https://');
  if (tls && (tls.cert === undefined) !== (tls.key === undefined))
    throw new RangeError('tls.cert and tls.key belong together; one is missing');
  const basic = basicOf(options, userinfo);
  if (basic !== undefined && options.token !== undefined)
    throw new RangeError('give a user and a password, or a token, not both');
  return {
    name: options.name,
    base,
    basic,
    token: options.token,
    headers: options.headers ?? {},
    tls,
    proxy: options.proxy ?? true,
    digestFunctions: new Set(digestFunctions),
    forbiddenIsMissing: options.forbiddenIsMissing ?? false,
    compression: options.compression ?? true,
    connections: whole('connections', options.connections ?? 64, 1, 1024),
    parallelChecks: whole('parallelChecks', options.parallelChecks ?? 32, 1, 1024),
    connectTimeoutMs: whole('connectTimeoutMs', options.connectTimeoutMs ?? 10_000, 1, 0x7fff_ffff),
    idleTimeoutMs: whole('idleTimeoutMs', options.idleTimeoutMs ?? 30_000, 1, 0x7fff_ffff),
    maxActionResultBytes: whole('maxActionResultBytes', options.maxActionResultBytes ?? 16 * MIB, 1, 1024 * MIB),
  };
}

function parseBase(given: string | URL): { base: URL; userinfo: string | undefined } {
  let base: URL;
  try {
    base = new URL(given);
  } catch {
    // The text may hold a password, so it is not quoted, and neither is the cause, which quotes it.
    throw new RangeError('url is none');
  }
  if (base.protocol !== 'http:' && base.protocol !== 'https:') throw new RangeError('url must be http:// or https://');
  if (base.search || base.hash) throw new RangeError('url must have no query and no fragment');
  let userinfo: string | undefined;
  if (base.username || base.password) {
    try {
      userinfo = `${decodeURIComponent(base.username)}:${decodeURIComponent(base.password)}`;
    } catch {
      throw new RangeError('url: the credentials in it have a malformed percent escape');
    }
  }
  base.username = '';
  base.password = '';
  base.pathname = base.pathname.replace(/\/+$/, '');
  return { base, userinfo };
}

function basicOf({ username, password }: HttpTierOptions, userinfo: string | undefined): string | undefined {
  if (username === undefined && password === undefined) return userinfo;
  if (username === undefined || password === undefined)
    throw new RangeError('username and password belong together; one is missing');
  if (userinfo !== undefined)
    throw new RangeError('give the credentials in the url or in username and password, not both');
  if (username.includes(':')) throw new RangeError('username must have no colon');
  return `${username}:${password}`;
}

function whole(option: string, value: number, least: number, most: number): number {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
  throw new RangeError(`${option} must be a whole number from ${least} to ${most}, not ${value}`);
}
