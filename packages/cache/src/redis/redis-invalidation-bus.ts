import { randomUUID } from 'node:crypto';
import { nodeTimers, type Timers, wholeNumber } from '@granary/resilience';
import { CacheClosedError } from '../errors.js';
import type { InvalidationBus, InvalidationListener, InvalidationMessage } from '../invalidation/invalidation-bus.js';
import { Listeners } from '../invalidation/listeners.js';
import type { OpOptions } from '../layer.js';
import { piecesOf } from './commands/batches.js';
import { type RedisCallOptions, RedisCalls } from './commands/redis-calls.js';
import { watchForReadiness } from './connect.js';
import { guardConnections } from './guarded-connections.js';
import { ReceivedNumbers } from './received-numbers.js';
import type { RedisClient } from './redis-client.js';
import { decodeWire, encodeWire, type WireMessage } from './wire-message.js';

export interface RedisInvalidationBusOptions extends RedisCallOptions {
  /** Everyone who shares layers shares a channel. Default `granary:invalidation`. */
  readonly channel?: string | undefined;
  /**
   * How often the bus sends itself a message, to know that others would arrive too, in milliseconds. A connection that
   * died without a word, and single lost messages, are noticed after two of these. Default 10,000.
   */
  readonly heartbeatMs?: number | undefined;
  /** What the time between heartbeats is measured with. Default: Node's timers, which then don't keep the process. */
  readonly timers?: Timers | undefined;
}

/** Most keys in one message. */
const KEYS_PER_MESSAGE = 500;

/**
 * The bus over Redis' pub/sub, with a connection of its own to listen on. Redis doesn't keep messages for who isn't
 * there, so the bus finds out when some may have been lost, here or on the way to others, and says so (`lost`): after
 * each break of the connection, when its own heartbeat isn't heard, when a number is missing in what another process
 * sent, and when something could not be published.
 *
 * Listeners that are there when the first connection is made are told `lost` too, because until then nothing was heard;
 * who awaits {@link ready} before adding one is spared that.
 *
 * Cost: one command for a message, and one for each heartbeat.
 */
export class RedisInvalidationBus implements InvalidationBus {
  readonly #id = randomUUID();
  readonly #channel: string;
  /** Only this bus listens here: for its heartbeat. */
  readonly #ownChannel: string;
  readonly #calls: RedisCalls;
  readonly #subscriber: RedisClient;
  readonly #listeners = new Listeners();
  readonly #received = new ReceivedNumbers();
  readonly #heartbeatMs: number;
  readonly #timers: Timers;
  readonly #ready: Promise<void>;
  #resolveReady: () => void = () => {};
  #timer: unknown;
  /** Of the last message that was sent. */
  #number = 0;
  #numberAtBeat = 0;
  /** Whether a message didn't get out, so that the others' copies may be old. */
  #owesNews = false;
  /** Whether the last heartbeat didn't arrive yet. */
  #awaitsBeat = false;
  /** Whether a heartbeat didn't arrive before the next one. */
  #deaf = false;
  #subscribed = false;
  #closed: Promise<void> | undefined;

