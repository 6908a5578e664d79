import { Agent, type AgentOptions } from 'node:https';
import type { Duplex } from 'node:stream';
import type { ConnectionOptions } from 'node:tls';
import type { SecureConnections } from '@granary/http';

type Connected = (error: Error | null, socket: Duplex) => void;

/** Node's agent, whose connections go by way of a proxy. */
export class ProxiedAgent extends Agent {
  readonly #connections: SecureConnections;

  constructor(options: AgentOptions, connections: SecureConnections) {
    super(options);
    this.#connections = connections;
  }

  override createConnection({ host = '', port, servername }: ConnectionOptions, connected?: Connected): undefined {
    this.#connections.connect({ hostname: host, port: Number(port ?? 443), servername: servername || undefined }).then(
      (socket) => connected?.(null, socket),
      (error: Error) => connected?.(error, undefined as never),
    );
  }

  override destroy(): void {
    super.destroy();
    this.#connections.destroy();
  }
}
