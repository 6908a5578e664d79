import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Logger } from '@granary/telemetry';
import type { NuGetService } from './nuget-service.js';
import type { FeedStats } from './nuget-stats.js';
import type { SourceFiles } from './source-files.js';

/** The feeds, which are opened when somebody asks for one: other servers pay nothing for them. */
export class LazyNuGet {
  readonly #open: () => Promise<NuGetService>;
  readonly #logger: Logger;
  #service: NuGetService | undefined;
  #opening: Promise<NuGetService> | undefined;
  #closing: Promise<void> | undefined;

  /** @param open loads and opens them; called again when that failed */
  constructor(open: () => Promise<NuGetService>, logger: Logger) {
    this.#open = open;
    this.#logger = logger;
  }

  /** Undefined before somebody asked for one of them. */
  stats(): FeedStats | undefined {
    return this.#service?.stats();
  }

  /**
   * Sources are asked with these from now on. Feeds that nobody has asked for yet read the files themselves.
   *
   * @param files of each source, in the order of the configuration
   */
  async useFiles(files: readonly SourceFiles[]): Promise<void> {
    const service = await this.#opening?.catch(() => undefined);
    service?.useFiles(files);
  }

  handle(request: IncomingMessage, response: ServerResponse): void {
    if (this.#service !== undefined) this.#service.handle(request, response);
    else void this.#handleFirst(request, response);
  }

  /** May be called twice. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #handleFirst(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const service = await this.#opened();
      if (!response.destroyed) service.handle(request, response);
    } catch (error) {
      this.#logger.error('The NuGet feeds can not be opened', error);
      request.resume();
      response.writeHead(503, { 'Content-Type': 'text/plain', 'Retry-After': '5', 'Cache-Control': 'no-store' });
      response.end('the feeds can not be opened; the log of the server says why\n');
    }
  }

  #opened(): Promise<NuGetService> {
    if (this.#closing !== undefined) return Promise.reject(new Error('the server is shutting down'));
    this.#opening ??= this.#open().then(
      (service) => {
        this.#service = service;
        return service;
      },
      (error: unknown) => {
        this.#opening = undefined;
        throw error;
      },
    );
    return this.#opening;
  }

  async #close(): Promise<void> {
    const service = await this.#opening?.catch(() => undefined);
    await service?.close();
  }
}
