import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { freePort } from './free-port.js';

const BINARY = 'redis-server';

/** Why there is no real Redis to test with; undefined when there is one. */
export function whyNoRedis(): string | undefined {
  try {
    execFileSync(BINARY, ['--version'], { stdio: 'ignore' });
    return undefined;
  } catch {
    return `${BINARY} is not installed`;
  }
}

export interface RedisServer {
  readonly port: number;
  readonly url: string;
  /** Ends it as a crash does. */
  kill(): Promise<void>;
  /** Starts it again on the same port, empty. */
  restart(): Promise<void>;
  /** Lets it stand still, with its connections open. */
  freeze(): void;
  thaw(): void;
  /** Ends it and removes what it wrote. */
  stop(): Promise<void>;
}

export interface RedisServerOptions {
  /** Lines of the configuration. */
  readonly config?: readonly string[];
  readonly sentinel?: boolean;
}

/** A Redis on a free port of loopback, with a folder of its own, that writes nothing to disk. */
export async function startRedis({ config = [], sentinel = false }: RedisServerOptions = {}): Promise<RedisServer> {
  const folder = mkdtempSync(join(tmpdir(), 'granary-redis-'));
  const port = await freePort();
  const lines = [`port ${port}`, 'bind 127.0.0.1', `dir ${folder}`, 'daemonize no', 'loglevel warning', ...config];
  if (!sentinel) lines.push('save ""', 'appendonly no');
  const file = join(folder, 'redis.conf');
  writeFileSync(file, `${lines.join('\n')}\n`);

  const start = async (): Promise<ChildProcess> => {
    const child = spawn(BINARY, [file, ...(sentinel ? ['--sentinel'] : [])], { stdio: 'ignore' });
    try {
      await answering(port, child);
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    }
    return child;
  };
  let child = await start();
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  };
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    kill,
    restart: async () => {
      await kill();
      child = await start();
    },
    freeze: () => void child.kill('SIGSTOP'),
    thaw: () => void child.kill('SIGCONT'),
    stop: async () => {
      await kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function answering(port: number, child: ChildProcess): Promise<void> {
  const failure = new Promise<never>((_, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${BINARY} ended with ${code}`)));
  });
  failure.catch(() => {});
  const client = new Redis({ port, host: '127.0.0.1', retryStrategy: () => 20, maxRetriesPerRequest: null });
  client.on('error', () => {});
  try {
    await Promise.race([client.ping(), failure, delay(10_000).then(() => Promise.reject(new Error('no answer')))]);
  } finally {
    client.disconnect();
  }
}
