import { slotOf } from './cluster-slot.js';
import type { RedisClusterClient, RedisCommands } from './redis-client.js';

/** Most keys that are sent in one piece: enough to make the way there and back cheap, and no second's work for Redis. */
const BATCH_KEYS = 1000;
/** From so many bytes on, a piece is sent as it is. */
export const BATCH_BYTES = 1 << 20;
/** Pieces that are under way at the same time. */
const WIDTH = 16;

export function* piecesOf<T>(items: readonly T[], size = BATCH_KEYS): Generator<readonly T[], void, undefined> {
  for (let i = 0; i < items.length; i += size) yield items.slice(i, i + size);
}

/** Works on the pieces in their order, up to 16 at a time; after the first failure no more are begun. */
export async function inTurns<T>(pieces: Iterable<T>, work: (piece: T) => Promise<void>): Promise<void> {
  const iterator = pieces[Symbol.iterator]();
  let failed = false;
  const worker = async () => {
    try {
      for (let next = iterator.next(); !next.done && !failed; next = iterator.next()) await work(next.value);
    } catch (error) {
      failed = true;
      throw error;
    }
  };
  await Promise.all(Array.from({ length: WIDTH }, worker));
}

/** Keys that are at the same node of a cluster, because a pipeline goes to one node. */
export function byNode(
  cluster: RedisClusterClient,
  keys: readonly string[],
  nameOf: (key: string) => string,
): Iterable<readonly string[]> {
  const outer = cluster.options.keyPrefix ?? '';
  const groups = new Map<string, string[]>();
  for (const key of keys) {
    const node = cluster.slots[slotOf(outer + nameOf(key))]?.join() ?? '';
    const group = groups.get(node);
    if (group === undefined) groups.set(node, [key]);
    else group.push(key);
  }
  return groups.values();
}

type Command = readonly [name: string, ...args: unknown[]];

/** What ioredis says when slots have moved between the grouping and the sending. */
const REGROUPED = /same slots allocation group/;
/** What a node answers for a slot that has moved. */
const MOVED = /^(MOVED|ASK|TRYAGAIN) /;

/**
 * Sends commands for keys of one node in one piece, and gives their answers. What a cluster has moved meanwhile goes out
 * again one by one, because ioredis follows a pipeline only when all of it moved alike.
 */
export async function pipelined(client: RedisCommands, commands: readonly Command[]): Promise<unknown[]> {
  const results = await resultsOf(client, commands);
  if (results === undefined) return Promise.all(commands.map((command) => again(client, command)));
  const answers: unknown[] = [];
  for (const [i, command] of commands.entries()) {
    const [error, answer] = results[i] ?? [null];
    if (error && MOVED.test(error.message)) answers.push(await again(client, command));
    else if (error) throw error;
    else answers.push(answer);
  }
  return answers;
}

/** Undefined when the commands are not for one node any more. */
async function resultsOf(client: RedisCommands, commands: readonly Command[]) {
  try {
    const results = await client.pipeline(commands as unknown as unknown[][]).exec();
    if (results === null) throw new Error('the pipeline was not run');
    return results;
  } catch (error) {
    if (error instanceof Error && REGROUPED.test(error.message)) return undefined;
    throw error;
  }
}

async function again(client: RedisCommands, [name, ...args]: Command): Promise<unknown> {
  const method = (client as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>)[name];
  return method?.apply(client, args);
}
