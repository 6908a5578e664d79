import { Command, Redis } from 'ioredis';
import { isCluster, type RedisClient } from '../redis-client.js';
import { type StoredKeys, storable } from '../stored-key.js';
import { pipelined } from './batches.js';

/** What is stored under each of the keys, null for nothing; in a cluster all of them are at one node. */
export function readMany(client: RedisClient, names: StoredKeys, keys: readonly string[]): Promise<(Buffer | null)[]> {
  if (isCluster(client)) {
    const commands = keys.map((key) => ['getBuffer', names.of(key)] as const);
    return pipelined(client, commands) as Promise<(Buffer | null)[]>;
  }
  // Automatic pipelines wait for the end of the turn, and must not be overtaken.
  if (!(client instanceof Redis) || client.options.enableAutoPipelining) {
    return client.mgetBuffer(keys.map((key) => names.of(key)));
  }
  return client.sendCommand(new ReadMany(client.options.keyPrefix ?? '', names, keys)) as Promise<(Buffer | null)[]>;
}

/**
 * MGET as ioredis sends it, but written in one piece: what it does to each argument takes longer than the way to Redis
 * and back (`bench/cache.mjs`).
 */
class ReadMany extends Command {
  readonly #bytes: Buffer;

  constructor(outerPrefix: string, names: StoredKeys, keys: readonly string[]) {
    super('mget', [], { replyEncoding: null });
    // Looked at when something goes wrong, or by who traces commands.
    Object.defineProperty(this, 'args', { get: () => keys.map((key) => outerPrefix + names.of(key)) });
    this.#bytes = written(outerPrefix + names.prefix, keys);
  }

  /** Called again when the command is sent again. */
  override toWritable(): Buffer {
    return this.#bytes;
  }
}

function written(prefix: string, keys: readonly string[]): Buffer {
  const text = textOf(prefix, keys, (key) => key.length, prefix.length);
  const bytes = Buffer.from(text);
  // As many bytes as characters: then it was right to take one for the other.
  return bytes.length === text.length
    ? bytes
    : Buffer.from(textOf(prefix, keys, Buffer.byteLength, Buffer.byteLength(prefix)));
}

function textOf(
  prefix: string,
  keys: readonly string[],
  lengthOf: (key: string) => number,
  prefixLength: number,
): string {
  const parts = new Array<string>(2 * keys.length + 2);
  parts[0] = `*${keys.length + 1}\r\n$4\r\nmget`;
  /** By the length of the key. */
  const headers: string[] = [];
  for (let i = 0; i < keys.length; i++) {
    const key = storable(keys[i] as string);
    const length = lengthOf(key);
    headers[length] ??= `\r\n$${prefixLength + length}\r\n${prefix}`;
    parts[2 * i + 1] = headers[length];
    parts[2 * i + 2] = key;
  }
  parts[2 * keys.length + 1] = '\r\n';
  return parts.join('');
}
