import type { Socket } from 'node:net';
import type { Counter, Gauge, MetricRegistry } from '@granary/telemetry';

/** Told of each connection that a listener serves, when it is there; one with TLS has shaken hands by then. */
export type ConnectionListener = (socket: Socket) => void;

/** Counts connections that are open, those that ever were, and those for which there was no room. */
export class ConnectionMetrics {
  readonly #open: Gauge;
  readonly #total: Counter;
  readonly #refused: Counter;

  constructor(open: Gauge, total: Counter, refused: Counter) {
    this.#open = open;
    this.#total = total;
    this.#refused = refused;
  }

  readonly onConnectionRefused = (): void => this.#refused.add();

  readonly onConnection: ConnectionListener = (socket) => {
    this.#total.add();
    if (socket.closed) return;
    this.#open.add();
    socket.once('close', () => this.#open.add(-1));
  };
}

/** Counts connections of the gRPC listener, and shows the calls that run on them. */
export function grpcConnections(registry: MetricRegistry, runningCalls: () => number): ConnectionMetrics {
  registry.gauge('grpc_streams', 'gRPC calls under way, open streams included.', [], { read: runningCalls });
  return new ConnectionMetrics(
    registry.gauge('grpc_connections', 'Open connections of the gRPC listener.').with(),
    registry.counter('grpc_connections_opened_total', 'Connections that the gRPC listener has taken.').with(),
    registry.counter('grpc_connections_refused_total', 'Connections beyond limits.max_connections.').with(),
  );
}

/** @param listener which of the listeners for HTTP: there are few */
export function httpConnections(registry: MetricRegistry, listener: 'http' | 'admin' | 'metrics'): ConnectionMetrics {
  const open = registry.gauge('http_server_connections', 'Open connections by listener.', ['listener']);
  const total = registry.counter('http_server_connections_opened_total', 'Connections taken by listener.', [
    'listener',
  ]);
  const refused = registry.counter(
    'http_server_connections_refused_total',
    'Connections beyond limits.max_connections by listener.',
    ['listener'],
  );
  return new ConnectionMetrics(open.with(listener), total.with(listener), refused.with(listener));
}
