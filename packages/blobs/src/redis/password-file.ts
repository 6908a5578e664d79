import { isCluster, type RedisClient } from '@granary/cache/redis';
import { passwordIn } from './redis-address.js';

/** Where ioredis looks when it makes a connection. */
interface Credentials {
  password?: string;
}

/** Gives a client the password as it is in its file whenever it lost a connection, so that passwords can be changed. */
export class PasswordFile {
  readonly #file: string;
  readonly #client: RedisClient;

  constructor(file: string, client: RedisClient) {
    this.#file = file;
    this.#client = client;
    client.on('close', this.#readAgain);
  }

  close(): void {
    this.#client.off('close', this.#readAgain);
  }

  readonly #readAgain = (): void => {
    passwordIn(this.#file).then(
      (password) => {
        const options = this.#client.options as { redisOptions?: Credentials } & Credentials;
        if (!isCluster(this.#client)) options.password = password;
        else if (options.redisOptions) options.redisOptions.password = password;
      },
      // What was read last goes on being used; if it is wrong, Redis says so.
      () => {},
    );
  };
}
