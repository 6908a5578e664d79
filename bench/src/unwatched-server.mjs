// The server with nobody who watches it: no metrics, no log, no traces, no admin listener, and no time taken for any of
// them. Everything else is put together of its own parts, as `startServer` does it, settings of its process included.
// node unwatched-server.mjs GRPC_PORT HTTP_PORT FOLDER
import { MetricRegistry, noopTracer, nullLogger } from '@granary/telemetry';
import { createPolicy } from '../../packages/granary/dist/access/create-policy.js';
import { loadIdentities } from '../../packages/granary/dist/access/load-identities.js';
import { SecretHash } from '../../packages/granary/dist/access/secret-hash.js';
import { configFrom } from '../../packages/granary/dist/index.js';
import { RequestMetrics } from '../../packages/granary/dist/metrics/request-metrics.js';
import { isNuGetRequest } from '../../packages/granary/dist/nuget/nuget-path.js';
import { CacheService } from '../../packages/granary/dist/server/cache-service.js';
import { Closers } from '../../packages/granary/dist/server/closers.js';
import { createFeeds } from '../../packages/granary/dist/server/create-feeds.js';
import { Listeners } from '../../packages/granary/dist/server/listening/listeners.js';
import { openStores } from '../../packages/granary/dist/server/open-stores.js';
import { tuneProcess } from '../../packages/granary/dist/tune-process.js';

tuneProcess();

const [grpc, http, directory] = process.argv.slice(2);
const config = configFrom({
  'storage.dir': directory,
  'listen.grpc': `127.0.0.1:${grpc}`,
  'listen.http': `127.0.0.1:${http}`,
});
const metrics = new MetricRegistry();
const closers = new Closers();
const context = { version: 'bench', config, logger: nullLogger, metrics, tracer: noopTracer, closers };

const stores = await openStores(context);
const uncounted = { ...stores, local: stores.disk };
const hash = new SecretHash();
const policy = createPolicy(config, await loadIdentities(config.auth, hash), hash, metrics);
// What a server adds to its requests, but for what it does when they have ended.
const hooks = { authorize: policy.authorize.bind(policy), allows: policy.allows.bind(policy) };
const cache = new CacheService(context, uncounted, hooks);
const feeds = createFeeds(context, uncounted, policy, new RequestMetrics(metrics));
const handleCache = cache.httpHandler();

const listeners = new Listeners(context, undefined);
await listeners.startGrpc(config.listen.grpc, cache);
await listeners.startHttp('listen.http', config.listen.http, 'http', (request, response) =>
  isNuGetRequest(request) ? feeds.handle(request, response) : handleCache(request, response),
);
process.once('SIGTERM', () => closers.close().finally(() => process.exit()));
