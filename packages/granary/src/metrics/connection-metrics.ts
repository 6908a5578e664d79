import type { Socket } from 'node:net';
import type { Counter, Gauge, MetricRegistry } from '@granary/telemetry';

/** Told of each connection that a listener serves, when it is there; one with TLS has shaken hands by then. */
export type ConnectionListener = (socket: Socket) => void;

/** Counts connections that are open and those that ever were. */
class ConnectionMetrics {
  readonly #open: Gauge;
  readonly #total: Counter;

  constructor(open: Gauge, total: Counter) {
    this.#open = open;
    this.#total = total;
  }

  readonly opened: ConnectionListener = (socket) => {
    this.#total.add();
    if (socket.closed) return;
    this.#open.add();
    socket.once('close', () => this.#open.add(-1));
  };
}

/** Counts connections of the gRPC listener, and shows the calls that run on them. */
export function grpcConnections(registry: MetricRegistry, runningCalls: () => number): ConnectionListener {
  registry.gauge('grpc_streams', 'gRPC calls under way, open streams included.', [], { read: runningCalls });
  return new ConnectionMetrics(
    registry.gauge('grpc_connections', 'Open connections of the gRPC listener.').with(),
    registry.counter('grpc_connections_opened_total', 'Connections that the gRPC listener has taken.').with(),
  ).opened;
}

/** @param listener which of the listeners for HTTP: there are few */
export function httpConnections(registry: MetricRegistry, listener: 'http' | 'admin' | 'metrics'): ConnectionListener {
  const open = registry.gauge('http_server_connections', 'Open connections by listener.', ['listener']);
  const total = registry.counter('http_server_connections_opened_total', 'Connections taken by listener.', [
    'listener',
  ]);
  return new ConnectionMetrics(open.with(listener), total.with(listener)).opened;
}
