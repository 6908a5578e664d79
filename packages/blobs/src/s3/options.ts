import type { ProxyOptions } from '@granary/http';
import type { Logger } from '@granary/telemetry';
import { nullLogger } from '@granary/telemetry';
import type { TierMode } from '../tiered/tier.js';

const MIB = 1024 * 1024;
/** What S3 allows for parts but the last. */
const SMALLEST_PART_BYTES = 5 * MIB;
const BUCKET = /^[a-z0-9][a-z0-9._-]{1,253}[a-z0-9]$/i;
const PREFIX = /^[\w!*'(). -]+(\/[\w!*'(). -]+)*$/;

export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
}

/** Certificates in PEM. */
export interface S3TlsOptions {
  /** Authorities that are trusted. Default: those that Node trusts. */
  readonly ca?: string | Buffer | undefined;
  /** Our own certificate and its key, for an endpoint that asks for one. */
  readonly cert?: string | Buffer | undefined;
  readonly key?: string | Buffer | undefined;
}

export interface S3TierOptions {
  /** Short, stable and different from those of the other tiers: a metric label. */
  readonly name: string;
  readonly mode: TierMode;
  /** Whether it is better to fail than to go on without this tier. Default false. */
  readonly required?: boolean | undefined;
  readonly bucket: string;
  /** Put in front of every key, with a slash behind it. Default: none. */
  readonly prefix?: string | undefined;
  /** Default: `us-east-1` with an endpoint, else what the SDK finds in the environment and its files. */
  readonly region?: string | undefined;
  /** URL of a store other than AWS, without credentials. */
  readonly endpoint?: string | undefined;
  /** Whether the bucket's name goes into the path and not into the host. Default: with an endpoint. */
  readonly pathStyle?: boolean | undefined;
  /** Default: the SDK's chain: environment, files, web identity, container, instance. */
  readonly credentials?: S3Credentials | undefined;
  /**
   * How the store encrypts what it is given: with its own keys, or with a key of AWS KMS, the account's own one unless one
   * is named. Default: as the bucket says.
   */
  readonly encryption?: 'sse-s3' | { readonly kmsKeyId?: string | undefined } | undefined;
  /** For `https` endpoints. */
  readonly tls?: S3TlsOptions | undefined;
  /**
   * Proxies for `https` endpoints; false for none. Default: as `HTTPS_PROXY` and `NO_PROXY` say. An endpoint without TLS is
   * asked directly, and so are services that the SDK's chain has credentials from.
   */
  readonly proxy?: Pick<ProxyOptions, 'httpsProxy' | 'noProxy'> | boolean | undefined;
  /**
   * Whether 403 to a question means that the object isn't there, as S3 answers those who may not list the bucket. Wrong
   * permissions go unnoticed then: to allow `s3:ListBucket` is better. Default false.
   */
  readonly forbiddenIsMissing?: boolean | undefined;
  /** Blobs up to this are sent in one request, larger ones in parts of it, in bytes; at least 5 MiB. Default 8 MiB. */
  readonly partBytes?: number | undefined;
  /** Parts of one upload under way at a time; 1 to 64, default 4. */
  readonly parallelParts?: number | undefined;
  /** Memory for what is being uploaded, all uploads together, in bytes; more wait. Default 128 MiB. */
  readonly maxUploadBytes?: number | undefined;
  /** Connections; what has none waits. 1 to 1024, default 64. */
  readonly connections?: number | undefined;
  /** Requests that one check of many blobs has under way at a time; 1 to 1024, default 32. */
  readonly parallelChecks?: number | undefined;
  /** For a connection, TLS included, in milliseconds. Default 10 000. */
  readonly connectTimeoutMs?: number | undefined;
  /** A connection in use on which nothing happens for this long is given up, in milliseconds. Default 30 000. */
  readonly idleTimeoutMs?: number | undefined;
  /** Largest action result that is taken, in bytes. Default 16 MiB. */
  readonly maxActionResultBytes?: number | undefined;
  readonly logger?: Logger | undefined;
}

