import {
  BATCH_BYTES,
  byNode,
  isCluster,
  pipelinedEach,
  type RedisCallOptions,
  RedisCalls,
  type RedisClient,
  type RedisCommand,
} from '@granary/cache/redis';
import { type EndListener, listenForAbort, unlistenForAbort, wholeNumber } from '@granary/resilience';
import { StoreClosedError } from '../errors.js';
import { RemoteStoreError } from '../remote/remote-store-error.js';
import { redisFailure } from './redis-failure.js';

const BATCH_COMMANDS = 1000;

export interface CommandBatchesOptions extends RedisCallOptions {
  readonly name: string;
  readonly maxPending: number;
  readonly maxPendingBytes: number;
}

/** A command about one key. */
export type KeyCommand = readonly [name: string, key: string, ...args: unknown[]];

/** A command of an order, on its way. */
interface Sent {
  readonly order: Order;
  readonly index: number;
}

/** Commands that were asked for together. */
class Order implements EndListener {
  readonly commands: readonly KeyCommand[];
  readonly bytesEach: number;
  readonly #signal: AbortSignal | undefined;
  readonly #answers: unknown[] = [];
  readonly #resolve: (answers: unknown[]) => void;
  readonly #reject: (reason: unknown) => void;
  #settled = false;
  #unanswered: number;
  /** Commands whose memory is still in use: those that nobody waits for any more are among them. */
  unreturned: number;

  constructor(
    commands: readonly KeyCommand[],
    bytesEach: number,
    signal: AbortSignal | undefined,
    resolve: (answers: unknown[]) => void,
    reject: (reason: unknown) => void,
  ) {
    this.commands = commands;
    this.bytesEach = bytesEach;
    this.#unanswered = commands.length;
    this.unreturned = commands.length;
    this.#signal = signal;
    this.#resolve = resolve;
    this.#reject = reject;
    if (signal) listenForAbort(signal, this);
  }

  get isSettled(): boolean {
    return this.#settled;
  }

