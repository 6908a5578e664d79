import { once } from 'node:events';
import { MessageChannel } from 'node:worker_threads';
import type { SpanExporter } from '@opentelemetry/sdk-trace';
import { expect, it } from 'vitest';
import { serveExports, type ThreadAnswer, type ThreadRequest } from './serve-exports.js';

it('answers each request once, whatever the exporter does', async () => {
  const exported: unknown[] = [];
  const outcomes: SpanExporter['export'][] = [
    (spans, done) => {
      exported.push(...spans);
      done({ code: 0 });
    },
    (_spans, done) => done({ code: 1, error: new Error('refused') }),
    (_spans, done) => done({ code: 1 }),
    () => {
      throw new Error('broken exporter');
    },
  ];
  const exporter: SpanExporter = {
    export: (spans, done) => outcomes.shift()?.(spans, done),
    shutdown: () => Promise.reject(new Error('not now')),
  };
  const { port1: here, port2: there } = new MessageChannel();
  const answers: ThreadAnswer[] = [];
  here.on('message', (answer: ThreadAnswer) => answers.push(answer));
  serveExports(there, exporter, ({ name }) => ({ named: name }) as never);
  const requests: ThreadRequest[] = [1, 2, 3, 4].map((id) => ({ id, spans: [{ name: `span ${id}` } as never] }));
  for (const request of [...requests, { id: 5, spans: 'end' } as const]) here.postMessage(request);
  while (answers.length < 6) await once(here, 'message');
  here.close();
  expect(answers).toEqual([
    { id: 0 },
    { id: 1 },
    { id: 2, error: 'refused' },
    { id: 3, error: '' },
    { id: 4, error: 'broken exporter' },
    { id: 5, error: 'not now' },
  ]);
  expect(exported).toEqual([{ named: 'span 1' }]);
});
