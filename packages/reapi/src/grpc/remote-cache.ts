import {
  type ActionResultStore,
  type BlobStore,
  DEFAULT_DIGEST_FUNCTIONS,
  type DigestFunction,
  withEmptyBlob,
} from '@granary/blobs';
import { type Logger, noopTracer, nullLogger, type Tracer } from '@granary/telemetry';
import type { Server, ServerOptions } from '@grpc/grpc-js';
import type { EdgeHooks } from '../edge/hooks.js';
import { ActionCache } from '../services/action-cache.js';
import { DigestPolicy } from '../services/digest-policy.js';
import { type CacheLimits, largestRequest, resolveLimits } from '../services/limits.js';
import { admission } from './calls/admission.js';
import { CallSpans } from './calls/call-spans.js';
import { addEndpoints } from './calls/endpoint.js';
import type { Edge } from './calls/running-call.js';
import { answerUnknownMethods } from './calls/unknown-methods.js';
import { actionCacheEndpoints } from './endpoints/action-cache.js';
import { byteStreamEndpoints } from './endpoints/byte-stream.js';
import type { CacheParts } from './endpoints/cache-parts.js';
import { capabilitiesEndpoints } from './endpoints/capabilities.js';
import { contentAddressableStorageEndpoints } from './endpoints/content-addressable-storage.js';
import { healthEndpoints } from './endpoints/health-endpoints.js';
import { reflectionEndpoints } from './endpoints/reflection.js';
import { Health } from './health.js';

export interface RemoteCacheOptions {
  readonly blobs: BlobStore;
  readonly actionResults: ActionResultStore;
  /** Functions that clients may name content with. Default SHA-256 and BLAKE3. */
  readonly digestFunctions?: readonly DigestFunction[];
  readonly limits?: Partial<CacheLimits>;
  readonly ac?: {
    /** Refuse new action results. Default false. */
    readonly readOnly?: boolean;
    /** Whether a result that names something that is gone counts as a miss. Default true. */
    readonly completenessCheck?: boolean;
  };
  /** Access rules and records. Default: everyone may do everything, and nobody is told. */
  readonly hooks?: EdgeHooks;
  readonly logger?: Logger;
  /** Makes a span of each call and of what is asked of the action cache. Default: none. */
  readonly tracer?: Tracer;
  /**
   * This server as others know it. With it, requests that have passed this server before are refused: needed where the
   * store asks other servers. Default: none, and nothing is looked at.
   */
  readonly serverId?: string | undefined;
}

/** The caching half of the Remote Execution API, to be added to gRPC servers and shared with the HTTP edge. */
export interface RemoteCache {
  /** The store that was given, with the empty blob always in it. */
  readonly blobs: BlobStore;
  readonly actionCache: ActionCache;
  readonly digestFunctions: readonly DigestFunction[];
  readonly limits: CacheLimits;
  readonly health: Health;
  /** gRPC calls that are under way, streams that are open included. */
  readonly runningCalls: number;
  /**
   * Adds all services: ContentAddressableStorage, ActionCache, ByteStream, Capabilities, health and reflection. The
   * server is made with {@link grpcServerOptions}.
   */
  addTo(server: Server): void;
  /**
   * The options that a `grpc.Server` needs for this cache: its message limits, and that who makes a call is asked before
   * its message is taken.
   */
  grpcServerOptions(): ServerOptions;
}

/** @throws RangeError that names the option which is wrong */
export function createRemoteCache(options: RemoteCacheOptions): RemoteCache {
  const logger = options.logger ?? nullLogger;
  const tracer = options.tracer ?? noopTracer;
  const limits = resolveLimits(options.limits);
  const digests = new DigestPolicy(options.digestFunctions ?? DEFAULT_DIGEST_FUNCTIONS);
  const blobs = withEmptyBlob(options.blobs);
  const actionCache = new ActionCache({
    ...options.ac,
    results: options.actionResults,
    blobs,
    maxTreeBytes: limits.maxTreeBytes,
    maxTreeDirectories: limits.maxTreeDirectories,
    logger,
    tracer,
  });
  const edge: Edge = {
    hooks: options.hooks ?? {},
    logger,
    spans: new CallSpans(tracer),
    running: { count: 0 },
    admitted: new WeakSet(),
    serverId: options.serverId,
    streamIdleMs: limits.streamIdleMs,
    maxMessageBytes: limits.maxMessageBytes,
  };
  const parts: CacheParts = { edge, blobs, actionCache, digests, limits };
  const endpoints = [
    ...contentAddressableStorageEndpoints(parts),
    ...actionCacheEndpoints(parts),
    ...byteStreamEndpoints(parts),
    ...capabilitiesEndpoints(parts),
  ];
  const health = new Health([...new Set(endpoints.map(({ method }) => method.service))]);
  const all = [...endpoints, ...healthEndpoints(edge, health), ...reflectionEndpoints(edge)];
  return {
    blobs,
    actionCache,
    digestFunctions: digests.functions,
    limits,
    health,
    get runningCalls() {
      return edge.running.count;
    },
    addTo(server) {
      addEndpoints(server, all);
      answerUnknownMethods(server, edge, new Set(all.map(({ method }) => method.service)));
    },
    grpcServerOptions: () => ({
      'grpc.max_receive_message_length': largestRequest(limits),
      'grpc.max_send_message_length': -1,
      interceptors: [admission(edge, new Map(all.map(({ method, definition }) => [definition.path, method])))],
    }),
  };
}
