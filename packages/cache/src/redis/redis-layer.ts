import { FoundEntries } from '../found-entries.js';
import type { Entry, GetOptions, Layer, OpOptions, SetOptions } from '../layer.js';
import {
  checkLifetimes,
  entryOf,
  isFresh,
  type Lifetime,
  type LifetimeOptions,
  lifetimeFrom,
} from '../layers/lifetime.js';
import { decodeEntries, decodeEntry, encodeFrame, FRAME_BYTES } from '../serializers/frame.js';
import { jsonSerializer } from '../serializers/json-serializer.js';
import type { Serializer } from '../serializers/serializer.js';
import { BATCH_BYTES, byNode, inTurns, piecesOf, pipelined, READ_KEYS } from './commands/batches.js';
import { readMany } from './commands/read-many.js';
import { type RedisCallOptions, RedisCalls } from './commands/redis-calls.js';
import { removeAll, unlinkAll } from './commands/remove-all.js';
import { isCluster, type RedisClient } from './redis-client.js';
import { StoredKeys } from './stored-key.js';

export interface RedisLayerOptions<V> extends RedisCallOptions, LifetimeOptions {
  /** Default `redis`. */
  readonly name?: string | undefined;
  /** In front of every key, not empty. What has it belongs to this layer: {@link RedisLayer.clear} removes it. Default `granary:`. */
  readonly prefix?: string | undefined;
  /** Default: {@link jsonSerializer}. */
  readonly serializer?: Serializer<V> | undefined;
  /** Milliseconds since 1970; the clocks of all who share the layer should agree. Default `Date.now`. */
  readonly clock?: (() => number) | undefined;
}

/**
 * Values in Redis, for all processes that share it. A value is stored with its lifetime and its serializer's version; what
 * can't be read any more is a miss. Redis removes it when its lifetime and grace are over.
 *
 * Nothing waits longer than `timeoutMs` for a command, and nothing at all while there is no connection. Writes and
 * removals of one key take effect in the order in which they were called, where a batch has at most 16,000 keys.
 *
 * Cost: the way to Redis and back, about 0.1 ms on one machine; a batch costs that once, and some microseconds a key.
 *
 * @throws LayerUnavailableError when Redis can't be reached or refuses (all methods)
 * @throws CacheTimeoutError when Redis doesn't answer in time (all methods)
 */
export class RedisLayer<V> implements Layer<V> {
  readonly name: string;
  /** Others write here too, so that their changes are news for the layers above only. */
  readonly shared = true;
  readonly lifetime: LifetimeOptions;
  readonly #calls: RedisCalls;
  readonly #keys: StoredKeys;
  readonly #serializer: Serializer<V>;
  readonly #clock: () => number;

  /** @throws InvalidOptionError that names the option */
  constructor(options: RedisLayerOptions<V>) {
    checkLifetimes(options);
    this.name = options.name ?? 'redis';
    this.#keys = new StoredKeys(options.prefix ?? 'granary:');
    this.#serializer = options.serializer ?? jsonSerializer<V>();
    this.lifetime = { ttlMs: options.ttlMs, graceMs: options.graceMs };
    this.#clock = options.clock ?? Date.now;
    this.#calls = new RedisCalls(this.name, options);
  }

  /** Commands that Redis hasn't answered yet. */
  get pending(): number {
    return this.#calls.pending;
  }

  async get(key: string, options?: GetOptions): Promise<V | undefined> {
    const entry = await this.#read(key, options);
    return entry !== undefined && isFresh(entry, this.#clock()) ? entry.value : undefined;
  }

  async getEntry(key: string, options?: GetOptions): Promise<Entry<V> | undefined> {
    return this.#read(key, options);
  }

  /** Costs the way to Redis and back once for 80,000 keys, in a cluster as often for each node. */
  async getMany(keys: readonly string[], options?: GetOptions): Promise<Map<string, Entry<V>>> {
    const { values, expiresAt } = await this.readMany(keys, options);
    const found = new Map<string, Entry<V>>();
    for (let i = 0; i < keys.length; i++) {
      const value = values[i];
      if (value !== undefined) found.set(keys[i] as string, entryOf(value, expiresAt[i] as number));
    }
    return found;
  }

  /** As {@link getMany}. */
  async readMany(keys: readonly string[], options?: GetOptions): Promise<FoundEntries<V>> {
    const found = new FoundEntries<V>(keys.length);
    const unknown = this.#nodesKnown(options);
    if (unknown !== undefined) await unknown;
    const pieces = this.#pieces([...keys.keys()], (place) => keys[place] as string, READ_KEYS);
    await inTurns(pieces, async (places) => {
      const piece = places.map((place) => keys[place] as string);
      const frames = await this.#calls.run('getMany', (client) => readMany(client, this.#keys, piece), options?.signal);
      decodeEntries(this.#serializer, frames, this.#clock(), (i, value, expiresAt) => {
        found.put(places[i] as number, withOwnBytes(value), expiresAt);
      });
    });
    return found;
  }

