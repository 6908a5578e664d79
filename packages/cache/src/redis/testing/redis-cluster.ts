import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { freePort } from './free-port.js';
import { type RedisServer, type RedisServerOptions, startRedis } from './redis-server.js';

export const SLOTS = 16_384;
const MASTERS = 3;
const READY_MS = 20_000;

/**
 * Three masters that share the slots.
 *
 * @param servers gets what is started, even if the rest fails
 */
export async function startCluster(servers: RedisServer[], { config = [] }: RedisServerOptions = {}): Promise<void> {
  const nodes: { server: RedisServer; busPort: number }[] = [];
  for (let i = 0; i < MASTERS; i++) {
    const busPort = await freePort();
    const lines = ['cluster-enabled yes', 'cluster-node-timeout 2000', `cluster-port ${busPort}`, ...config];
    const server = await startRedis({ config: lines });
    servers.push(server);
    nodes.push({ server, busPort });
  }
  const clients = nodes.map(({ server }) => new Redis(server.url));
  try {
    for (const [i, client] of clients.entries()) {
      const from = Math.floor((i * SLOTS) / MASTERS);
      await client.call('CLUSTER', 'ADDSLOTSRANGE', from, Math.floor(((i + 1) * SLOTS) / MASTERS) - 1);
      const [first] = nodes;
      if (first && i > 0) await client.call('CLUSTER', 'MEET', '127.0.0.1', first.server.port, first.busPort);
    }
    for (const client of clients) await whole(client);
  } finally {
    for (const client of clients) client.disconnect();
  }
}

async function whole(client: Redis): Promise<void> {
  const latest = performance.now() + READY_MS;
  for (;;) {
    const info = String(await client.call('CLUSTER', 'INFO'));
    if (info.includes('cluster_state:ok') && info.includes(`cluster_known_nodes:${MASTERS}`)) return;
    if (performance.now() > latest) throw new Error(`the cluster did not come together:\n${info}`);
    await delay(50);
  }
}
