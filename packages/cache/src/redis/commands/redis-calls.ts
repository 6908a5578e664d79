import { isTimeout, type Timers, wholeNumber, withTimeout } from '@granary/resilience';
import { CacheClosedError, CacheTimeoutError, LayerUnavailableError } from '../../errors.js';
import { checkConnection, connectRedis, isRedisClient, type RedisConnection } from '../connect.js';
import { isCluster, type RedisClient } from '../redis-client.js';
import { hideCommand } from './hide-command.js';

export interface RedisCallOptions {
  readonly connection: RedisConnection;
  /** How long a command may take, in milliseconds. Default 1000. */
  readonly timeoutMs?: number | undefined;
  /**
   * Most commands that wait for an answer at once, a part of a batch counting as one; more are turned away. What Redis
   * doesn't answer keeps its place after its time was up, because it keeps its memory too. Default 10,000.
   */
  readonly maxPending?: number | undefined;
  /** What the time is measured with. Default: timers that all timeouts share, never early and at most 10 ms late. */
  readonly timers?: Timers | undefined;
}

/**
 * Commands to Redis that nobody waits for longer than `timeoutMs`, whatever Redis or the network do. While there is no
 * connection they fail at once; only at the very start they wait for the first one.
 */
export class RedisCalls {
  readonly client: RedisClient;
  readonly #name: string;
  readonly #ownsClient: boolean;
  readonly #timeoutMs: number;
  readonly #maxPending: number;
  readonly #timers: Timers | undefined;
  /** Until the first attempt to connect has ended. */
  #firstReady: Promise<void> | undefined;
  #pending = 0;
  #answers = 0;
  #lastError: Error | undefined;
  /** Whether a dead connection is being left, which many calls find out at the same time. */
  #startsOver = false;
  #closed: Promise<void> | undefined;
  /** Called when nothing is pending any more. */
  #onIdle: (() => void) | undefined;

  /** @throws InvalidOptionError that names the option */
  constructor(name: string, { connection, timeoutMs = 1000, maxPending = 10_000, timers }: RedisCallOptions) {
    this.#name = name;
    this.#timeoutMs = wholeNumber('timeoutMs', timeoutMs);
    this.#maxPending = wholeNumber('maxPending', maxPending);
    this.#timers = timers;
    checkConnection(connection);
    this.#ownsClient = !isRedisClient(connection);
    this.client = isRedisClient(connection) ? connection : connectRedis(connection);
    // Without a listener ioredis writes every failed attempt to connect to the console.
    this.client.on('error', this.#onError);
    this.client.on('close', this.#onClose);
    if (this.client.status === 'wait') this.client.connect().catch(this.#onError);
    if (this.client.status !== 'ready') this.#firstReady = this.#firstConnection();
  }

  /** Commands that Redis hasn't answered yet. */
  get pending(): number {
    return this.#pending;
  }

  /**
   * Sends what `send` sends, and gives its answer.
   *
   * @throws CacheTimeoutError, LayerUnavailableError, CacheClosedError, or the signal's reason
   */
  run<T>(operation: string, send: (client: RedisClient) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const refusal = this.#refusal(signal);
    if (refusal !== undefined) return Promise.reject(refusal);
    const answers = this.#answers;
    const call = withTimeout<T>((context) => this.#send(send, context), this.#timeoutMs, {
      signal,
      ...(this.#timers && { timers: this.#timers }),
    });
    return call.catch((error: unknown) => {
      throw signal?.aborted && error === signal.reason ? error : this.#translated(operation, error, answers);
    });
  }

  /** Waits for the first connection, where there is none: until then nobody knows which node of a cluster has what. */
  connected(signal: AbortSignal | undefined): Promise<void> | undefined {
    return this.client.status === 'ready' ? undefined : this.run('connect', () => Promise.resolve(), signal);
  }

  /** Waits until what is under way is answered or its time is up, then ends the connection if it is its own. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  get closed(): boolean {
    return this.#closed !== undefined;
  }

  #refusal(signal: AbortSignal | undefined): unknown {
    if (this.#closed) return new CacheClosedError(this.#name);
    if (signal?.aborted) return signal.reason;
    if (this.#pending < this.#maxPending) return undefined;
    return new LayerUnavailableError(this.#name, `${this.#pending} commands wait for Redis already`);
  }

  #send<T>(send: (client: RedisClient) => Promise<T>, context: { readonly signal: AbortSignal }): Promise<T> {
    const { client } = this;
    if (client.status === 'ready') return this.#track(send(client));
    if (this.#firstReady === undefined) return Promise.reject(this.#notConnected());
    const { signal } = context;
    return this.#track(
      this.#firstReady.then(() => {
        signal.throwIfAborted();
        if (client.status !== 'ready') throw this.#notConnected();
        return send(client);
      }),
    );
  }

  #track<T>(answer: Promise<T>): Promise<T> {
    this.#pending++;
    const answered = () => {
      this.#answers++;
      if (--this.#pending === 0) this.#onIdle?.();
    };
    answer.then(answered, answered);
    return answer;
  }

  #notConnected(): LayerUnavailableError {
    const why = this.#lastError === undefined ? '' : `: ${this.#lastError.message}`;
    return new LayerUnavailableError(this.#name, `not connected to Redis (${this.client.status})${why}`, {
      cause: this.#lastError,
    });
  }

  #translated(operation: string, error: unknown, answersBefore: number): unknown {
    if (error instanceof LayerUnavailableError || error instanceof CacheClosedError) return error;
    if (isTimeout(error)) {
      this.#startOverIfMute(answersBefore);
      return new CacheTimeoutError(`${this.#name} ${operation}`, this.#timeoutMs, { cause: error });
    }
    hideCommand(error);
    const message = error instanceof Error ? error.message : String(error);
    return new LayerUnavailableError(this.#name, `${operation} failed: ${message}`, { cause: error });
  }

  /** A connection on which nothing at all was answered for so long is dead, or as good as dead. */
  #startOverIfMute(answersBefore: number): void {
    this.#firstReady = undefined;
    const { client } = this;
    if (!this.#ownsClient || isCluster(client) || client.status !== 'ready') return;
    if (this.#answers !== answersBefore || this.#startsOver || this.#closed) return;
    this.#startsOver = true;
    client.disconnect(true);
  }

  #firstConnection(): Promise<void> {
    const { client } = this;
    const first = new Promise<void>((resolve) => {
      const done = () => {
        for (const event of ['ready', 'close', 'end'] as const) client.off(event, done);
        this.#firstReady = undefined;
        resolve();
      };
      for (const event of ['ready', 'close', 'end'] as const) client.on(event, done);
    });
    return first;
  }

  readonly #onClose = (): void => {
    this.#startsOver = false;
  };

  readonly #onError = (error: Error): void => {
    hideCommand(error);
    this.#lastError = error;
  };

  async #close(): Promise<void> {
    if (this.#pending > 0 && this.client.status === 'ready') {
      const idle = new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
      await withTimeout(() => idle, this.#timeoutMs).catch(() => {});
    }
    if (this.#ownsClient) {
      this.client.disconnect();
    } else {
      this.client.off('error', this.#onError);
      this.client.off('close', this.#onClose);
    }
  }
}
