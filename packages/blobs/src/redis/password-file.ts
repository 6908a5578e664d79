import type { EventEmitter } from 'node:events';
import { isCluster, type RedisClient } from '@granary/cache/redis';
import { passwordIn } from './redis-address.js';

/** Where ioredis looks when it makes a connection. */
interface Credentials {
  password?: string;
}

/** A cluster's client goes on without the nodes that it lost. */
const EVENTS = ['close', 'node error'];

/** Gives a client the password as it is in its file whenever it lost a connection, so that passwords can be changed. */
export class PasswordFile {
  readonly #file: string;
  readonly #client: RedisClient;

  constructor(file: string, client: RedisClient) {
    this.#file = file;
    this.#client = client;
    for (const event of EVENTS) this.#events.on(event, this.#readAgain);
  }

  close(): void {
    for (const event of EVENTS) this.#events.off(event, this.#readAgain);
  }

  get #events(): EventEmitter {
    return this.#client as unknown as EventEmitter;
  }

  readonly #readAgain = (): void => {
    passwordIn(this.#file).then(
      (password) => {
        const options = this.#client.options as Credentials & { readonly redisOptions?: Credentials };
        const credentials = isCluster(this.#client) ? options.redisOptions : options;
        if (credentials) credentials.password = password;
      },
      // What was read last goes on being used; if it is wrong, Redis says so.
      () => {},
    );
  };
}
