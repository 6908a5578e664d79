import { type FileStatus, type FileSystem, nodeFileSystem, type OpenFile } from '../disk/files/file-system.js';

export type FileOperation =
  | 'openToRead'
  | 'readNow'
  | 'create'
  | 'createDirect'
  | 'rename'
  | 'unlink'
  | 'status'
  | 'list'
  | 'makeDirectory'
  | 'syncDirectory'
  | 'freeBytes'
  | 'read'
  | 'write'
  | 'datasync'
  | 'truncate'
  | 'fileStatus'
  | 'close';

/** A file system that fails, writes little at a time and is full whenever a test says so. */
export class FaultyFileSystem implements FileSystem {
  /** What was done, in order. */
  readonly done: FileOperation[] = [];
  /** Asked before each operation; what it returns is thrown. Its number counts from 0. */
  fault: (operation: FileOperation, path: string, number: number) => Error | undefined = () => undefined;
  /** Most bytes that one write takes. */
  mostWritten = Number.POSITIVE_INFINITY;
  /** Free bytes to report instead of the real ones. */
  free: number | undefined;

  openToRead(path: string): OpenFile {
    this.#step('openToRead', path);
    return this.#wrap(nodeFileSystem.openToRead(path), path);
  }

  readNow(path: string, buffer: Uint8Array, offset: number): FileStatus {
    this.#step('readNow', path);
    return nodeFileSystem.readNow(path, buffer, offset);
  }

  async create(path: string): Promise<OpenFile> {
    this.#step('create', path);
    return this.#wrap(await nodeFileSystem.create(path), path);
  }

  async createDirect(path: string): Promise<OpenFile> {
    this.#step('createDirect', path);
    return this.#wrap(await nodeFileSystem.createDirect(path), path);
  }

  async rename(from: string, to: string): Promise<void> {
    this.#step('rename', from);
    await nodeFileSystem.rename(from, to);
  }

  async unlink(path: string): Promise<void> {
    this.#step('unlink', path);
    await nodeFileSystem.unlink(path);
  }

  async status(path: string) {
    this.#step('status', path);
    return nodeFileSystem.status(path);
  }

  async list(path: string): Promise<string[]> {
    this.#step('list', path);
    return nodeFileSystem.list(path);
  }

  async makeDirectory(path: string): Promise<void> {
    this.#step('makeDirectory', path);
    await nodeFileSystem.makeDirectory(path);
  }

  async syncDirectory(path: string): Promise<void> {
    this.#step('syncDirectory', path);
    await nodeFileSystem.syncDirectory(path);
  }

  async freeBytes(path: string): Promise<number> {
    this.#step('freeBytes', path);
    return this.free ?? nodeFileSystem.freeBytes(path);
  }

  #wrap(file: OpenFile, path: string): OpenFile {
    const step = (operation: FileOperation) => this.#step(operation, path);
    return {
      read: async (...args) => {
        step('read');
        return file.read(...args);
      },
      write: async (buffer, offset, length, position) => {
        step('write');
        return file.write(buffer, offset, Math.min(length, this.mostWritten), position);
      },
      datasync: async () => {
        step('datasync');
        await file.datasync();
      },
      truncate: async (length) => {
        step('truncate');
        await file.truncate(length);
      },
      status: () => {
        step('fileStatus');
        return file.status();
      },
      close: async () => {
        // A failing close has closed the file all the same, as on Linux.
        await file.close();
        step('close');
      },
    };
  }

  #step(operation: FileOperation, path: string): void {
    const error = this.fault(operation, path, this.done.length);
    this.done.push(operation);
    if (error) throw error;
  }
}

/** What the operating system throws. */
export function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: made up by a test`), { code });
}
