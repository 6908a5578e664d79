import type { Server } from 'node:net';
import { monotonicClock } from '@granary/resilience';
import { nullLogger } from '@granary/telemetry';
import type { ListenerOptions } from './listener.js';

const SAID_EVERY_MS = 60_000;

/**
 * Refuses connections beyond the limit. The log says so, once a minute at most: clients only see that a connection is
 * closed, and nothing else would tell why.
 */
export function limitConnections(server: Server, options: ListenerOptions): void {
  const { key, maxConnections, logger = nullLogger, onConnectionRefused } = options;
  server.maxConnections = maxConnections;
  let saidAt = Number.NEGATIVE_INFINITY;
  server.on('drop', () => {
    onConnectionRefused?.();
    const now = monotonicClock();
    if (now - saidAt < SAID_EVERY_MS) return;
    saidAt = now;
    logger.warning(
      '{Listener} refuses connections: {MaxConnections} are open, and limits.max_connections allows no more',
      key,
      maxConnections,
    );
  });
}
