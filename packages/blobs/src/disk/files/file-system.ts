import {
  close,
  closeSync,
  constants,
  fdatasync,
  fstatSync,
  ftruncate,
  open,
  openSync,
  read,
  readSync,
  write,
} from 'node:fs';
import { open as openHandle, readdir, rename, stat, statfs, unlink } from 'node:fs/promises';
import { promisify } from 'node:util';
import { makeFolder } from '@granary/cache/folders';

/** What the store wants to know about a file. */
export interface FileStatus {
  readonly size: number;
  readonly mtimeMs: number;
}

/** An open file. Positions are explicit, so that calls may overlap. */
export interface OpenFile {
  /** Bytes read; fewer than asked for only at the end of the file. */
  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<number>;
  /** Bytes written, which may be fewer than asked for. */
  write(buffer: Uint8Array, offset: number, length: number, position: number): Promise<number>;
  /** Brings the content to the disk. */
  datasync(): Promise<void>;
  truncate(length: number): Promise<void>;
  /** Answers from memory: an open file's status is there. */
  status(): FileStatus;
  close(): Promise<void>;
}

/** The operating system's files as far as the store needs them, so that tests can make each of them fail. */
export interface FileSystem {
  /** Opens an existing file to read. Blocks for the moment of a look-up, which is cheaper than handing it on. */
  openToRead(path: string): OpenFile;
  /**
   * Reads a small file at once, if it has `buffer.length - offset` bytes, into a buffer, and what the file's status is.
   * Blocks: a round trip through the thread pool costs ten times as much as the bytes (decision 001).
   */
  readNow(path: string, buffer: Uint8Array, offset: number): FileStatus;
  /** Makes a file that must not exist yet. */
  create(path: string): Promise<OpenFile>;
  /** The same, but what is written goes past the page cache: whole blocks from memory at whole blocks (`O_DIRECT`). */
  createDirect(path: string): Promise<OpenFile>;
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  status(path: string): Promise<FileStatus>;
  /** Names in a folder. */
  list(path: string): Promise<string[]>;
  /** Makes a folder and those above it; fine when it is there. */
  makeDirectory(path: string): Promise<void>;
  /** Brings the names in a folder to the disk, where there is a way to: not on Windows, whose journal has them. */
  syncDirectory(path: string): Promise<void>;
  /** Bytes that an unprivileged user can still write on the file system of this path. */
  freeBytes(path: string): Promise<number>;
}

const openFile = promisify(open);
const closeFile = promisify(close);
const datasync = promisify(fdatasync);
const truncate = promisify(ftruncate);

const NEW_FILE = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL;
/** A pipe in place of a file would have the process wait until somebody writes to it. Windows has no such thing. */
const EXISTING_FILE = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

/** The file system of this machine, which a store uses unless a test hands it one that fails. */
export const nodeFileSystem: FileSystem = {
  openToRead: (path) => new NodeFile(openSync(path, EXISTING_FILE)),
  readNow: (path, buffer, offset) => {
    const file = openSync(path, EXISTING_FILE);
    try {
      const status = fstatSync(file);
      // What is no file, as a pipe, is of no size and can't be read so.
      if (status.size !== buffer.length - offset) return status;
      for (let filled = offset; filled < buffer.length; ) {
        const bytes = readSync(file, buffer, filled, buffer.length - filled, filled - offset);
        if (bytes === 0) break;
        filled += bytes;
      }
      return status;
    } finally {
      closeSync(file);
    }
  },
  create: async (path) => new NodeFile(await openFile(path, NEW_FILE, 0o644)),
  createDirect: async (path) => {
    if (!constants.O_DIRECT) throw new Error('there is no direct I/O on this platform');
    return new NodeFile(await openFile(path, NEW_FILE | constants.O_DIRECT, 0o644));
  },
  rename,
  unlink,
  status: stat,
  list: (path) => readdir(path),
  makeDirectory: makeFolder,
  syncDirectory: async (path) => {
    if (process.platform === 'win32') return;
    const folder = await openHandle(path, constants.O_RDONLY);
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  },
  freeBytes: async (path) => {
    const { bavail, bsize } = await statfs(path);
    return bavail * bsize;
  },
};

class NodeFile implements OpenFile {
  readonly #fd: number;
  #closed = false;

  constructor(fd: number) {
    this.#fd = fd;
  }

  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      read(this.#fd, buffer, offset, length, position, (error, bytes) => (error ? reject(error) : resolve(bytes)));
    });
  }

  write(buffer: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      write(this.#fd, buffer, offset, length, position, (error, bytes) => (error ? reject(error) : resolve(bytes)));
    });
  }

  datasync(): Promise<void> {
    return datasync(this.#fd);
  }

  truncate(length: number): Promise<void> {
    return truncate(this.#fd, length);
  }

  status(): FileStatus {
    return fstatSync(this.#fd);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    // Never twice: the number may be another file's by then.
    this.#closed = true;
    await closeFile(this.#fd);
  }
}
