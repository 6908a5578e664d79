import type { SpanExporter } from '@opentelemetry/sdk-trace';
import { describe, expect, it } from 'vitest';
import { type Logger, nullLogger } from '../../logger.js';
import type { ExportPolicy } from './export-policy.js';
import { ReportingExporter } from './reporting-exporter.js';

type Export = SpanExporter['export'];

const SPANS = [{}, {}] as never[];

/** An exporter that does this with each export, and what it logged. */
function reporting(outcomes: Export[], policy?: ExportPolicy) {
  const said: unknown[][] = [];
  const tell = (...record: unknown[]) => {
    said.push(record);
    throw new Error('broken logger');
  };
  const logger: Logger = { ...nullLogger, warning: tell, information: tell };
  let exports = 0;
  const inner: SpanExporter = {
    export: (spans, done) => outcomes[exports++]?.(spans, done),
    shutdown: async () => {},
  };
  const exporter = new ReportingExporter(inner, 'http://collector:4317', logger, policy);
  const exported = () => new Promise<number>((resolve) => exporter.export(SPANS, ({ code }) => resolve(code)));
  return { exporter, exported, said, exports: () => exports };
}

const succeeds: Export = (_spans, done) => done({ code: 0 });
const fails: Export = (_spans, done) => done({ code: 1, error: new Error('connect to http://ann:s3cret@proxy') });
const failsWithoutReason: Export = (_spans, done) => done({ code: 1 });
const throws: Export = () => {
  throw new Error('broken exporter');
};

describe('an exporter that reports to a logger, even one that throws', () => {
  it('says once that it fails, and once that it no longer does, without secrets', async () => {
    const { exported, said } = reporting([succeeds, fails, fails, throws, succeeds, succeeds, failsWithoutReason]);
    const codes: number[] = [];
    for (let i = 0; i < 7; i++) codes.push(await exported());
    expect(codes).toEqual([0, 0, 0, 0, 0, 0, 0]);
    expect(said.map(([template]) => template)).toEqual([
      expect.stringMatching(/^Spans can not be exported/),
      expect.stringMatching(/^Spans are exported .* again/),
      expect.stringMatching(/^Spans can not be exported/),
    ]);
    expect(said[1]?.at(-1)).toBe(6);
    expect(said[2]?.at(-1)).toBe('no reason was given');
    expect(JSON.stringify(said)).not.toContain('s3cret');
  });

  it('says once for each reason that the collector takes exports in part, without secrets', () => {
    const { exporter, said } = reporting([]);
    const reasons = ['quota: 3 over', 'quota: 5 over', '', 'http://ann:s3cret@quota'];
    for (const reason of reasons) exporter.noted({ rejected: 2, reason });
    expect(said.map((record) => record.at(-1))).toEqual([
      'quota: 3 over',
      'no reason was given',
      'http://[redacted]@quota',
    ]);
  });

  it('exports nothing that its policy refuses, and says that it is lost', async () => {
    let open = false;
    const { exported, said, exports } = reporting([fails, succeeds], async (send) => {
      if (open) throw new Error('the circuit is open');
      await send();
    });
    await exported();
    open = true;
    await exported();
    await exported();
    expect(exports()).toBe(1);
    open = false;
    await exported();
    expect(exports()).toBe(2);
    expect(said.map((record) => record.at(-1))).toEqual([expect.stringContaining('connect to'), 6]);
  });

  it('flushes and closes what it stands in front of', async () => {
    const asked: string[] = [];
    const inner: SpanExporter = {
      export: () => {},
      forceFlush: async () => void asked.push('flush'),
      shutdown: async () => void asked.push('shutdown'),
    };
    const exporter = new ReportingExporter(inner, 'http://collector:4317', nullLogger);
    await exporter.forceFlush();
    await exporter.shutdown();
    expect(asked).toEqual(['flush', 'shutdown']);
  });

  it('has nothing to flush where that has nothing', async () => {
    const { exporter } = reporting([]);
    await expect(exporter.forceFlush()).resolves.toBeUndefined();
  });
});
