import {
  Compressor_Value as Compressor,
  type DigestFunction_Value as DigestFunction,
  GetCapabilitiesRequestSchema,
  ServerCapabilitiesSchema,
  SymlinkAbsolutePathStrategy_Value as SymlinkStrategy,
} from '../../gen/build/bazel/remote/execution/v2/remote_execution_pb.js';
import { checkInstanceName } from '../../resource-name.js';
import { isPending } from '../../services/pending.js';
import { decodeGenerated, encodeGenerated } from '../../wire/generated-message.js';
import { digestFunctionNumber } from '../../wire/index.js';
import { zstdSupport } from '../../zstd/index.js';
import { type Endpoint, unary } from '../calls/endpoint.js';
import { MAX_NAMING_BYTES } from '../calls/server-call.js';
import type { CacheParts } from './cache-parts.js';

const SERVICE = 'build.bazel.remote.execution.v2.Capabilities';

/** Versions of the API that are honoured, the caching half of it: 2.11 brought nothing for caches after BLAKE3. */
const LOW_VERSION = { major: 2, minor: 0 };
const HIGH_VERSION = { major: 2, minor: 11 };

/**
 * `Capabilities`, which most clients ask for first and without which they refuse to work. Whether results may be
 * updated depends on who asks: a client that may only read would otherwise fail when it tries.
 */
export function capabilitiesEndpoints(parts: CacheParts): Endpoint[] {
  const method = {
    service: SERVICE,
    name: 'GetCapabilities',
    right: 'read',
    decode: decodeInstanceName,
    maxRequestBytes: MAX_NAMING_BYTES,
  } as const;
  const forWriters = encodeCapabilities(parts, !parts.actionCache.readOnly);
  const forReaders = encodeCapabilities(parts, false);
  return [
    unary(parts.edge, method, (instanceName, call) => {
      checkInstanceName(instanceName);
      if (call.wantsDetails) call.subject = instanceName;
      const mayWrite = call.allows('write');
      const answer = (allowed: boolean) => (allowed ? forWriters : forReaders);
      return isPending(mayWrite) ? mayWrite.then(answer) : answer(mayWrite);
    }),
  ];
}

function encodeCapabilities({ digests, limits }: CacheParts, updateEnabled: boolean): Buffer {
  const { compress } = zstdSupport();
  return encodeGenerated(ServerCapabilitiesSchema, {
    cacheCapabilities: {
      digestFunctions: digests.functions.map((fn) => digestFunctionNumber(fn) as DigestFunction),
      actionCacheUpdateCapabilities: { updateEnabled },
      maxBatchTotalSizeBytes: BigInt(limits.maxBatchTotalBytes),
      maxCasBlobSizeBytes: BigInt(limits.maxBlobBytes),
      symlinkAbsolutePathStrategy: SymlinkStrategy.ALLOWED,
      supportedCompressors: compress ? [Compressor.IDENTITY, Compressor.ZSTD] : [Compressor.IDENTITY],
      supportedBatchUpdateCompressors: [Compressor.IDENTITY, Compressor.ZSTD],
    },
    lowApiVersion: LOW_VERSION,
    highApiVersion: HIGH_VERSION,
  });
}

function decodeInstanceName(bytes: Buffer): string {
  return decodeGenerated(GetCapabilitiesRequestSchema, bytes).instanceName;
}
