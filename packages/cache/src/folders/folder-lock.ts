import { createHash } from 'node:crypto';
import { closeSync, constants, existsSync, openSync, realpathSync } from 'node:fs';
import { rename, unlink } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { LayerUnavailableError } from '../errors.js';

/** A holder that is busy answers late; it holds the lock all the same. */
const ANSWER_MS = 500;
const ATTEMPTS = 5;
/** Longest path that every system takes for a socket. */
const SOCKET_PATH_BYTES = 100;
const OPEN_FILES = '/proc/self/fd';

/**
 * One process at a time in a folder. LMDB itself would let in more, but one that opens a database tells the others that
 * the commit it has found there is the last, and so undoes one that came a moment later. The lock is a socket that the
 * holder listens on: it ends with the process, however that ends, and unlike a process number it can't be mistaken for
 * somebody else's, not even by a process in another container.
 */
export class FolderLock {
  readonly #server: Server;
  readonly #folder: number | undefined;

  private constructor(server: Server, folder: number | undefined) {
    this.#server = server;
    this.#folder = folder;
  }

  /**
   * @param inUse the error for a folder that another process, or another user of this one, has; `holder` names it
   * @throws what `inUse` makes (default {@link LayerUnavailableError}); Error when the folder can't be used
   */
  static async acquire(
    directory: string,
    inUse: (holder: string) => Error = layerInUse(directory),
  ): Promise<FolderLock> {
    const { path, folder } = socketPath(directory);
    try {
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        const server = await listen(path);
        if (server) return new FolderLock(server, folder);
        const holder = (await askHolder(path)) ?? (await removeStale(path));
        if (holder !== undefined) throw inUse(holder);
      }
      throw inUse('other processes that are starting too');
    } catch (error) {
      if (folder !== undefined) closeSync(folder);
      throw error;
    }
  }

  /** Once. */
  async release(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    if (this.#folder !== undefined) closeSync(this.#folder);
  }
}

function layerInUse(directory: string): (holder: string) => LayerUnavailableError {
  return (holder) =>
    new LayerUnavailableError(directory, `is in use by ${holder}; each process needs a folder of its own`);
}

/**
 * Where the socket lies. On Linux it is reached through the open folder: the system takes no long paths for sockets, and
 * Node, when it ends the socket, removes what has its path, which is another holder's where the folder was moved away and
 * another one is in its place.
 */
function socketPath(directory: string): { path: string; folder: number | undefined } {
  if (process.platform === 'linux' && existsSync(OPEN_FILES)) {
    const folder = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
    return { path: `${OPEN_FILES}/${folder}/LOCK`, folder };
  }
  const path = join(realpathSync(directory), 'LOCK');
  if (process.platform !== 'win32' && Buffer.byteLength(path) <= SOCKET_PATH_BYTES) return { path, folder: undefined };
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
 *
 * @returns the name of whoever listens after all
 */
async function removeStale(path: string): Promise<string | undefined> {
  const aside = `${path}.${process.pid}`;
  try {
    await rename(path, aside);
  } catch {
    return undefined; // Somebody else was quicker.
  }
  const holder = await askHolder(aside);
  if (holder === undefined) await unlink(aside);
  else await rename(aside, path);
  return holder;
}
