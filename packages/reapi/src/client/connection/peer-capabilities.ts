import { fromBinary } from '@bufbuild/protobuf';
import type { DigestFunction } from '@granary/blobs';
import {
  Compressor_Value as Compressor,
  ServerCapabilitiesSchema,
} from '../../gen/build/bazel/remote/execution/v2/remote_execution_pb.js';
import { digestFunctionOf } from '../../wire/index.js';

/** What a peer says that it can do, as far as it matters here. */
export interface PeerCapabilities {
  readonly digestFunctions: ReadonlySet<DigestFunction>;
  /** Most bytes of all blobs in one batch; 0 for no limit but the transport's. */
  readonly maxBatchBytes: number;
  /** Most bytes of one blob; 0 for no limit. */
  readonly maxBlobBytes: number;
  /** Whether blobs may travel compressed with Zstandard: in streams and answers to batch reads. */
  readonly zstd: boolean;
  /** Whether those of batch updates may. */
  readonly zstdUpdates: boolean;
  /** Whether it takes action results from us. */
  readonly updatesActions: boolean;
}

/** Of a peer that doesn't say: what every cache can do. */
export const DEFAULT_CAPABILITIES: PeerCapabilities = {
  digestFunctions: new Set(['sha256']),
  maxBatchBytes: 0,
  maxBlobBytes: 0,
  zstd: false,
  zstdUpdates: false,
  updatesActions: true,
};

/** @throws Error when the bytes are no `ServerCapabilities` */
export function decodeCapabilities(bytes: Buffer): PeerCapabilities {
  const { cacheCapabilities: cache } = fromBinary(ServerCapabilitiesSchema, bytes);
  if (!cache) return DEFAULT_CAPABILITIES;
  const functions = cache.digestFunctions.map(digestFunctionOf).filter((fn) => fn !== undefined);
  return {
    digestFunctions: cache.digestFunctions.length > 0 ? new Set(functions) : DEFAULT_CAPABILITIES.digestFunctions,
    maxBatchBytes: limit(cache.maxBatchTotalSizeBytes),
    maxBlobBytes: limit(cache.maxCasBlobSizeBytes),
    zstd: cache.supportedCompressors.includes(Compressor.ZSTD),
    zstdUpdates: cache.supportedBatchUpdateCompressors.includes(Compressor.ZSTD),
    updatesActions: cache.actionCacheUpdateCapabilities?.updateEnabled ?? true,
  };
}

/** What is no limit becomes 0. */
function limit(bytes: bigint): number {
  return bytes > 0n && bytes <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(bytes) : 0;
}
