import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { type RedisServer, startRedis } from './redis-server.js';

/** What the Sentinels call the servers that they watch over. */
export const GROUP = 'group';
const READY_MS = 20_000;

/** A primary and its replica, with Sentinels that know both of them and each other. */
export interface RedisGroup {
  readonly primary: RedisServer;
  readonly replica: RedisServer;
  readonly sentinels: readonly RedisServer[];
  /** Waits until the replica has what the primary has. */
  replicated(): Promise<void>;
  stop(): Promise<void>;
}

export interface RedisGroupOptions {
  /** Default 1. */
  readonly sentinels?: number;
  /** What clients, the replica and the Sentinels tell the servers. */
  readonly password?: string;
  /** What clients, and the Sentinels each other, tell the Sentinels. */
  readonly sentinelPassword?: string;
}

/** Starts a group whose Sentinels give a primary that is silent for 300 ms up for its replica. */
export async function startGroup(options: RedisGroupOptions = {}): Promise<RedisGroup> {
  const { sentinels: count = 1, password, sentinelPassword } = options;
  const servers: RedisServer[] = [];
  const watching: Redis[] = [];
  const start = async (sentinel: boolean, ...config: string[]) => {
    const server = await startRedis({ sentinel, config });
    servers.push(server);
    const client = new Redis(server.url);
    // Of servers that tests kill.
    client.on('error', () => {});
    watching.push(client);
    return { server, client };
  };
  const stop = async () => {
    for (const client of watching) client.disconnect();
    for (const server of servers.reverse()) await server.stop();
  };
  try {
    const primary = await start(false, 'repl-diskless-sync-delay 0');
    const replica = await start(false, 'repl-diskless-sync-delay 0', `replicaof 127.0.0.1 ${primary.server.port}`);
    await until(async () => (await primary.client.info('replication')).includes('state=online'));
    if (password) {
      // In this order, because a server without a password refuses the replica that has one.
      await primary.client.config('SET', 'requirepass', password);
      await replica.client.config('SET', 'masterauth', password);
      await primary.client.config('SET', 'masterauth', password);
      await replica.client.config('SET', 'requirepass', password);
    }
    const sentinels: Awaited<ReturnType<typeof start>>[] = [];
    for (let i = 0; i < count; i++) {
      const quorum = Math.floor(count / 2) + 1;
      const lines = [`sentinel monitor ${GROUP} 127.0.0.1 ${primary.server.port} ${quorum}`];
      lines.push(`sentinel down-after-milliseconds ${GROUP} 300`, `sentinel failover-timeout ${GROUP} 2000`);
      if (password) lines.push(`sentinel auth-pass ${GROUP} ${password}`);
      if (sentinelPassword) lines.push(`sentinel sentinel-pass ${sentinelPassword}`);
      sentinels.push(await start(true, ...lines));
    }
    for (const { client } of sentinels) {
      await until(async () => known(await client.call('SENTINEL', 'REPLICAS', GROUP)) === 1);
      await until(async () => known(await client.call('SENTINEL', 'SENTINELS', GROUP)) === count - 1);
      if (sentinelPassword) await client.acl('SETUSER', 'default', 'resetpass', `>${sentinelPassword}`);
    }
    return {
      primary: primary.server,
      replica: replica.server,
      sentinels: sentinels.map(({ server }) => server),
      replicated: async () => {
        const { client } = primary;
        // What a connection waits for is what it wrote itself.
        await client.set('the last write', 1);
        if ((await client.wait(1, READY_MS)) !== 1) throw new Error('the replica does not follow');
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function known(answer: unknown): number {
  return (answer as unknown[]).length;
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  const latest = performance.now() + READY_MS;
  while (!(await holds())) {
    if (performance.now() > latest) throw new Error('the group did not come together');
    await delay(20);
  }
}
