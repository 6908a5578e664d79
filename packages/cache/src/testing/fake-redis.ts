import { EventEmitter } from 'node:events';
import { ADD_MEMBERS, REMOVE_UNCHANGED } from '../redis/commands/scripts.js';
import type { RedisClient, RedisPipeline } from '../redis/redis-client.js';

interface StoredValue {
  readonly value: Buffer | Map<string, number>;
  readonly expiresAt: number;
}

/** What all connections to one server share. */
interface Server {
  readonly values: Map<string, StoredValue>;
  readonly connections: Set<FakeRedis>;
  readonly clock: () => number;
  hangs: boolean;
  down: boolean;
}

export interface FakeRedisOptions {
  /** Milliseconds since 1970, for what expires. Default `Date.now`. */
  readonly clock?: (() => number) | undefined;
}

/**
 * A Redis within this process, for tests: a client as ioredis makes it, with the commands that the cache uses.
 * `duplicate()` connects once more to the same server. It can hang, go down and come back.
 */
export class FakeRedis extends EventEmitter implements RedisClient {
  readonly options = {};
  readonly #server: Server;
  readonly #channels = new Set<string>();
  #status: 'ready' | 'reconnecting' | 'end';

  constructor(options: FakeRedisOptions = {}, server?: Server) {
    super();
    this.#server = server ?? {
      values: new Map(),
      connections: new Set(),
      clock: options.clock ?? Date.now,
      hangs: false,
      down: false,
    };
    this.#status = this.#server.down ? 'reconnecting' : 'ready';
    this.#server.connections.add(this);
  }

  get status(): string {
    return this.#status;
  }

  /** How many keys are stored, of whatever type. */
  get size(): number {
    return [...this.#server.values.keys()].filter((key) => this.#find(key) !== undefined).length;
  }

  /** From now on nothing is answered, until {@link comeBack}. */
  hang(): void {
    this.#server.hangs = true;
  }

  /** Every connection breaks, and none is made until {@link comeBack}. Values stay. */
  goDown(): void {
    this.#server.down = true;
    for (const connection of this.#server.connections) connection.#lose();
  }

  /** Answers again; clients connect again. What was not answered stays so. */
  comeBack(): void {
    this.#server.hangs = false;
    this.#server.down = false;
    for (const connection of this.#server.connections) void connection.connect();
  }

  async connect(): Promise<void> {
    if (this.#status === 'ready' || this.#server.down) return;
    this.#server.connections.add(this);
    this.#status = 'ready';
    this.emit('connect');
    this.emit('ready');
  }

  disconnect(reconnect = false): void {
    if (this.#status === 'end') return;
    this.#lose();
    if (reconnect) {
      queueMicrotask(() => void this.connect());
      return;
    }
    this.#status = 'end';
    this.#server.connections.delete(this);
    this.emit('end');
  }

  duplicate(): FakeRedis {
    return new FakeRedis({}, this.#server);
  }

  getBuffer(key: string): Promise<Buffer | null> {
    return this.#answer(() => this.#get(key));
  }

  mgetBuffer(keys: string[]): Promise<(Buffer | null)[]> {
    return this.#answer(() => keys.map((key) => this.#get(key)));
  }

  set(key: string, value: Buffer, _px?: 'PX', milliseconds = Number.POSITIVE_INFINITY): Promise<unknown> {
    if (!(milliseconds > 0)) return Promise.reject(new Error("ERR invalid expire time in 'set' command"));
    return this.#answer(() => {
      this.#server.values.set(key, { value: Buffer.from(value), expiresAt: this.#server.clock() + milliseconds });
      return 'OK';
    });
  }

  unlink(keys: string | Buffer | (string | Buffer)[]): Promise<number> {
    return this.#answer(() => {
      let removed = 0;
      for (const key of [keys].flat()) {
        if (this.#find(String(key)) !== undefined && this.#server.values.delete(String(key))) removed++;
      }
      return removed;
    });
  }

  strlen(key: string): Promise<number> {
    return this.#answer(() => this.#get(key)?.length ?? 0);
  }

  /** The bytes from one index to another, which is among them. */
  getrangeBuffer(key: string, from: number, to: number): Promise<Buffer> {
    return this.#answer(() => (this.#get(key) ?? Buffer.alloc(0)).subarray(from, to + 1));
  }

  exists(key: string): Promise<number> {
    return this.#answer(() => (this.#find(key) === undefined ? 0 : 1));
  }

  pexpire(key: string, milliseconds: number): Promise<number> {
    return this.#answer(() => {
      const stored = this.#find(key);
      if (stored === undefined) return 0;
      this.#server.values.set(key, { value: stored.value, expiresAt: this.#server.clock() + milliseconds });
      return 1;
    });
  }

  /** In one step, however many they are. */
  scanBuffer(_cursor: string, _match: 'MATCH', pattern: string): Promise<[Buffer, Buffer[]]> {
    return this.#answer(() => {
      const matches = globPattern(pattern);
      const keys = [...this.#server.values.keys()].filter((key) => matches.test(key) && this.#find(key) !== undefined);
      return [Buffer.from('0'), keys.map((key) => Buffer.from(key))];
    });
  }

  /** In one step, however many they are. */
  zscan(key: string): Promise<[string, string[]]> {
    return this.#answer(() => ['0', [...this.#members(key)].flatMap(([member, score]) => [member, String(score)])]);
  }

  eval(script: string, _keys: number, key: string, ...args: (string | number)[]): Promise<unknown> {
    if (script === ADD_MEMBERS) return this.#answer(() => this.#addMembers(key, args));
    if (script === REMOVE_UNCHANGED) return this.#answer(() => this.#removeUnchanged(key, args));
    return Promise.reject(new Error('ERR this script is not known here'));
  }

  publish(channel: string, message: string): Promise<number> {
    return this.#answer(() => {
      const listening = [...this.#server.connections].filter((connection) => connection.#channels.has(channel));
      for (const connection of listening) setImmediate(() => connection.#receive(channel, message));
      return listening.length;
    });
  }

  subscribe(...channels: string[]): Promise<unknown> {
    return this.#answer(() => {
      for (const channel of channels) this.#channels.add(channel);
      return this.#channels.size;
    });
  }

  pipeline(commands: unknown[][]): RedisPipeline {
    return {
      exec: () =>
        Promise.all(
          commands.map(async ([name, ...args]): Promise<[Error | null, unknown]> => {
            const command = (this as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>)[String(name)];
            try {
              return [null, await command?.apply(this, args)];
            } catch (error) {
              return [error as Error, undefined];
            }
          }),
        ),
    };
  }

  #answer<T>(answer: () => T): Promise<T> {
    if (this.#status !== 'ready') return Promise.reject(new Error('Connection is closed.'));
    if (this.#server.hangs) return new Promise(() => {});
    try {
      return Promise.resolve(answer());
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #lose(): void {
    if (this.#status !== 'ready') return;
    this.#status = 'reconnecting';
    this.#channels.clear();
    this.emit('close');
  }

  #receive(channel: string, message: string): void {
    if (this.#channels.has(channel) && !this.#server.hangs) this.emit('message', channel, message);
  }

  #find(key: string): StoredValue | undefined {
    const stored = this.#server.values.get(key);
    if (stored === undefined || stored.expiresAt > this.#server.clock()) return stored;
    this.#server.values.delete(key);
    return undefined;
  }

  #get(key: string): Buffer | null {
    const value = this.#find(key)?.value;
    if (value instanceof Map) throw new Error('WRONGTYPE Operation against a key holding the wrong kind of value');
    return value === undefined ? null : Buffer.from(value);
  }

  #members(key: string): Map<string, number> {
    const value = this.#find(key)?.value ?? new Map<string, number>();
    if (value instanceof Map) return value;
    throw new Error('WRONGTYPE Operation against a key holding the wrong kind of value');
  }

  #addMembers(key: string, [now, score, ...added]: (string | number)[]): number {
    const members = this.#members(key);
    for (const [member, expiresAt] of members) if (expiresAt <= Number(now)) members.delete(member);
    for (const member of added) members.set(String(member), Number(score));
    this.#server.values.set(key, { value: members, expiresAt: Math.ceil(Math.max(...members.values())) });
    return added.length;
  }

  #removeUnchanged(key: string, pairs: (string | number)[]): number {
    const members = this.#members(key);
    let removed = 0;
    for (let i = 0; i < pairs.length; i += 2) {
      const member = String(pairs[i]);
      if (members.get(member) === Number(pairs[i + 1]) && members.delete(member)) removed++;
    }
    if (members.size === 0) this.#server.values.delete(key);
    return removed;
  }
}

/** Redis' patterns, as far as escapes and stars go. */
function globPattern(pattern: string): RegExp {
  const source = pattern.replace(/\\(.)|\*|[$()+.?[\]^{|}\\]/gs, (found, escaped: string | undefined) => {
    if (escaped !== undefined) return escaped.replace(/[$()*+.?[\]^{|}\\]/, '\\$&');
    return found === '*' ? '.*' : `\\${found}`;
  });
  return new RegExp(`^${source}$`, 's');
}