  answer(index: number, answer: unknown): void {
    this.#answers[index] = answer;
    if (--this.#unanswered > 0 || this.#settled) return;
    this.#settle();
    this.#resolve(this.#answers);
  }

  end(reason: unknown): void {
    if (this.#settled) return;
    this.#settle();
    this.#reject(reason);
  }

  #settle(): void {
    this.#settled = true;
    if (this.#signal) unlistenForAbort(this.#signal, this);
  }
}

/**
 * Sends what all callers ask for within one turn of the event loop in one piece (in a cluster one for each node), since
 * the way to Redis and back costs more than the commands. Each caller has his own failure. Commands about one key take
 * effect in the order in which they were asked for.
 *
 * What waits for Redis is bounded in number and in bytes; what Redis doesn't answer keeps its place after its time was
 * up, because it keeps its memory too.
 */
export class CommandBatches {
  readonly #name: string;
  readonly #calls: RedisCalls;
  readonly #maxPending: number;
  readonly #maxPendingBytes: number;
  #waiting: Order[] = [];
  #pending = 0;
  #pendingBytes = 0;
  #isDue = false;
  #closed: Promise<void> | undefined;

  /** @throws InvalidOptionError that names the option */
  constructor(options: CommandBatchesOptions) {
    this.#name = options.name;
    this.#maxPending = wholeNumber('maxPending', options.maxPending);
    this.#maxPendingBytes = wholeNumber('maxPendingBytes', options.maxPendingBytes);
    this.#calls = new RedisCalls('Redis', options);
  }

  get client(): RedisClient {
    return this.#calls.client;
  }

  /** Orders that Redis hasn't answered yet. */
  get pending(): number {
    return this.#pending;
  }

  /**
   * The answers to commands, in their order.
   *
   * @param bytesEach what a command or its answer takes in memory
   * @throws RemoteStoreError, StoreClosedError or the signal's reason
   */
  send(commands: readonly KeyCommand[], bytesEach: number, signal: AbortSignal | undefined): Promise<unknown[]> {
    const refusal = this.#refusal(commands.length * bytesEach, signal);
    if (refusal !== undefined) return Promise.reject(refusal);
    return new Promise((resolve, reject) => {
      const order = new Order(commands, bytesEach, signal, resolve, reject);
      this.#pending++;
      this.#pendingBytes += commands.length * bytesEach;
      this.#waiting.push(order);
      if (this.#isDue) return;
      this.#isDue = true;
      setImmediate(this.#flush);
    });
  }

  /** Refuses what hasn't been sent, waits for the rest until its time is up, and ends the connection. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    for (const order of this.#waiting) order.end(new StoreClosedError());
    await this.#calls.close();
  }

  #refusal(bytes: number, signal: AbortSignal | undefined): unknown {
    if (this.#closed) return new StoreClosedError();
    if (signal?.aborted) return signal.reason;
    const isFull = this.#pending >= this.#maxPending || this.#pendingBytes + bytes > this.#maxPendingBytes;
    // What is larger than the bound has its turn when nothing else is under way.
    if (!isFull || this.#pending === 0) return undefined;
    const waiting = `${this.#pending} calls with ${this.#pendingBytes} bytes wait for Redis already`;
    return new RemoteStoreError(this.#name, 'exhausted', waiting);
  }

  readonly #flush = (): void => {
    this.#isDue = false;
    const orders = this.#waiting;
    this.#waiting = [];
    const sent: Sent[] = [];
    for (const order of orders) {
      for (let index = 0; index < order.commands.length; index++) {
        if (order.isSettled) this.#giveBack({ order, index });
        else sent.push({ order, index });
      }
    }
    if (sent.length > 0) this.#dispatch(sent).catch((error: unknown) => this.#fail(sent, error));
  };

  /** Until there is a connection nobody knows which node of a cluster has what. */
  async #dispatch(sent: readonly Sent[]): Promise<void> {
    const { client } = this.#calls;
    if (!isCluster(client)) return this.#sendAll(sent);
    const connecting = this.#calls.connected(undefined);
    if (connecting) await connecting;
    for (const group of byNode(client, sent, keyOf)) this.#sendAll(group);
  }

  #sendAll(sent: readonly Sent[]): void {
    let from = 0;
    let bytes = 0;
    for (const [i, { order }] of sent.entries()) {
      bytes += order.bytesEach;
      if (i + 1 < sent.length && i + 1 - from < BATCH_COMMANDS && bytes < BATCH_BYTES) continue;
      this.#sendPiece(sent.slice(from, i + 1));
      from = i + 1;
      bytes = 0;
    }
  }

  #sendPiece(piece: readonly Sent[]): void {
    let isUnderWay = false;
    const giveBack = () => {
      for (const each of piece) this.#giveBack(each);
    };
    const exchange = (client: RedisClient) => {
      isUnderWay = true;
      const answers = pipelinedEach(client, piece.map(commandOf));
      answers.then(giveBack, giveBack);
      return answers;
    };
    this.#calls.run('call', exchange).then(
      (answers) => {
        for (const [i, { order, index }] of piece.entries()) {
          const answer = answers[i];
          if (answer instanceof Error) order.end(redisFailure(this.#name, answer));
          else order.answer(index, answer);
        }
      },
      (error: unknown) => {
        if (!isUnderWay) giveBack();
        const failure = redisFailure(this.#name, error);
        for (const { order } of piece) order.end(failure);
      },
    );
  }

  #fail(sent: readonly Sent[], error: unknown): void {
    const failure = redisFailure(this.#name, error);
    for (const each of sent) {
      each.order.end(failure);
      this.#giveBack(each);
    }
  }

  #giveBack({ order }: Sent): void {
    this.#pendingBytes -= order.bytesEach;
    if (--order.unreturned === 0) this.#pending--;
  }
}

function keyOf({ order, index }: Sent): string {
  return (order.commands[index] as KeyCommand)[1];
}

function commandOf({ order, index }: Sent): RedisCommand {
  return order.commands[index] as KeyCommand;
}
