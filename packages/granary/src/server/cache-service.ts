import { randomUUID } from 'node:crypto';
import { withSizeLimit, withTracing } from '@granary/blobs';
import {
  createHttpCacheHandler,
  createRemoteCache,
  type EdgeHooks,
  type HttpCacheHandler,
  type RemoteCache,
} from '@granary/reapi';
import { Server as GrpcServer } from '@grpc/grpc-js';
import type { Config } from '../config/schema.js';
import type { ServerStores } from './open-stores.js';
import type { ServerContext } from './server-context.js';

/** gRPC pings a silent client after this time and gives it that long to answer, so that dead ones don't stay. */
const KEEPALIVE_MS = 2 * 60_000;
const KEEPALIVE_TIMEOUT_MS = 20_000;

/** The cache of builds, in both of its protocols. */
export class CacheService {
  readonly remote: RemoteCache;
  readonly #context: ServerContext;
  readonly #stores: ServerStores;
  readonly #hooks: EdgeHooks;
  /** By which a server that asks others finds out that it asks itself. */
  readonly #serverId: string | undefined;

  constructor(context: ServerContext, stores: ServerStores, hooks: EdgeHooks) {
    const { config, logger, tracer } = context;
    const { local, tiered, disk } = stores;
    this.#context = context;
    this.#stores = stores;
    this.#hooks = hooks;
    this.#serverId = tiered && randomUUID();
    this.remote = createRemoteCache({
      blobs: withTracing(withSizeLimit(tiered?.blobs ?? local, config.limits.max_blob_size), tracer),
      actionResults: tiered?.actionResults ?? disk.actionResults,
      serverId: this.#serverId,
      digestFunctions: config.cas.digest_functions,
      limits: cacheLimits(config),
      ac: { readOnly: config.ac.read_only, completenessCheck: config.ac.completeness_check },
      hooks,
      logger: logger.forContext('component', 'grpc'),
      tracer,
    });
  }

  grpcServer(): GrpcServer {
    const server = new GrpcServer({
      ...this.remote.grpcServerOptions(),
      'grpc.max_concurrent_streams': this.#context.config.limits.max_concurrent_streams,
      'grpc.keepalive_time_ms': KEEPALIVE_MS,
      'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
      // Channelz keeps books about every call, which nobody can read here.
      'grpc.enable_channelz': 0,
    });
    this.remote.addTo(server);
    return server;
  }

  httpHandler(): HttpCacheHandler {
    const { config, logger, tracer } = this.#context;
    const { disk, diskMetrics, tiered } = this.#stores;
    return createHttpCacheHandler({
      blobs: this.remote.blobs,
      serverId: this.#serverId,
      sizes: tiered?.blobs ?? disk,
      onUnknown: (asked) => diskMetrics.recordOperation(asked, 'miss', 0, 0),
      actionCache: this.remote.actionCache,
      digestFunctions: this.remote.digestFunctions,
      maxBlobBytes: config.limits.max_blob_size,
      maxActionResultBytes: this.remote.limits.maxActionResultBytes,
      spoolDirectory: disk.incomingDirectory,
      maxSpoolBytes: config.limits.max_unsized_uploads,
      makeRoom: (bytes) => disk.makeRoom(bytes),
      hooks: this.#hooks,
      logger: logger.forContext('component', 'http'),
      tracer,
    });
  }
}

function cacheLimits({ limits }: Config) {
  return {
    maxMessageBytes: limits.max_message_size,
    maxBatchTotalBytes: limits.max_batch_total_size,
    maxBlobBytes: limits.max_blob_size,
    maxActionResultBytes: limits.max_action_result_size,
    maxFindMissingDigests: limits.max_digests,
    maxTreeBytes: limits.max_tree_size,
    maxTreeDirectories: limits.max_tree_directories,
    streamIdleMs: limits.stream_idle_timeout,
  };
}
