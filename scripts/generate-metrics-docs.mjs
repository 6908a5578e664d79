// Writes the tables of docs/metrics.md, from every family that the code defines. Needs what `npm run build` makes.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { configFrom, startServer } from '../packages/granary/dist/index.js';
import { registryHttpMetrics } from '../packages/http/dist/index.js';
import { registryNuGetMetrics } from '../packages/nuget/dist/index.js';
import { MetricRegistry, PrometheusCollector } from '../packages/telemetry/dist/index.js';
import { familiesByPart, withTables } from './metrics-reference.mjs';

const page = fileURLToPath(new URL('../docs/metrics.md', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'granary-'));
const parts = await familiesByPart({
  MetricRegistry,
  PrometheusCollector,
  registryHttpMetrics,
  registryNuGetMetrics,
  async startServer(metrics) {
    const listeners = ['listen.grpc', 'listen.http', 'listen.admin', 'telemetry.metrics_addr'];
    const config = configFrom({
      ...Object.fromEntries(listeners.map((key) => [key, '127.0.0.1:0'])),
      'storage.dir': folder,
      'storage.max_size': '64MiB',
      'storage.min_free': '0',
    });
    const server = await startServer(config, { metrics });
    return () => server.stop();
  },
}).finally(() => rmSync(folder, { recursive: true, force: true }));
writeFileSync(page, withTables(readFileSync(page, 'utf8'), parts));
