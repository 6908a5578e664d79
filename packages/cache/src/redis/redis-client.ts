/** Commands that are sent together. */
export interface RedisPipeline {
  exec(): Promise<[error: Error | null, reply: unknown][] | null>;
}

/** The commands that are used, as ioredis has them. */
export interface RedisCommands {
  readonly options: { readonly keyPrefix?: string | undefined };
  getBuffer(key: string): Promise<Buffer | null>;
  mgetBuffer(keys: string[]): Promise<(Buffer | null)[]>;
  set(key: string, value: Buffer): Promise<unknown>;
  set(key: string, value: Buffer, px: 'PX', milliseconds: number): Promise<unknown>;
  unlink(keys: (string | Buffer)[]): Promise<number>;
  scanBuffer(
    cursor: string,
    match: 'MATCH',
    pattern: string,
    count: 'COUNT',
    size: number,
  ): Promise<[cursor: Buffer, keys: Buffer[]]>;
  zscan(
    key: string,
    cursor: string,
    count: 'COUNT',
    size: number,
  ): Promise<[cursor: string, membersAndScores: string[]]>;
  eval(script: string, numberOfKeys: number, ...args: (string | number)[]): Promise<unknown>;
  publish(channel: string, message: string): Promise<number>;
  pipeline(commands: unknown[][]): RedisPipeline;
}

/** A connection, or the connections of a cluster. */
export interface RedisClient extends RedisCommands {
  /** `ready` when commands can be sent. */
  readonly status: string;
  connect(): Promise<void>;
  /** Another connection to the same place, with the same options. */
  duplicate(): RedisClient;
  /** @param reconnect connects again */
  disconnect(reconnect?: boolean): void;
  subscribe(...channels: string[]): Promise<unknown>;
  on(event: 'ready' | 'connect' | 'close' | 'end', listener: () => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'message', listener: (channel: string, message: string) => void): unknown;
  off(event: 'ready' | 'connect' | 'close' | 'end', listener: () => void): unknown;
  off(event: 'error', listener: (error: Error) => void): unknown;
  off(event: 'message', listener: (channel: string, message: string) => void): unknown;
}

/** What only the client of a cluster has. */
export interface RedisClusterClient extends RedisClient {
  readonly isCluster: true;
  /** For each hash slot the nodes that have it, the master first. */
  readonly slots: readonly (readonly string[])[];
  nodes(role: 'master'): RedisCommands[];
}

export function isCluster(client: RedisClient): client is RedisClusterClient {
  return 'isCluster' in client && client.isCluster === true;
}
