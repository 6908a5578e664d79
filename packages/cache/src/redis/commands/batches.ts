import type { RedisClusterClient, RedisCommands } from '../redis-client.js';
import { slotOf } from './cluster-slot.js';

/** Most keys that are sent in one piece: enough to make the way there and back cheap, and no second's work for Redis. */
const BATCH_KEYS = 1000;

/**
 * The same for keys that are only read: a few milliseconds' work for Redis. Smaller pieces would be back sooner, but each
 * wakes both sides, which shows where they share processors (`bench/cache.mjs`).
 */
export const READ_KEYS = 5000;

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

/**
 * What is at the same node of a cluster, because a pipeline goes to one node.
 *
 * @param nameOf the key in Redis that an item is about
 */
export function byNode<T>(
  cluster: RedisClusterClient,
  items: readonly T[],
  nameOf: (item: T) => string,
): Iterable<readonly T[]> {
  const outer = cluster.options.keyPrefix ?? '';
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const node = cluster.slots[slotOf(outer + nameOf(item))]?.join() ?? '';
    const group = groups.get(node);
    if (group === undefined) groups.set(node, [item]);
    else group.push(item);
  }
  return groups.values();
}

/** A command as a pipeline takes it. */
export type RedisCommand = readonly [name: string, ...args: unknown[]];

/** What ioredis says when slots have moved between the grouping and the sending. */
const REGROUPED = /same slots allocation group/;
/** What a node answers for a slot that has moved. */
const MOVED = /^(MOVED|ASK|TRYAGAIN) /;

/** {@link pipelinedEach} where one failure is the failure of all. */
export async function pipelined(client: RedisCommands, commands: readonly RedisCommand[]): Promise<unknown[]> {
  const answers = await pipelinedEach(client, commands);
  const failed = answers.find((answer) => answer instanceof Error);
  if (failed !== undefined) throw failed;
  return answers;
}

/**
 * Sends commands for keys of one node in one piece, and gives for each its answer or the error that Redis answered. What
 * a cluster has moved meanwhile goes out again one by one, because ioredis follows a pipeline only when all of it moved
 * alike.
 */
export async function pipelinedEach(client: RedisCommands, commands: readonly RedisCommand[]): Promise<unknown[]> {
  const results = await resultsOf(client, commands);
  if (results === undefined) return Promise.all(commands.map((command) => again(client, command)));
  const answers: unknown[] = [];
  for (const [i, command] of commands.entries()) {
    const [error, answer] = results[i] ?? [null];
    if (error && MOVED.test(error.message)) answers.push(await again(client, command));
    else answers.push(error ?? answer);
  }
  return answers;
}

/** Undefined when the commands are not for one node any more. */
async function resultsOf(client: RedisCommands, commands: readonly RedisCommand[]) {
  try {
    const results = await client.pipeline(commands as unknown as unknown[][]).exec();
    if (results === null) throw new Error('the pipeline was not run');
    return results;
  } catch (error) {
    if (error instanceof Error && REGROUPED.test(error.message)) return undefined;
    throw error;
  }
}

async function again(client: RedisCommands, [name, ...args]: RedisCommand): Promise<unknown> {
  const method = (client as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>)[name];
  try {
    return await method?.apply(client, args);
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}
