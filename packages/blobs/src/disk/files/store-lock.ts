import { createHash } from 'node:crypto';
import { closeSync, constants, openSync, realpathSync } from 'node:fs';
import { rename, unlink } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { StoreLockedError } from '../../errors.js';
import { storeFailure } from '../failure.js';

/** A holder that is busy answers late; it holds the lock all the same. */
const ANSWER_MS = 500;
const ATTEMPTS = 5;
/** Longest path that every system takes for a socket. */
const SOCKET_PATH_BYTES = 100;

/**
 * One process at a time in a folder. The lock is a socket that the holder listens on: it ends with the process,
 * however that ends, and unlike a process number it can't be mistaken for somebody else's, not even by a process in
 * another container.
 */
export class StoreLock {
  readonly #server: Server;
  readonly #folder: number | undefined;

  private constructor(server: Server, folder: number | undefined) {
    this.#server = server;
    this.#folder = folder;
  }

  /** @throws StoreLockedError when another process, or another store of this one, has the folder */
  static async acquire(directory: string): Promise<StoreLock> {
    const { path, folder } = socketPath(directory);
    try {
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        const server = await listen(path);
        if (server) return new StoreLock(server, folder);
        const holder = await askHolder(path);
        if (holder !== undefined) throw new StoreLockedError(directory, holder);
        await removeStale(path, directory);
      }
      throw new StoreLockedError(directory, 'other processes that are starting too');
    } catch (error) {
      if (folder !== undefined) closeSync(folder);
      throw storeFailure(error, `cannot lock ${directory}`);
    }
  }

  async release(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    if (this.#folder !== undefined) closeSync(this.#folder);
  }
}

/** Where the socket lies. A path that is too long for one is reached through the open folder or a short name. */
function socketPath(directory: string): { path: string; folder: number | undefined } {
  const path = join(realpathSync(directory), 'LOCK');
  if (process.platform !== 'win32' && Buffer.byteLength(path) <= SOCKET_PATH_BYTES) return { path, folder: undefined };
  if (process.platform === 'linux') {
    const folder = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
    return { path: `/proc/self/fd/${folder}/LOCK`, folder };
  }
  const name = `granary-${createHash('sha256').update(path).digest('hex').slice(0, 32)}`;
  return { path: process.platform === 'win32' ? `\\\\.\\pipe\\${name}` : join(tmpdir(), name), folder: undefined };
}

/** Undefined when somebody is or was there before. */
function listen(path: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.end(`process ${process.pid} on ${hostname()}`);
    });
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined);
      else reject(error);
    });
    server.listen({ path, readableAll: false, writableAll: false }, () => {
      server.unref();
      resolve(server);
    });
  });
}

/** The name of whoever listens; undefined when nobody does. */
function askHolder(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(path);
    const done = (holder: string | undefined) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(holder);
    };
    const timer = setTimeout(() => done('another process that does not answer'), ANSWER_MS);
    socket.setEncoding('utf8');
    socket.on('data', (text) => {
      answer += text;
    });
    socket.on('end', () => done(answer || 'another process'));
    socket.on('error', ({ code }: NodeJS.ErrnoException) => {
      done(code === 'ECONNREFUSED' || code === 'ENOENT' ? undefined : 'another process');
    });
  });
}

/**
 * Removes a socket that nobody listens on. It is moved away first and asked once more: two processes that start
 * together must not remove each other's.
 */
async function removeStale(path: string, directory: string): Promise<void> {
  const aside = `${path}.${process.pid}`;
  try {
    await rename(path, aside);
  } catch {
    return; // Somebody else was quicker.
  }
  const holder = await askHolder(aside);
  if (holder !== undefined) {
    await rename(aside, path);
    throw new StoreLockedError(directory, holder);
  }
  await unlink(aside);
}
