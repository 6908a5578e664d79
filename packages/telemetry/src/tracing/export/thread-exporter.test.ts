import { resourceFromAttributes } from '@opentelemetry/resources';
import { afterEach, describe, expect, it } from 'vitest';
import { OtlpCollector } from '../../testing/otlp-collector.js';
import { ExportThread } from './export-thread.js';
import { exported } from './exported.js';
import type { OtlpTarget } from './otlp-exporter.js';
import { spanOf } from './span-message.js';
import { ThreadExporter } from './thread-exporter.js';

const origin = { resource: resourceFromAttributes({ 'service.name': 'test' }), instrumentationScope: { name: 'test' } };

const opened: { shutdown(): Promise<void> }[] = [];
const collectors: OtlpCollector[] = [];
afterEach(async () => {
  for (const each of opened.splice(0)) await each.shutdown();
  for (const each of collectors.splice(0)) await each[Symbol.asyncDispose]();
});

async function exporterTo(target: Partial<OtlpTarget> = {}) {
  const collector = await OtlpCollector.start();
  collectors.push(collector);
  const url = `http://${collector.endpoint}`;
  const threads: ExportThread[] = [];
  const setup = { target: { protocol: 'grpc', url, timeoutMs: undefined, ...target } as const, ...origin };
  const exporter = await ThreadExporter.start(setup, (given) => {
    const thread = new ExportThread(given);
    threads.push(thread);
    return thread;
  });
  opened.push(exporter);
  return { exporter, collector, threads };
}

function span(name: string) {
  const place = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), traceFlags: 1 };
  return spanOf(
    {
      name,
      kind: 0,
      place,
      traceState: undefined,
      parent: undefined,
      startTime: [1, 0],
      endTime: [2, 0],
      duration: [1, 0],
      status: { code: 0 },
      attributes: {},
      droppedAttributesCount: 0,
      events: [],
      droppedEventsCount: 0,
    },
    origin,
    {} as never,
  );
}

describe('an exporter in a thread', () => {
  it('can not be started with what no exporter takes', async () => {
    await expect(exporterTo({ protocol: 'http', url: 'nonsense' })).rejects.toThrow(/URL/i);
  });

  it('starts another thread after one has died of an export, which is lost', async () => {
    const { exporter, collector, threads } = await exporterTo();
    await exported(exporter, [span('before')]);
    collector.behaviour = 'hang';
    const lost = exported(exporter, [span('lost')]);
    await collector.nextRequest();
    await threads[0]!.terminate();
    await expect(lost).rejects.toThrow('has ended');
    collector.behaviour = 'accept';
    await exported(exporter, [span('after')]);
    expect(threads).toHaveLength(2);
    expect(collector.spans.map(({ name }) => name)).toEqual(['before', 'after']);
  });

  it('exports nothing when it was shut down, which can be done again', async () => {
    const { exporter, collector } = await exporterTo();
    await exporter.shutdown();
    await exporter.shutdown();
    await expect(exported(exporter, [span('late')])).rejects.toThrow('was shut down');
    expect(collector.spans).toEqual([]);
  });

  it('says that what is on its way is lost when it is abandoned', async () => {
    const { exporter, collector } = await exporterTo();
    collector.behaviour = 'hang';
    const lost = exported(exporter, [span('lost')]);
    await collector.nextRequest();
    await exporter.abandon();
    await expect(lost).rejects.toThrow('has ended');
  });
});
