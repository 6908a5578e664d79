import { isCluster, type RedisCommands } from '../redis-client.js';
import type { StoredKeys } from '../stored-key.js';
import { pipelined } from './batches.js';
import type { RedisCalls } from './redis-calls.js';

/** How many keys SCAN looks at in one step. */
const SCAN_STEP = 1000;

/** Removes the keys that begin like this, in small steps, so that Redis serves others meanwhile. */
export async function removeAll(
  calls: RedisCalls,
  keys: StoredKeys,
  keyPrefix: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { client } = calls;
  await calls.connected(signal);
  const clustered = isCluster(client);
  for (const pattern of keys.patterns(client.options.keyPrefix ?? '', keyPrefix)) {
    for (const node of clustered ? client.nodes('master') : [client]) {
      // The client puts its own prefix in front of what it is given, but not in front of what it finds.
      const prefixBytes = Buffer.byteLength(node.options.keyPrefix ?? '');
      let cursor = '0';
      do {
        const scan = () => node.scanBuffer(cursor, 'MATCH', pattern, 'COUNT', SCAN_STEP);
        const [next, found]: [Buffer, Buffer[]] = await calls.run('clear', scan, signal);
        cursor = String(next);
        const names = found
          .map((name) => name.subarray(prefixBytes))
          .filter((name) => keys.keyOf(name.toString()).startsWith(keyPrefix));
        if (names.length > 0) await calls.run('clear', () => unlinkAll(node, names, clustered), signal);
      } while (cursor !== '0');
    }
  }
}

/** How many were there. A node of a cluster takes several keys in one command only if they are in the same slot. */
export async function unlinkAll(
  client: RedisCommands,
  names: (string | Buffer)[],
  clustered: boolean,
): Promise<number> {
  // A text, with `stringNumbers`.
  if (!clustered) return Number(await client.unlink(names));
  const answers = await pipelined(
    client,
    names.map((name) => ['unlink', name]),
  );
  return answers.reduce<number>((sum, answer) => sum + Number(answer), 0);
}
