import type { ActionResultStore } from '../blob-store.js';
import { StoreClosedError } from '../errors.js';

/** Action results in a map, for tests and small jobs. Nothing is evicted. */
export class MemoryActionResultStore implements ActionResultStore {
  readonly name: string;
  readonly #values = new Map<string, Buffer>();
  #closed = false;

  constructor(options: { readonly name?: string } = {}) {
    this.name = options.name ?? 'memory';
  }

  get(key: string): Buffer | undefined {
    const value = this.#open().get(key);
    return value && Buffer.from(value);
  }

  async set(key: string, value: Buffer): Promise<void> {
    this.#open().set(key, Buffer.from(value));
  }

  async delete(key: string): Promise<boolean> {
    return this.#open().delete(key);
  }

  close(): void {
    this.#closed = true;
    this.#values.clear();
  }

  #open(): Map<string, Buffer> {
    if (this.#closed) throw new StoreClosedError();
    return this.#values;
  }
}
