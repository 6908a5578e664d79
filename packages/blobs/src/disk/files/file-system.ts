import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rename, stat, statfs, unlink } from 'node:fs/promises';

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
  status(): Promise<FileStatus>;
  close(): Promise<void>;
}

/** The operating system's files as far as the store needs them, so that tests can make each of them fail. */
export interface FileSystem {
  /** Opens an existing file to read. */
  openToRead(path: string): Promise<OpenFile>;
  /** Makes a file that must not exist yet. */
  create(path: string): Promise<OpenFile>;
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  status(path: string): Promise<FileStatus>;
  /** Names in a folder. */
  list(path: string): Promise<string[]>;
  /** Makes a folder and those above it; fine when it is there. */
  makeDirectory(path: string): Promise<void>;
  /** Brings the names in a folder to the disk. */
  syncDirectory(path: string): Promise<void>;
  /** Bytes that an unprivileged user can still write on the file system of this path. */
  freeBytes(path: string): Promise<number>;
}

export const nodeFileSystem: FileSystem = {
  openToRead: async (path) => new NodeFile(await open(path, constants.O_RDONLY)),
  create: async (path) =>
    new NodeFile(await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o644)),
  rename,
  unlink,
  status: stat,
  list: (path) => readdir(path),
  makeDirectory: async (path) => {
    await mkdir(path, { recursive: true });
  },
  syncDirectory: async (path) => {
    const folder = await open(path, constants.O_RDONLY);
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
  readonly #handle: FileHandle;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    return (await this.#handle.read(buffer, offset, length, position)).bytesRead;
  }

  async write(buffer: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    return (await this.#handle.write(buffer, offset, length, position)).bytesWritten;
  }

  datasync(): Promise<void> {
    return this.#handle.datasync();
  }

  status(): Promise<FileStatus> {
    return this.#handle.stat();
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}
