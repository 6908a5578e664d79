import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FeedServer } from '@granary/nuget/testing';
import { type RunningServer, startServer } from '../server.js';

export interface ProxyOptions {
  /** What it reads through to. */
  readonly upstream: FeedServer;
  /** The key that upstream takes pushes with. */
  readonly apiKey?: string;
  /** Settings of the source beside. */
  readonly source?: Readonly<Record<string, unknown>>;
  /** Settings of `nuget` beside. */
  readonly nuget?: Readonly<Record<string, unknown>>;
  /** Tokens with their rights by name. */
  readonly tokens?: Readonly<Record<string, { readonly token: string; readonly right: 'read' | 'write' }>>;
  /** What those may do that show no token, where there are tokens. Default nothing. */
  readonly anonymous?: 'none' | 'read';
}

/** The built server with a feed, in a folder of its own. */
export class NuGetProxy {
  readonly #directory: string;
  readonly #flags: readonly string[];
  #server: RunningServer;

  private constructor(directory: string, flags: readonly string[], server: RunningServer) {
    this.#directory = directory;
    this.#flags = flags;
    this.#server = server;
  }

  static async start({
    upstream,
    apiKey,
    source,
    nuget,
    tokens,
    anonymous = 'none',
  }: ProxyOptions): Promise<NuGetProxy> {
    const directory = mkdtempSync(join(tmpdir(), 'granary-nuget-proxy-'));
    const write = (name: string, text: string) => {
      const path = join(directory, name);
      writeFileSync(path, text, { mode: 0o600 });
      return path;
    };
    const auth = apiKey === undefined ? {} : { auth: { api_key_file: write('api-key', apiKey) }, push: true };
    const config = { nuget: { sources: [{ name: 'up', url: upstream.v3Url, ...auth, ...source }], ...nuget } };
    const flags = ['--config', write('granary.yaml', JSON.stringify(config))];
    if (tokens !== undefined) {
      const lines = Object.entries(tokens).map(([name, { token, right }]) => `${name}:${token}:${right}\n`);
      flags.push('--auth.tokens_file', write('tokens', lines.join('')), '--auth.anonymous', anonymous);
    }
    try {
      return new NuGetProxy(directory, flags, await startServer(join(directory, 'store'), ...flags));
    } catch (error) {
      rmSync(directory, { recursive: true });
      throw error;
    }
  }

  /** Of all sources together: `http://127.0.0.1:12345/nuget`. */
  get url(): string {
    return `http://127.0.0.1:${this.#server.httpPort}/nuget`;
  }

  get v3(): string {
    return `${this.url}/v3/index.json`;
  }

  get v2(): string {
    return `${this.url}/v2`;
  }

  /** What the server has said lately. */
  said(): string {
    return this.#server.said();
  }

  /** Ends the server and starts another one on the same folder, at another address. */
  async restart(): Promise<void> {
    await this.#server.stop();
    this.#server = await startServer(join(this.#directory, 'store'), ...this.#flags);
  }

  /** Ends the server at once, as a crash does, and starts another one on the same folder. */
  async kill(): Promise<void> {
    await this.#server.kill();
    this.#server = await startServer(join(this.#directory, 'store'), ...this.#flags);
  }

  async stop(): Promise<void> {
    await this.#server.stop();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
