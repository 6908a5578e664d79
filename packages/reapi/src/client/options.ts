import { performance } from 'node:perf_hooks';
import type { TierMode } from '@granary/blobs';
import { checkInstanceName } from '../resource-name.js';
import type { GrpcTlsOptions } from './connection/channel-credentials.js';

const MIB = 1024 * 1024;

export interface GrpcTierOptions {
  /** Short, stable and different from those of the other tiers: a metric label. */
  readonly name: string;
  readonly mode: TierMode;
  /** Whether it is better to fail than to go on without this tier. Default false. */
  readonly required?: boolean | undefined;
  /**
   * `grpc://HOST[:PORT]` or `HOST[:PORT]` (plaintext, port 9092), `grpcs://HOST[:PORT]` (TLS, port 443) or `unix:PATH`.
   * Credentials in it are refused.
   */
  readonly target: string;
  /** Put in front of the instance name of every request. Default: none. */
  readonly instanceName?: string | undefined;
  /** Sent with every call; names in lower case. Default none. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Sent as `authorization: Bearer …`. */
  readonly token?: string | undefined;
  /** A file with the token, read again each minute and after a call that was refused. */
  readonly tokenFile?: string | undefined;
  /** For `grpcs` targets. */
  readonly tls?: GrpcTlsOptions | undefined;
  /**
   * Connections, opened when there are as many calls at a time; 1 to 64. As many more are opened for downloads when there
   * are more than four. Default 2.
   */
  readonly connections?: number | undefined;
  /**
   * Whether blobs travel compressed with Zstandard. `auto`: where the peer can and it costs less than it saves, which
   * leaves out downloads on Node before 22.15, where only a decoder in JavaScript takes streams (270 MB/s). `on`:
   * wherever the peer can. Default `auto`.
   */
  readonly compression?: 'auto' | 'on' | 'off' | undefined;
  readonly batch?: GrpcBatchOptions | undefined;
  /**
   * How long a single call may take, and how long a stream may stand still while the peer is waited for, in
   * milliseconds. Default 60 000; whoever calls usually has a shorter patience of his own.
   */
  readonly timeoutMs?: number | undefined;
  /** A connection with calls on it is tested when nothing came for this long, in milliseconds. Default 30 000. */
  readonly keepaliveMs?: number | undefined;
  /**
   * Bytes that the peer may send ahead of a slow consumer, for each of four downloads; further ones at the same time have
   * 128 KiB at most. Default 4 MiB.
   */
  readonly windowBytes?: number | undefined;
  /**
   * Largest message that the peer is sent, or asked for in a batch, in bytes. Default 4 MiB, which every server takes, and
   * which is taken from each.
   */
  readonly maxMessageBytes?: number | undefined;
}

/** How small reads, small writes and existence checks of many callers become one call. */
export interface GrpcBatchOptions {
  /**
   * How long a first one waits for others while a batch is under way, in milliseconds; without any it leaves in the same
   * turn of the event loop, and a batch that returns takes those that wait with it. Default 1.
   */
  readonly delayMs?: number | undefined;
  /** Most blobs in one call. Default 2000. */
  readonly maxBlobs?: number | undefined;
  /** Largest blob that travels in a batch, in bytes; others have a stream of their own. Default 64 KiB. */
  readonly maxBlobBytes?: number | undefined;
}

/** The options with the defaults in them. */
export interface ResolvedGrpcOptions {
  readonly name: string;
  readonly target: string;
  readonly instanceName: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly token: string | undefined;
  readonly tokenFile: string | undefined;
  readonly tls: GrpcTlsOptions | undefined;
  readonly connections: number;
  readonly compression: 'auto' | 'on' | 'off';
  readonly batchDelayMs: number;
  readonly maxBatchBlobs: number;
  readonly maxBatchBlobBytes: number;
  readonly timeoutMs: number;
  readonly keepaliveMs: number;
  readonly windowBytes: number;
  readonly maxMessageBytes: number;
  /** In milliseconds. */
  readonly clock: () => number;
}

/** @throws RangeError that names the option which is out of its range */
export function resolveOptions(options: GrpcTierOptions, clock = () => performance.now()): ResolvedGrpcOptions {
  const { batch = {}, compression = 'auto' } = options;
  if (!['auto', 'on', 'off'].includes(compression))
    throw new RangeError(`compression must be auto, on or off, not ${JSON.stringify(compression)}`);
  return {
    name: options.name,
    target: options.target,
    instanceName: instanceName(options.instanceName ?? ''),
    headers: options.headers ?? {},
    token: options.token,
    tokenFile: options.tokenFile,
    tls: options.tls,
    connections: whole('connections', options.connections ?? 2, 1, 64),
    compression,
    batchDelayMs: whole('batch.delayMs', batch.delayMs ?? 1, 0, 1000),
    maxBatchBlobs: whole('batch.maxBlobs', batch.maxBlobs ?? 2000, 1, 100_000),
    maxBatchBlobBytes: whole('batch.maxBlobBytes', batch.maxBlobBytes ?? 64 * 1024, 0, 64 * MIB),
    timeoutMs: whole('timeoutMs', options.timeoutMs ?? 60_000, 1, 0x7fff_ffff),
    keepaliveMs: whole('keepaliveMs', options.keepaliveMs ?? 30_000, 1000, 0x7fff_ffff),
    windowBytes: whole('windowBytes', options.windowBytes ?? 4 * MIB, 65_535, 0x7fff_ffff),
    maxMessageBytes: whole('maxMessageBytes', options.maxMessageBytes ?? 4 * MIB, 64 * 1024, 1024 * MIB),
    clock,
  };
}

function instanceName(name: string): string {
  try {
    checkInstanceName(name);
    return name;
  } catch (cause) {
    throw new RangeError(`instanceName: ${cause instanceof Error ? cause.message : cause}`, { cause });
  }
}

function whole(option: string, value: number, least: number, most: number): number {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
  throw new RangeError(`${option} must be a whole number from ${least} to ${most}, not ${value}`);
}
