import type { TaggedKeys, TagIndex, TagOptions } from '../invalidation/tags.js';
import type { OpOptions } from '../layer.js';
import { inTurns, piecesOf } from './commands/batches.js';
import { type RedisCallOptions, RedisCalls } from './commands/redis-calls.js';
import { removeAll } from './commands/remove-all.js';
import { ADD_MEMBERS, REMOVE_UNCHANGED } from './commands/scripts.js';
import { keyOf, StoredKeys, storable } from './stored-key.js';

export interface RedisTagIndexOptions extends RedisCallOptions {
  /** In front of every tag, not empty, and not the prefix of a `RedisLayer`. Default `granary-tags:`. */
  readonly prefix?: string | undefined;
  /** Milliseconds since 1970; the clocks of all who share the index should agree. Default `Date.now`. */
  readonly clock?: (() => number) | undefined;
}

/** Most keys that are listed, added or forgotten in one command. */
const BATCH = 500;

/** As late as an entry expires that never does: in the year 2248. Small enough that a score has room for a fraction. */
const NEVER = 2 ** 43;

/**
 * Tags in Redis, for all processes that share layers. A tag is a sorted set of keys by the time at which they expire;
 * expired ones are removed at the next write with that tag, or all at once after the last of them.
 *
 * Cost: a write takes one short script for each tag, about 0.1 ms in all. About 100 bytes in Redis for each pair of a key
 * and a tag, as long as the value lives.
 *
 * @throws LayerUnavailableError, CacheTimeoutError (all methods)
 */
export class RedisTagIndex implements TagIndex {
  readonly shared = true;
  readonly #calls: RedisCalls;
  readonly #names: StoredKeys;
  readonly #clock: () => number;

  /** @throws InvalidOptionError that names the option */
  constructor(options: RedisTagIndexOptions) {
    this.#names = new StoredKeys(options.prefix ?? 'granary-tags:');
    this.#clock = options.clock ?? Date.now;
    this.#calls = new RedisCalls('the tag index', options);
  }

  async add(keys: readonly string[], tags: readonly string[], options?: TagOptions): Promise<readonly string[]> {
    const now = this.#clock();
    // The fraction tells this write from others of the same time, so that only what was listed is forgotten.
    const score = Math.min(options?.expiresAt ?? NEVER, NEVER) + Math.random();
    const pieces = [...piecesOf(keys.map(storable), BATCH)].flatMap((members) => {
      return tags.map((tag) => ({ set: this.#names.of(tag), members }));
    });
    await inTurns(pieces, async ({ set, members }) => {
      const send = () => this.#calls.client.eval(ADD_MEMBERS, 1, set, now, score, ...members);
      await this.#calls.run('add', send, options?.signal);
    });
    return [];
  }

  async *keysOf(tag: string, options?: OpOptions): AsyncGenerator<TaggedKeys, void, undefined> {
    const set = this.#names.of(tag);
    let cursor = '0';
    do {
      const scan = () => this.#calls.client.zscan(set, cursor, 'COUNT', BATCH);
      const [next, found]: [string, string[]] = await this.#calls.run('keysOf', scan, options?.signal);
      cursor = next;
      for (const pairs of piecesOf(found, 2 * BATCH)) {
        yield {
          keys: pairs.filter((_, i) => i % 2 === 0).map(keyOf),
          forget: (forgetOptions) => this.#forget(set, pairs, forgetOptions),
        };
      }
    } while (cursor !== '0');
  }

  clear(options?: OpOptions): Promise<void> {
    return removeAll(this.#calls, this.#names, '', options?.signal);
  }

  /** Ends the connection unless it is the caller's. */
  close(): Promise<void> {
    return this.#calls.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #forget(set: string, pairs: readonly string[], options: OpOptions | undefined): Promise<void> {
    await this.#calls.run('forget', (client) => client.eval(REMOVE_UNCHANGED, 1, set, ...pairs), options?.signal);
  }
}
