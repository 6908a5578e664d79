import { createHash } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { rename, unlink } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { LayerUnavailableError } from '../errors.js';

/** A holder that is busy answers late; it holds the lock all the same. */
const ANSWER_MS = 500;
const ATTEMPTS = 5;
/** Longest path that every system takes for a socket. Beyond it, containers that share a folder don't see each other. */
const SOCKET_PATH_BYTES = 100;

/**
 * One process at a time in a folder. LMDB itself would let in more, but a process that opened the folder while another
 * one wrote was seen to undo a commit of that one, about once in forty starts. The lock is a socket that the holder
 * listens on: it ends with the process, however that ends, and can't be mistaken for somebody else's as a process
 * number can.
 */
export class FolderLock {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** @throws LayerUnavailableError when another process, or another user of this one, has the folder */
  static async acquire(directory: string): Promise<FolderLock> {
    const path = socketPath(directory);
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const server = await listen(path);
      if (server) return new FolderLock(server);
      const holder = await askHolder(path);
      if (holder !== undefined) throw inUse(directory, holder);
      await removeStale(path, directory);
    }
    throw inUse(directory, 'processes that start at this moment');
  }

  release(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
    });
  }
}

function inUse(directory: string, holder: string): LayerUnavailableError {
  return new LayerUnavailableError(directory, `is in use by ${holder}; each process needs a folder of its own`);
}

function socketPath(directory: string): string {
  const path = join(realpathSync(directory), 'LOCK');
  if (process.platform !== 'win32' && Buffer.byteLength(path) <= SOCKET_PATH_BYTES) return path;
  const name = `granary-cache-${createHash('sha256').update(path).digest('hex').slice(0, 32)}`;
  return process.platform === 'win32' ? `\\\\.\\pipe\\${name}` : join(tmpdir(), name);
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
    server.listen({ path }, () => {
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
    const timer = setTimeout(() => done('a process that does not answer'), ANSWER_MS);
    socket.setEncoding('utf8').on('data', (text: string) => {
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
    throw inUse(directory, holder);
  }
  await unlink(aside);
}
