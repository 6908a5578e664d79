import type { ActionResultStore, OperationOptions } from '../blob-store.js';
import { StoreClosedError } from '../errors.js';
import { RemoteStoreError } from '../remote/remote-store-error.js';
import type { CommandBatches } from './command-batches.js';
import { type Lifetime, storing, using } from './lifetime.js';
import type { StoredNames } from './stored-names.js';

/** What a command without a value takes in memory, about. */
const COMMAND_BYTES = 1000;

export interface RedisActionResultStoreOptions {
  readonly name: string;
  readonly maxBytes: number;
  readonly lifetime: Lifetime;
  readonly names: StoredNames;
  readonly batches: CommandBatches;
}

/** Action results in Redis, each as a value of its own. */
export class RedisActionResultStore implements ActionResultStore {
  readonly name: string;
  readonly #maxBytes: number;
  readonly #lifetime: Lifetime;
  readonly #names: StoredNames;
  readonly #batches: CommandBatches;
  #closed = false;

  constructor({ name, maxBytes, lifetime, names, batches }: RedisActionResultStoreOptions) {
    this.name = name;
    this.#maxBytes = maxBytes;
    this.#lifetime = lifetime;
    this.#names = names;
    this.#batches = batches;
  }

  /** @throws RemoteStoreError `invalid` for a result above the limit */
  async get(key: string, options?: OperationOptions): Promise<Buffer | undefined> {
    this.#checkUsable(options);
    const name = this.#names.actionResult(key);
    // A range, because a value can be of any length: one byte too many tells of more.
    const commands = [['getrangeBuffer', name, 0, this.#maxBytes] as const, using(name, this.#lifetime)];
    const [value, found] = (await this.#batches.send(commands, COMMAND_BYTES, options?.signal)) as [Buffer, unknown];
    if (value.length > this.#maxBytes)
      throw new RemoteStoreError(
        this.name,
        'invalid',
        `Redis has an action result of more than ${this.#maxBytes} bytes`,
      );
    if (value.length > 0) return Buffer.from(value);
    return Number(found) > 0 ? this.#getEmpty(name, options) : undefined;
  }

  /**
   * Resolves when Redis has it in memory.
   *
   * @throws RemoteStoreError `refused` for a result above the limit
   */
  async set(key: string, value: Buffer, options?: OperationOptions): Promise<void> {
    this.#checkUsable(options);
    if (value.length > this.#maxBytes) {
      const reason = `an action result of ${value.length} bytes is over the limit of ${this.#maxBytes}`;
      throw new RemoteStoreError(this.name, 'refused', reason, { unfit: true });
    }
    const command = storing(this.#names.actionResult(key), Buffer.from(value), this.#lifetime);
    await this.#batches.send([command], COMMAND_BYTES + value.length, options?.signal);
  }

  async delete(key: string): Promise<boolean> {
    this.#checkUsable(undefined);
    const command = ['unlink', this.#names.actionResult(key)] as const;
    const [removed] = await this.#batches.send([command], COMMAND_BYTES, undefined);
    return Number(removed) > 0;
  }

  /** Refuses what comes; the connection belongs to the tier. */
  async close(): Promise<void> {
    this.#closed = true;
  }

  /** No bytes, or nothing at all any more, or something that came just now: a range doesn't tell. */
  async #getEmpty(name: string, options: OperationOptions | undefined): Promise<Buffer | undefined> {
    const [value] = (await this.#batches.send([['getBuffer', name]], COMMAND_BYTES, options?.signal)) as [
      Buffer | null,
    ];
    return value === null ? undefined : Buffer.from(value);
  }

  #checkUsable(options: OperationOptions | undefined): void {
    if (this.#closed) throw new StoreClosedError();
    options?.signal?.throwIfAborted();
  }
}
