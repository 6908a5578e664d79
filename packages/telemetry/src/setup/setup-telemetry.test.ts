import { afterEach, describe, expect, it } from 'vitest';
import { OtlpCollector } from '../testing/otlp-collector.js';
import { noopTracer } from '../tracing/noop-tracer.js';
import { setupTelemetry } from './setup-telemetry.js';

const closing: AsyncDisposable[] = [];
afterEach(async () => {
  for (const each of closing.splice(0).reverse()) await each[Symbol.asyncDispose]();
});

async function collector(protocol: 'grpc' | 'http' = 'grpc') {
  const started = await OtlpCollector.start(protocol);
  closing.push(started);
  return started;
}

describe.each(['grpc', 'http'] as const)('OTLP by %s', (protocol) => {
  it('sends spans', async () => {
    const there = await collector(protocol);
    const telemetry = await setupTelemetry({ tracing: { endpoint: there.endpoint, protocol } });
    const span = telemetry.tracer.startSpan('work', { kind: 'server', attributes: { a: 1 } });
    span.end();
    await telemetry.shutdown();
    expect(there.only('work')).toMatchObject({ kind: 'server', attributes: { a: 1 } });
    expect(telemetry.tracer).not.toBe(noopTracer);
  });
});