/** The options with the defaults in them. */
export interface ResolvedS3Options {
  readonly name: string;
  readonly bucket: string;
  /** Empty, or with a slash at its end. */
  readonly prefix: string;
  readonly region: string | undefined;
  readonly endpoint: string | undefined;
  readonly pathStyle: boolean;
  readonly credentials: S3Credentials | undefined;
  readonly encryption: S3TierOptions['encryption'];
  readonly tls: S3TlsOptions | undefined;
  readonly proxy: ProxyOptions | boolean;
  readonly forbiddenIsMissing: boolean;
  readonly partBytes: number;
  readonly parallelParts: number;
  readonly maxUploadBytes: number;
  readonly connections: number;
  readonly parallelChecks: number;
  readonly connectTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly maxActionResultBytes: number;
  readonly logger: Logger;
}

/** @throws RangeError that names the option which is wrong, and never quotes credentials */
export function resolveS3Options(options: S3TierOptions): ResolvedS3Options {
  const { bucket, prefix = '', endpoint, credentials, encryption, tls } = options;
  if (!BUCKET.test(bucket)) throw new RangeError(`bucket: ${JSON.stringify(bucket.slice(0, 80))} can be none`);
  const bare = prefix.replace(/^\/+|\/+$/g, '');
  const hasDots = bare.split('/').some((segment) => segment === '.' || segment === '..');
  if (bare !== '' && (!PREFIX.test(bare) || bare.length > 512 || hasDots))
    throw new RangeError("prefix must be at most 512 letters, digits and !-_.*'() with slashes between them");
  if (endpoint !== undefined) checkEndpoint(endpoint);
  if (credentials && !(credentials.accessKeyId && credentials.secretAccessKey))
    throw new RangeError('credentials: accessKeyId and secretAccessKey belong together; one is missing');
  if (encryption !== undefined && encryption !== 'sse-s3' && typeof encryption !== 'object')
    throw new RangeError('encryption must be sse-s3, or name a key of KMS');
  if (tls && (tls.cert === undefined) !== (tls.key === undefined))
    throw new RangeError('tls.cert and tls.key belong together; one is missing');
  const partBytes = whole('partBytes', options.partBytes ?? 8 * MIB, SMALLEST_PART_BYTES, 1024 * MIB);
  return {
    name: options.name,
    bucket,
    prefix: bare && `${bare}/`,
    region: options.region ?? (endpoint === undefined ? undefined : 'us-east-1'),
    endpoint,
    pathStyle: options.pathStyle ?? endpoint !== undefined,
    credentials,
    encryption,
    tls,
    proxy: options.proxy ?? true,
    forbiddenIsMissing: options.forbiddenIsMissing ?? false,
    partBytes,
    parallelParts: whole('parallelParts', options.parallelParts ?? 4, 1, 64),
    maxUploadBytes: whole('maxUploadBytes', options.maxUploadBytes ?? 128 * MIB, partBytes, Number.MAX_SAFE_INTEGER),
    connections: whole('connections', options.connections ?? 64, 1, 1024),
    parallelChecks: whole('parallelChecks', options.parallelChecks ?? 32, 1, 1024),
    connectTimeoutMs: whole('connectTimeoutMs', options.connectTimeoutMs ?? 10_000, 1, 0x7fff_ffff),
    idleTimeoutMs: whole('idleTimeoutMs', options.idleTimeoutMs ?? 30_000, 1, 0x7fff_ffff),
    maxActionResultBytes: whole('maxActionResultBytes', options.maxActionResultBytes ?? 16 * MIB, 1, 1024 * MIB),
    logger: options.logger ?? nullLogger,
  };
}

function checkEndpoint(endpoint: string): void {
  // Its text is not quoted: somebody may have put credentials into it.
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:')
    throw new RangeError('endpoint must be a URL with http:// or https://');
  if (url.username || url.password) throw new RangeError('endpoint must have no credentials in it: use credentials');
}

function whole(option: string, value: number, least: number, most: number): number {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
  throw new RangeError(`${option} must be a whole number from ${least} to ${most}, not ${value}`);
}
