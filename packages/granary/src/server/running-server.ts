import type { Health } from '@granary/reapi';
import { endsWithin } from '@granary/resilience';
import type { Logger } from '@granary/telemetry';
import type { Closers } from './closers.js';
import type { Listener } from './listening/listener.js';
import type { ServerStats } from './stats.js';

/** A server that serves. */
export interface RunningServer extends AsyncDisposable {
  /** What to tell whoever started it: where it listens and stores, and the flags for Bazel. */
  readonly message: string;
  readonly listeners: readonly Pick<Listener, 'key' | 'address' | 'secure'>[];
  stats(): ServerStats;
  /**
   * Reads certificates, users and tokens again, and what NuGet sources are asked with. New connections and requests follow them, open ones stay.
   *
   * @throws ConfigError when a file is wrong; everything stays as it was
   */
  reload(): Promise<void>;
  /**
   * Takes no new work, lets running requests finish, and closes everything in reverse order. May be called twice.
   *
   * @param graceMs how long running requests may take; what runs longer is ended. Default 0.
   * @returns whether everything finished by itself
   */
  stop(graceMs?: number): Promise<boolean>;
}

export interface LifecycleParts {
  readonly listeners: readonly Listener[];
  readonly closers: Closers;
  readonly health: Health;
  readonly logger: Logger;
  readonly stats: () => ServerStats;
  readonly reload: () => Promise<void>;
}

export class ServerLifecycle implements RunningServer {
  message = '';
  readonly #parts: LifecycleParts;
  readonly #startedAt = performance.now();
  #stopping: Promise<boolean> | undefined;
  #reloading: Promise<void> = Promise.resolve();

  constructor(parts: LifecycleParts) {
    this.#parts = parts;
  }

  get listeners(): readonly Listener[] {
    return this.#parts.listeners;
  }

  get state(): 'serving' | 'draining' {
    return this.#stopping ? 'draining' : 'serving';
  }

  get uptimeMs(): number {
    return performance.now() - this.#startedAt;
  }

  stats(): ServerStats {
    return this.#parts.stats();
  }

  /** One after the other: of two at once, the one that read what is older could be the last to take effect. */
  reload(): Promise<void> {
    const reloaded = this.#reloading.then(() => this.#parts.reload());
    this.#reloading = reloaded.catch(() => {});
    return reloaded;
  }

  stop(graceMs = 0): Promise<boolean> {
    this.#stopping ??= this.#stop(graceMs);
    return this.#stopping;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #stop(graceMs: number): Promise<boolean> {
    const { listeners, closers, health, logger } = this.#parts;
    health.end();
    // Whoever watches the server asks the admin listeners, so they stay until the end.
    const caches = listeners.filter(({ key }) => key === 'listen.grpc' || key === 'listen.http');
    const inTime = await endsWithin(graceMs, Promise.all(caches.map((listener) => listener.drain())));
    if (!inTime) logger.warning('Requests still ran {GraceMs} ms after the shutdown began; they are ended', graceMs);
    await closers.close();
    return inTime;
  }
}
