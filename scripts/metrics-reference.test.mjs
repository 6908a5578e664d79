import { readFileSync } from 'node:fs';
import { registryHttpMetrics } from '@granary/http';
import { registryNuGetMetrics } from '@granary/nuget';
import { MetricRegistry, PrometheusCollector } from '@granary/telemetry';
import { describe, expect, it } from 'vitest';
import { startTestServer } from '../packages/granary/src/testing/test-server.js';
import { familiesByPart, withTables } from './metrics-reference.mjs';

const parts = familiesByPart({
  MetricRegistry,
  PrometheusCollector,
  registryHttpMetrics,
  registryNuGetMetrics,
  async startServer(metrics) {
    const running = await startTestServer({ 'telemetry.metrics_addr': '127.0.0.1:0' }, { metrics });
    return () => running[Symbol.asyncDispose]();
  },
});

describe('docs/metrics.md', () => {
  const page = readFileSync(new URL('../docs/metrics.md', import.meta.url), 'utf8');

  // What the system tells of a process is more on Linux than elsewhere.
  it.runIf(process.platform === 'linux')(
    'has every family of the server, of chains, of the clients and of the process, as the code has it',
    async () => {
      // When this fails: node scripts/generate-metrics-docs.mjs
      expect(page).toBe(withTables(page, await parts));
    },
  );

  it('is short enough to be read', () => {
    const written = page.replace(/<!-- Generated[\s\S]*to here\. -->/, '').split('\n');
    expect(written.length).toBeLessThanOrEqual(90);
  });
});

describe('every family', () => {
  it('says what it is in a sentence, and has labels that are few by nature', async () => {
    for (const [part, families] of await parts) {
      if (part === 'Node and the process') continue;
      for (const { name, help, labelNames } of families) {
        expect(help, name).toMatch(/^[A-Za-z].*\.$/);
        for (const label of labelNames)
          expect(['key', 'digest', 'package_id', 'url', 'path', 'user']).not.toContain(label);
      }
    }
  });
});
