import { closeSync, openSync } from 'node:fs';
import { devNull } from 'node:os';

/** Files that Node has open at once to load the feeds: most of their modules, of which there are nearly 200. */
const FILES_AT_ONCE = 224;
/** Until then a server that was just started has given its first answers; to load the feeds takes 50 ms in one go. */
const LOADED_AFTER_MS = 5_000;

export interface FeedLoaderOptions<Module> {
  /** Imports the code of the feeds. */
  readonly load: () => Promise<Module>;
  /** Opens a file, or throws. Default: the system's. */
  readonly openFile?: () => number;
  readonly closeFile?: (file: number) => void;
}

/**
 * Loads the code of the feeds. Node 20 keeps the failure of an import for as long as it runs, and loading takes many files
 * at once: without as many none is begun, so that it can be done when there are.
 */
export class FeedLoader<Module> {
  readonly #load: () => Promise<Module>;
  readonly #openFile: () => number;
  readonly #closeFile: (file: number) => void;
  #timer: NodeJS.Timeout | undefined;
  #module: Promise<Module> | undefined;

  constructor({ load, openFile = () => openSync(devNull, 'r'), closeFile = closeSync }: FeedLoaderOptions<Module>) {
    this.#load = load;
    this.#openFile = openFile;
    this.#closeFile = closeFile;
  }

  /** @throws when there are too few file descriptors; called again it tries again */
  async load(): Promise<Module> {
    this.#module ??= this.#begin().catch((error: unknown) => {
      this.#module = undefined;
      throw error;
    });
    return this.#module;
  }

  /** Loads them in some seconds, while there are file descriptors: nobody is to wait for it. */
  loadSoon(): void {
    // Who asks for a feed tries again, and is told what is wrong.
    this.#timer = setTimeout(() => void this.load().catch(() => {}), LOADED_AFTER_MS);
    this.#timer.unref();
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  async #begin(): Promise<Module> {
    this.#checkFiles();
    return this.#load();
  }

  #checkFiles(): void {
    const opened: number[] = [];
    try {
      while (opened.length < FILES_AT_ONCE) opened.push(this.#openFile());
    } finally {
      for (const file of opened) this.#closeFile(file);
    }
  }
}
