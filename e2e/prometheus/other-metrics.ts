import { once } from 'node:events';
import { createServer } from 'node:http';
import { PrometheusCollector } from '../../packages/telemetry/src/metrics/collectors/prometheus-collector.js';
import { MetricRegistry } from '../../packages/telemetry/src/metrics/registry.js';

/** Families that the dashboard shows and the server doesn't have by itself, and the labels that they come with. */
const FAMILIES: readonly (readonly [kind: 'counter' | 'gauge' | 'histogram', name: string, ...labels: string[]])[] = [
  // The HTTP client's: there once a server has an upstream.
  ['counter', 'http_requests_total', 'source', 'method', 'status_code'],
  ['histogram', 'http_request_duration_seconds', 'source', 'method'],
  ['counter', 'http_retries_total', 'source', 'reason'],
  ['gauge', 'circuit_breaker_state', 'host'],
  ['counter', 'circuit_breaker_failures_total', 'host'],
  ['gauge', 'rate_limiter_tokens', 'source'],
  ['counter', 'rate_limit_requests_total', 'source', 'allowed'],
  // Those of NuGet feeds.
  ['counter', 'cache_hits_total', 'cache_type'],
  ['counter', 'cache_misses_total', 'cache_type'],
  ['gauge', 'cache_size_bytes', 'tier'],
  ['counter', 'package_downloads_total', 'status'],
  ['histogram', 'package_download_duration_seconds'],
];

/** A program with a cache chain, and with all else that a server has only when it is told to, as Prometheus sees it. */
export interface OtherProgram {
  readonly port: number;
  /** Counts one more of everything. */
  work(): void;
  stop(): Promise<void>;
}

export async function startOtherProgram(): Promise<OtherProgram> {
  const registry = new MetricRegistry();
  const collector = new PrometheusCollector(registry);
  const count = FAMILIES.map(([kind, name, ...labels]) => {
    const help = 'Of another program.';
    // Values that the expressions look for, where they look for any.
    const values = labels.map((label) => (label === 'status_code' ? '503' : `some ${label}`));
    if (kind === 'counter')
      return () =>
        registry
          .counter(name, help, labels)
          .with(...values)
          .add();
    if (kind === 'gauge')
      return () =>
        registry
          .gauge(name, help, labels)
          .with(...values)
          .set(1);
    return () =>
      registry
        .histogram(name, help, labels)
        .with(...values)
        .observe(0.1);
  });
  const server = createServer(async (_, response) => {
    response.setHeader('Content-Type', registry.contentType);
    response.end(await registry.expose());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    port: address.port,
    work() {
      for (const one of count) one();
      collector.recordGet('memory', true, 0.01);
      collector.recordGet('memory', false, 0.01);
      collector.recordSet('memory', true, 0.01);
      collector.recordError('redis', 'get', 'TIMEOUT');
      collector.recordCircuitState('redis', 'open');
      collector.recordQueueDepth('redis', 3);
      collector.recordWriteDropped('redis');
      collector.recordAsyncWrite('redis', true, 1);
      collector.recordChainGet(true, 0, 0.01);
      collector.recordChainGet(false, -1, 0.01);
    },
    async stop() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
