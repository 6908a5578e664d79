// The server's own parts with nobody who watches them: no metrics, no log, no traces, and no time taken for any of them.
// Everything else is as a server has it, the settings of its process too.
// node unwatched-server.mjs GRPC_PORT HTTP_PORT FOLDER
import { DiskBlobStore, EntryPins, withSizeLimit } from '@granary/blobs';
import { createHttpCacheHandler, createRemoteCache } from '@granary/reapi';
import { Server } from '@grpc/grpc-js';
import { loadIdentities } from '../../packages/granary/dist/access/load-identities.js';
import { AccessPolicy } from '../../packages/granary/dist/access/policy.js';
import { SecretHash } from '../../packages/granary/dist/access/secret-hash.js';
import { configFrom } from '../../packages/granary/dist/index.js';
import { listenGrpc } from '../../packages/granary/dist/server/listening/grpc-listener.js';
import { listenHttp } from '../../packages/granary/dist/server/listening/http-listener.js';
import { tuneProcess } from '../../packages/granary/dist/tune-process.js';

tuneProcess();

const [grpc, http, directory] = process.argv.slice(2);
const { limits, storage, auth, cas } = configFrom({
  'listen.grpc': `127.0.0.1:${grpc}`,
  'listen.http': `127.0.0.1:${http}`,
});

const store = await DiskBlobStore.open({
  directory,
  maxBytes: storage.max_size,
  minFreeBytes: storage.min_free,
  minAgeMs: storage.min_age,
  durability: storage.durability,
  directBytes: storage.direct_io,
  tableLoading: 'process',
  pins: new EntryPins(),
});
const hash = new SecretHash();
const policy = new AccessPolicy({
  identities: await loadIdentities(auth, hash),
  hash,
  hasCredentials: false,
  anonymous: 'write',
  rights: auth.rights,
  defaultRight: auth.default_right,
  maxFailures: auth.max_failures,
});
const hooks = { authorize: policy.authorize.bind(policy), allows: policy.allows.bind(policy) };
const cache = createRemoteCache({
  blobs: withSizeLimit(store, limits.max_blob_size),
  actionResults: store.actionResults,
  digestFunctions: cas.digest_functions,
  limits: { maxMessageBytes: limits.max_message_size, maxBlobBytes: limits.max_blob_size },
  hooks,
});
const server = new Server({
  ...cache.grpcServerOptions(),
  'grpc.max_concurrent_streams': limits.max_concurrent_streams,
  'grpc.keepalive_time_ms': 120_000,
  'grpc.keepalive_timeout_ms': 20_000,
  'grpc.enable_channelz': 0,
});
cache.addTo(server);
const listener = (key, port) => ({
  key,
  address: { host: '127.0.0.1', port: Number(port) },
  clientAuth: 'none',
  maxConnections: limits.max_connections,
  handshakeTimeoutMs: limits.header_timeout,
});
await listenGrpc(server, listener('grpc', grpc));
await listenHttp({
  ...listener('http', http),
  maxHeaderBytes: limits.max_header_size,
  headersTimeoutMs: limits.header_timeout,
  requestTimeoutMs: limits.request_timeout,
  idleTimeoutMs: limits.idle_timeout,
  handle: createHttpCacheHandler({
    blobs: cache.blobs,
    sizes: store,
    actionCache: cache.actionCache,
    digestFunctions: cache.digestFunctions,
    maxBlobBytes: limits.max_blob_size,
    maxActionResultBytes: limits.max_action_result_size,
    hooks,
  }),
});
process.once('SIGTERM', () => store.close().finally(() => process.exit()));
