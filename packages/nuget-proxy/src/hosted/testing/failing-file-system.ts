import { type FileSystem, nodeFileSystem } from '@granary/blobs';

/** What answers at once. */
const NOW: ReadonlySet<unknown> = new Set(['openToRead', 'readNow']);

/** Node's file system, of which one operation fails: the one with this number, counted from when it was set. */
export class FailingFileSystem {
  /** Operations since the last {@link failAt}. */
  done = 0;
  #failing = Number.POSITIVE_INFINITY;

  readonly fileSystem: FileSystem = this.#around(nodeFileSystem);

  failAt(number: number): void {
    this.done = 0;
    this.#failing = number;
  }

  #around<T extends object>(target: T): T {
    return new Proxy(target, {
      get: (_, name) => {
        const value: unknown = Reflect.get(target, name);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]) => {
          const error = this.#step(String(name));
          if (error !== undefined) {
            if (NOW.has(name)) throw error;
            return Promise.reject(error);
          }
          const result: unknown = value.apply(target, args);
          if (name === 'openToRead') return this.#around(result as object);
          return name === 'create' ? (result as Promise<object>).then((file) => this.#around(file)) : result;
        };
      },
    });
  }

  #step(name: string): Error | undefined {
    // What is closed is closed, whatever it says.
    if (name === 'close' || this.done++ !== this.#failing) return undefined;
    return Object.assign(new Error(`EIO: ${name} was made to fail`), { code: 'EIO' });
  }
}
