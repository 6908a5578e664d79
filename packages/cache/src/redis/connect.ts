import { InvalidOptionError } from '@granary/resilience';
import { Cluster, type ClusterNode, type ClusterOptions, Redis, type RedisOptions } from 'ioredis';
import { guardConnections } from './guarded-connections.js';
import { GuardedSentinels } from './guarded-sentinels.js';
import { isCluster, type RedisClient } from './redis-client.js';

/** A Redis Cluster: some of its nodes, and how to talk to all of them. */
export interface RedisClusterConnection {
  readonly nodes: readonly ClusterNode[];
  readonly options?: ClusterOptions | undefined;
}

/**
 * Where Redis is:
 * - a client of ioredis (`Redis` or `Cluster`) that the caller made, and closes. It works with any options; what they
 *   should be so that Redis can't hold anybody up is what {@link connectRedis} takes.
 * - a URL, or ioredis' options for one server or (with `sentinels`) for a group that Sentinel watches over
 * - nodes of a cluster
 */
export type RedisConnection = RedisClient | string | RedisOptions | RedisClusterConnection;

const CONNECT_TIMEOUT_MS = 2000;
/** A Sentinel that hangs would otherwise be waited for without end, and the next one never asked. */
const SENTINEL_TIMEOUT_MS = 1000;
/** A socket that nobody answers on is given up after this time when it is closed. */
const DISCONNECT_TIMEOUT_MS = 100;
const MOST_BETWEEN_CONNECTS_MS = 5000;
/** No node of a cluster is silent for so long with commands under way, unless it hangs. */
const MUTE_NODE_MS = 5000;

/** Longer and longer, and not all processes at once. */
const reconnectDelayMs = (attempt: number): number =>
  Math.min(50 * 2 ** Math.min(attempt, 10), MOST_BETWEEN_CONNECTS_MS) * (0.5 + Math.random() / 2);

/**
 * What keeps a cache from waiting for Redis: nothing is queued for a connection that isn't there, nothing is sent again,
 * and reconnecting goes on for ever with growing pauses. A server that became a replica is left for the new master.
 */
const PATIENT = {
  connectTimeout: CONNECT_TIMEOUT_MS,
  sentinelCommandTimeout: SENTINEL_TIMEOUT_MS,
  enableReadyCheck: true,
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
  autoResubscribe: false,
  keepAlive: 10_000,
  disconnectTimeout: DISCONNECT_TIMEOUT_MS,
  reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
} as const;

/**
 * For where the connection is a variable that isn't set: ioredis would take this machine's Redis then.
 *
 * @throws InvalidOptionError
 */
export function checkConnection(connection: unknown): void {
  if (typeof connection === 'object' ? connection !== null : typeof connection === 'string' && connection !== '')
    return;
  const expected = 'a URL, options of ioredis, nodes of a cluster or a client';
  throw new InvalidOptionError('connection', expected, connection === '' ? 'empty' : connection);
}

export function isRedisClient(connection: RedisConnection): connection is RedisClient {
  return typeof connection === 'object' && 'getBuffer' in connection && typeof connection.getBuffer === 'function';
}

/** A client made for a cache, which whoever makes it closes. The options given win over those for caches. */
export function connectRedis(connection: Exclude<RedisConnection, RedisClient>): RedisClient {
  if (typeof connection === 'object' && 'nodes' in connection) return connectCluster(connection);
  const options = { ...PATIENT, enableOfflineQueue: false, retryStrategy: reconnectDelayMs };
  const client =
    typeof connection === 'string'
      ? new Redis(connection, options)
      : new Redis({ ...options, ...(connection.sentinels && { Connector: GuardedSentinels }), ...connection });
  watchForReadiness(client);
  guardConnections(client);
  return client;
}

function connectCluster({ nodes, options }: RedisClusterConnection): RedisClient {
  const cluster = new Cluster([...nodes], {
    enableOfflineQueue: false,
    clusterRetryStrategy: reconnectDelayMs,
    slotsRefreshTimeout: CONNECT_TIMEOUT_MS,
    ...options,
    redisOptions: { ...PATIENT, socketTimeout: MUTE_NODE_MS, ...options?.redisOptions },
  });
  guardConnections(cluster);
  return cluster;
}

/** ioredis waits for ever for the first answer on a connection that was accepted, except in a cluster. */
export function watchForReadiness(client: RedisClient): void {
  if (isCluster(client)) return;
  let timer: NodeJS.Timeout | undefined;
  const stop = () => clearTimeout(timer);
  client.on('connect', () => {
    stop();
    timer = setTimeout(() => client.disconnect(true), CONNECT_TIMEOUT_MS);
  });
  client.on('ready', stop);
  client.on('close', stop);
  client.on('end', stop);
}
