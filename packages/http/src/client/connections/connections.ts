import type { ConnectionOptions } from 'node:tls';
import type { Dispatch } from '../../dispatch.js';
import { type ConnectionOwner, type ConnectionSettings, createAgent } from './agent.js';

/** The connections of a client, which can be replaced while calls run. */
export class Connections {
  readonly #settings: ConnectionSettings;
  #agent: ConnectionOwner;
  #dispatch: Dispatch;
  /** Those of before, as long as something runs on them. */
  readonly #retired = new Set<ConnectionOwner>();

  constructor(settings: ConnectionSettings) {
    this.#settings = settings;
    const { agent, dispatch } = createAgent(settings);
    this.#agent = agent;
    this.#dispatch = dispatch;
  }

  readonly dispatch: Dispatch = (request, handler) => this.#dispatch(request, handler);

  /** Uses these from now on; what runs ends on the connections that it has. */
  useTls(tls: ConnectionOptions): void {
    const before = this.#agent;
    const { agent, dispatch } = createAgent({ ...this.#settings, tls });
    this.#agent = agent;
    this.#dispatch = dispatch;
    this.#retired.add(before);
    const forget = () => void this.#retired.delete(before);
    before.close().then(forget, forget);
  }

  /** Ends all of them at once. */
  async destroy(): Promise<void> {
    await Promise.all([this.#agent, ...this.#retired].map((agent) => agent.destroy()));
  }
}