  async set(key: string, value: V, options?: SetOptions): Promise<void> {
    const now = this.#clock();
    const lifetime = lifetimeFrom(now, options, this.lifetime);
    const [name, ...args] = this.#write(this.#keys.of(key), value, lifetime, now);
    await this.#calls.run(
      'set',
      (client) => (name === 'unlink' ? client.unlink([args[0]]) : client.set(...(args as [string, Buffer]))),
      options?.signal,
    );
  }

  /** Sends values in pieces of 1000 keys or a mebibyte; when a piece fails, others may be written. */
  async setMany(values: ReadonlyMap<string, V>, options?: SetOptions): Promise<void> {
    const now = this.#clock();
    const lifetime = lifetimeFrom(now, options, this.lifetime);
    const keys = [...values.keys()];
    const unknown = this.#nodesKnown(options);
    if (unknown !== undefined) await unknown;
    await inTurns(this.#writes(values, keys, lifetime, now), async (piece) => {
      await this.#calls.run('setMany', (client) => pipelined(client, piece), options?.signal);
    });
  }

  async delete(key: string, options?: OpOptions): Promise<boolean> {
    const name = this.#keys.of(key);
    return (await this.#calls.run('delete', (client) => client.unlink([name]), options?.signal)) > 0;
  }

  async deleteMany(keys: readonly string[], options?: OpOptions): Promise<number> {
    let deleted = 0;
    const unknown = this.#nodesKnown(options);
    if (unknown !== undefined) await unknown;
    await inTurns(this.#pieces(keys, itself), async (piece) => {
      const names = piece.map((key) => this.#keys.of(key));
      const send = (client: RedisClient) => unlinkAll(client, names, isCluster(client));
      const count = await this.#calls.run('deleteMany', send, options?.signal);
      deleted += count;
    });
    return deleted;
  }

  /**
   * Removes everything below the prefix, in small steps, so that Redis serves others meanwhile. What is written while it
   * runs may stay.
   */
  clear(options?: OpOptions): Promise<void> {
    return removeAll(this.#calls, this.#keys, '', options?.signal);
  }

  /**
   * As {@link clear}, for keys that begin with `prefix`. Redis looks at every key that it has, of others too, twice: it
   * has no list of them by name.
   */
  clearPrefix(prefix: string, options?: OpOptions): Promise<void> {
    return removeAll(this.#calls, this.#keys, prefix, options?.signal);
  }

  /** Waits for what is under way, `timeoutMs` at most, and ends the connection unless it is the caller's. */
  close(): Promise<void> {
    return this.#calls.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #read(key: string, options: GetOptions | undefined): Promise<Entry<V> | undefined> {
    const name = this.#keys.of(key);
    const frame = await this.#calls.run('get', (client) => client.getBuffer(name), options?.signal);
    const entry = frame === null ? undefined : decodeEntry(this.#serializer, frame, this.#clock());
    return entry && { ...entry, value: withOwnBytes(entry.value) };
  }

  /** The command that writes a value: what is over already is removed, because Redis takes no lifetime of 0. */
  #write(name: string, value: V, lifetime: Lifetime, now: number): ['set' | 'unlink', string, ...unknown[]] {
    const frame = encodeFrame(this.#serializer, value, lifetime);
    const keepMs = Math.ceil(lifetime.goneAt - now);
    if (keepMs <= 0) return ['unlink', name];
    return keepMs <= Number.MAX_SAFE_INTEGER ? ['set', name, frame, 'PX', keepMs] : ['set', name, frame];
  }

  *#writes(
    values: ReadonlyMap<string, V>,
    keys: readonly string[],
    lifetime: Lifetime,
    now: number,
  ): Generator<['set' | 'unlink', string, ...unknown[]][], void, undefined> {
    for (const group of this.#pieces(keys, itself)) {
      let piece: ['set' | 'unlink', string, ...unknown[]][] = [];
      let bytes = 0;
      for (const key of group) {
        const command = this.#write(this.#keys.of(key), values.get(key) as V, lifetime, now);
        piece.push(command);
        bytes += (command[2] as Buffer | undefined)?.length ?? 0;
        if (bytes < BATCH_BYTES) continue;
        yield piece;
        piece = [];
        bytes = 0;
      }
      if (piece.length > 0) yield piece;
    }
  }

  /** Undefined when they are, so that nothing is overtaken that is called later. */
  #nodesKnown(options: OpOptions | undefined): Promise<void> | undefined {
    return isCluster(this.#calls.client) ? this.#calls.connected(options?.signal) : undefined;
  }

  /** What can be sent together. */
  *#pieces<T>(
    items: readonly T[],
    keyOf: (item: T) => string,
    size?: number,
  ): Generator<readonly T[], void, undefined> {
    const { client } = this.#calls;
    const groups = isCluster(client) ? byNode(client, items, (item) => this.#keys.of(keyOf(item))) : [items];
    for (const group of groups) yield* piecesOf(group, size);
  }
}

const itself = (key: string): string => key;

/** Bytes without the piece of the connection's stream that they came in, which they would keep in memory. */
function withOwnBytes<V>(value: V): V {
  if (!(value instanceof Uint8Array) || value.buffer.byteLength <= value.byteLength + FRAME_BYTES) return value;
  const copy = new Uint8Array(value);
  return (Buffer.isBuffer(value) ? Buffer.from(copy.buffer) : copy) as V & Uint8Array;
}
