import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import { createLogger } from '../../logging/create-logger.js';
import { startOtlpTracing } from '../otlp-tracing.js';

/** A field of a message of Protocol Buffers: one of bytes, or a number below 128. */
const field = (number: number, value: Buffer | number) =>
  typeof value === 'number'
    ? Buffer.from([number * 8, value])
    : Buffer.concat([Buffer.from([number * 8 + 2, value.length]), value]);

/** An ExportTraceServiceResponse that says so many spans were refused. */
const refusing = (rejected: number, reason: string) =>
  field(1, Buffer.concat([...(rejected > 0 ? [field(1, rejected)] : []), field(2, Buffer.from(reason))]));

/** What the log says when a collector takes exports of a span each with these answers. */
async function logOf(answers: readonly (Buffer | string)[]): Promise<{ endpoint: string; said: string[] }> {
  let answered = 0;
  const collector = createServer((request, response) => {
    request.resume().once('end', () => {
      response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end(answers[answered++]);
    });
  }).listen(0, '127.0.0.1');
  await once(collector, 'listening');
  const lines: string[] = [];
  const logger = createLogger({ destination: { write: (line) => lines.push(line) }, format: 'json' });
  const endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
  const { tracer, close } = await startOtlpTracing({ endpoint, protocol: 'http', exportIntervalMs: 5 }, logger);
  for (const [i] of answers.entries()) {
    tracer.startSpan('one').end();
    await expect.poll(() => answered, { timeout: 10_000 }).toBe(i + 1);
  }
  await close();
  collector.close();
  return { endpoint, said: lines.map((line) => JSON.parse(line).msg) };
}

it('spans that a collector refuses from an export are told of, once for each reason', async () => {
  const { endpoint, said } = await logOf([
    refusing(3, 'quota of http://ann:s3cret@quota used up, 3 too many'),
    refusing(5, 'quota of http://ann:s3cret@quota used up, 5 too many'),
    refusing(0, 'soon to be switched off'),
    Buffer.alloc(0),
  ]);
  expect(said).toEqual([
    `${endpoint} refuses spans, which are lost, 3 of those that it was just sent: quota of http://[redacted]@quota used up, 3 too many`,
    `${endpoint} takes spans, and says: soon to be switched off`,
  ]);
});

it('a page in the place of an answer is told of once, and JSON that says that all is well is not', async () => {
  const { endpoint, said } = await logOf([
    '{"partialSuccess":{}}',
    '<!doctype html><title>Sign in</title>',
    '<!doctype html><title>Sign in, please</title>',
  ]);
  expect(said).toEqual([
    `${endpoint} may be no collector, and spans may be lost: it takes them with an answer that is not of OTLP: <!doctype html><title>Sign in</title>`,
  ]);
});
