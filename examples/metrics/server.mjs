// A cache chain with /metrics: node examples/metrics/server.mjs, then curl 127.0.0.1:9464/users/7 and 127.0.0.1:9464/metrics
import { createServer } from 'node:http';
import { createChain, MemoryLayer } from '@granary/cache';
import { MetricRegistry, PrometheusCollector } from '@granary/telemetry';

export const registry = new MetricRegistry({ namespace: 'shop' });
registry.addProcessMetrics();
export const chain = createChain({
  layers: [new MemoryLayer({ name: 'L1', maxEntries: 100 }), new MemoryLayer({ name: 'L2', maxEntries: 10_000 })],
  ttlMs: 60_000,
  metrics: new PrometheusCollector(registry),
});
export const server = createServer(async (request, response) => {
  if (request.url === '/metrics') {
    const { contentType, body } = await registry.scrape(request.headers.accept);
    response.setHeader('content-type', contentType).end(body);
  } else {
    response.end(
      await chain.getOrLoad(request.url, async ({ key }) => `loaded ${key} at ${new Date().toISOString()}\n`),
    );
  }
}).listen(Number(process.env.PORT ?? 9464), '127.0.0.1');
