import type { ListenAddress } from '../../config/address.js';
import { grpcConnections, httpConnections } from '../../metrics/connection-metrics.js';
import type { TlsMaterial } from '../../tls/tls-material.js';
import type { CacheService } from '../cache-service.js';
import type { ServerContext } from '../server-context.js';
import { listenGrpc } from './grpc-listener.js';
import { type HttpListenerOptions, listenHttp } from './http-listener.js';
import { ListenError, type Listener, type ListenerOptions } from './listener.js';
import { refusesUserinfo } from './userinfo/userinfo-connection.js';

/** For those who have switched off the limit of a header, which is that of a handshake too. */
const HANDSHAKE_TIMEOUT_MS = 30_000;

/** A server's ports, each of them with the limits and the certificates of the configuration. */
export class Listeners {
  readonly #context: ServerContext;
  readonly #tls: TlsMaterial | undefined;
  readonly #started: Listener[] = [];

  constructor(context: ServerContext, tls: TlsMaterial | undefined) {
    this.#context = context;
    this.#tls = tls;
  }

  /** In the order of their start. */
  get started(): readonly Listener[] {
    return this.#started;
  }

  /** @throws ListenError when the port can't be listened on */
  async startGrpc(address: ListenAddress, cache: CacheService): Promise<void> {
    const { config, metrics } = this.#context;
    const movesUserinfo = config.auth.htpasswd_file !== undefined && (await refusesUserinfo());
    const { onConnection, onConnectionRefused } = grpcConnections(metrics, () => cache.remote.runningCalls);
    const options = { ...this.#optionsFor('listen.grpc', address), movesUserinfo, onConnection, onConnectionRefused };
    await this.#start(options, () => listenGrpc(cache.grpcServer(), options));
  }

  /**
   * @param name what its connections are counted under
   * @param onRefused default: nobody is told
   * @throws ListenError when the port can't be listened on
   */
  async startHttp(
    key: string,
    address: ListenAddress,
    name: 'http' | 'admin' | 'metrics',
    handle: HttpListenerOptions['handle'],
    onRefused?: HttpListenerOptions['onRefused'],
  ): Promise<void> {
    const { limits } = this.#context.config;
    const { onConnection, onConnectionRefused } = httpConnections(this.#context.metrics, name);
    const options = {
      ...this.#optionsFor(key, address),
      maxHeaderBytes: limits.max_header_size,
      headersTimeoutMs: limits.header_timeout,
      requestTimeoutMs: limits.request_timeout,
      idleTimeoutMs: limits.idle_timeout,
      stallTimeoutMs: limits.stream_idle_timeout,
      onConnection,
      onConnectionRefused,
      handle,
      onRefused,
    };
    await this.#start(options, () => listenHttp(options));
  }

  /** New connections get these certificates. */
  useTls(material: TlsMaterial): void {
    for (const listener of this.#started) listener.useTls(material);
  }

  async #start({ key, address }: ListenerOptions, listen: () => Promise<Listener>): Promise<void> {
    const listener = await listen().catch((error: unknown) => {
      const owner = this.#started.find((started) => started.address.port === address.port);
      if (!owner || !(error instanceof ListenError)) throw error;
      throw new ListenError(key, address, error.cause as NodeJS.ErrnoException, owner.key);
    });
    this.#started.push(listener);
    this.#context.closers.add(async () => listener.destroy());
  }

  #optionsFor(key: string, address: ListenAddress) {
    const { limits, tls } = this.#context.config;
    return {
      key,
      address,
      tls: this.#tls,
      clientAuth: tls.client_auth,
      maxConnections: limits.max_connections,
      handshakeTimeoutMs: limits.header_timeout || HANDSHAKE_TIMEOUT_MS,
      logger: this.#context.logger,
    };
  }
}