  /** @throws InvalidOptionError that names the option */
  constructor(options: RedisInvalidationBusOptions) {
    this.#channel = options.channel ?? 'granary:invalidation';
    this.#ownChannel = `${this.#channel}:${this.#id}`;
    this.#heartbeatMs = wholeNumber('heartbeatMs', options.heartbeatMs ?? 10_000);
    this.#timers = options.timers ?? nodeTimers;
    this.#calls = new RedisCalls('the invalidation bus', { ...options, timers: undefined });
    this.#ready = new Promise((resolve) => {
      this.#resolveReady = resolve;
    });
    this.#subscriber = this.#calls.client.duplicate();
    this.#subscriber.on('error', () => {});
    watchForReadiness(this.#subscriber);
    guardConnections(this.#subscriber);
    this.#subscriber.on('message', this.#onMessage);
    this.#subscriber.on('close', this.#onClose);
    this.#subscriber.on('ready', this.#subscribe);
    if (this.#subscriber.status === 'wait') this.#subscriber.connect().catch(() => {});
    if (this.#subscriber.status === 'ready') this.#subscribe();
    this.#setTimer();
  }

  /**
   * Resolves when messages of others arrive for the first time, or when the bus is closed; give it a signal that ends the
   * wait where Redis may be down. Without having waited everything works too, as soon as Redis is there.
   */
  ready({ signal }: OpOptions = {}): Promise<void> {
    if (signal === undefined) return this.#ready;
    if (signal.aborted) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      const onAbort = () => reject(signal.reason);
      signal.addEventListener('abort', onAbort, { once: true });
      this.#ready.then(() => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      });
    });
  }

  /** Whether messages of others arrive at the moment, as far as the bus knows. */
  get connected(): boolean {
    return this.#subscribed && !this.#deaf;
  }

  async publish(message: InvalidationMessage, except?: InvalidationListener): Promise<void> {
    if (this.#closed) throw new CacheClosedError('the invalidation bus');
    this.#listeners.tell(message, except);
    if (message.type !== 'keys' || message.keys.length <= KEYS_PER_MESSAGE) return this.#send(message);
    const pieces = [...piecesOf(message.keys, KEYS_PER_MESSAGE)];
    await Promise.all(pieces.map((keys) => this.#send({ type: 'keys', keys })));
  }

  /** @throws CacheClosedError after {@link close} */
  subscribe(listener: InvalidationListener): () => void {
    if (this.#closed) throw new CacheClosedError('the invalidation bus');
    return this.#listeners.add(listener);
  }

  /** Ends its own connections; that of a client that it was given stays. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #send(news: InvalidationMessage): Promise<void> {
    const number = ++this.#number;
    try {
      await this.#publishTo(this.#channel, { type: 'news', from: this.#id, number, news });
    } catch (error) {
      this.#owesNews = true;
      throw error;
    }
  }

  #publishTo(channel: string, message: WireMessage): Promise<number> {
    const text = encodeWire(message);
    return this.#calls.run('publish', (client) => client.publish(channel, text));
  }

  readonly #subscribe = (): void => {
    this.#subscriber.subscribe(this.#channel, this.#ownChannel).then(this.#onSubscribed, () => {
      // Without the subscription the heartbeat isn't heard, and the connection is made anew.
    });
  };

  readonly #onSubscribed = (): void => {
    if (this.#closed) return;
    this.#subscribed = true;
    this.#awaitsBeat = false;
    this.#deaf = false;
    this.#resolveReady();
    this.#listeners.tell({ type: 'lost' });
  };

  readonly #onClose = (): void => {
    this.#subscribed = false;
  };

  readonly #onMessage = (channel: string, text: string): void => {
    const message = decodeWire(text);
    if (channel === this.#ownChannel) {
      this.#hearBeat();
    } else if (message === undefined) {
      // Perhaps from a newer version: something was changed, and there is no knowing what.
      this.#listeners.tell({ type: 'lost' });
    } else if (message.from !== this.#id) {
      if (message.type === 'beat') this.#received.sent(message.from, message.number);
      else this.#hearNews(message.from, message.number, message.news);
    }
  };

  #hearNews(from: string, number: number, news: InvalidationMessage): void {
    this.#received.received(from, number);
    this.#listeners.tell(news);
  }

  #hearBeat(): void {
    this.#awaitsBeat = false;
    if (!this.#deaf) return;
    this.#deaf = false;
    this.#listeners.tell({ type: 'lost' });
  }

  #setTimer(): void {
    this.#timer = this.#timers.setTimeout(this.#beat, this.#heartbeatMs);
    if (this.#timers === nodeTimers) (this.#timer as NodeJS.Timeout).unref();
  }

  readonly #beat = (): void => {
    this.#setTimer();
    if (this.#received.tick()) this.#listeners.tell({ type: 'lost' });
    if (this.#awaitsBeat) this.#startOver();
    this.#awaitsBeat = true;
    const beat = { type: 'beat', from: this.#id, number: this.#number } as const;
    this.#publishTo(this.#ownChannel, beat).catch(() => {});
    if (this.#owesNews) this.#payNews();
    else if (this.#number !== this.#numberAtBeat) {
      this.#numberAtBeat = this.#number;
      this.#publishTo(this.#channel, beat).catch(() => {});
    }
  };

  #startOver(): void {
    this.#deaf = true;
    if (this.#subscriber.status === 'ready') this.#subscriber.disconnect(true);
  }

  #payNews(): void {
    this.#owesNews = false;
    this.#send({ type: 'lost' }).catch(() => {});
  }

  async #close(): Promise<void> {
    this.#timers.clearTimeout(this.#timer);
    this.#listeners.clear();
    this.#subscriber.off('ready', this.#subscribe);
    this.#subscriber.off('close', this.#onClose);
    this.#subscriber.off('message', this.#onMessage);
    this.#subscriber.disconnect();
    this.#resolveReady();
    await this.#calls.close();
  }
}
