import * as api from '@opentelemetry/api';
import { resourceFromAttributes } from '@opentelemetry/resources';
import type { ReadableSpan } from '@opentelemetry/sdk-trace';
import { describe, expect, it } from 'vitest';
import { noActiveSpans } from '../active-spans.js';
import { ExportingTracer } from '../exporting-tracer.js';
import { w3cPropagation } from '../propagation/w3c-propagation.js';
import type { SpanContext } from '../tracer.js';
import { messageOf, spanOf } from './span-message.js';

const origin = {
  resource: resourceFromAttributes({ 'service.name': 'test' }),
  instrumentationScope: { name: 'test', version: '1' },
};

/** Every property that an exporter may read, by name. */
const READ = [
  'name',
  'kind',
  'parentSpanContext',
  'startTime',
  'endTime',
  'duration',
  'ended',
  'status',
  'attributes',
  'droppedAttributesCount',
  'events',
  'droppedEventsCount',
  'links',
  'droppedLinksCount',
  'resource',
  'instrumentationScope',
] as const satisfies (keyof ReadableSpan)[];

const asRead = (span: ReadableSpan) => {
  const { traceState, ...context } = span.spanContext();
  return {
    context,
    traceState: traceState?.serialize(),
    ...Object.fromEntries(READ.map((name) => [name, span[name]])),
  };
};

describe('a span that comes from another thread', () => {
  const remote: SpanContext = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), sampled: true };
  it.each([
    ['begins a trace', null],
    ['goes on with another process', remote],
    ['goes on with a state that OpenTelemetry would cut', { ...remote, traceState: `v=${'x'.repeat(600)}` }],
  ])('says what it said there: it %s', (_, parent) => {
    const ended: ReadableSpan[] = [];
    const onEnd = (span: ReadableSpan) => ended.push(span);
    const tracer = new ExportingTracer({
      sampler: undefined,
      propagation: w3cPropagation,
      activeSpans: noActiveSpans,
      sink: { api, ...origin, onEnd },
    });
    const request = tracer.startSpan('request', { kind: 'server', parent, attributes: { at: [1, 2], hit: true } });
    const read = tracer.startSpan('read', { parent: request });
    for (let i = 0; i < 130; i++) read.addEvent(`event ${i}`, { i, constructor: 'own' });
    for (let i = 0; i < 130; i++) read.setAttribute(`attribute ${i}`, i);
    read.recordError(new RangeError('too large'));
    read.end();
    request.setStatus('ok');
    request.end();
    expect(ended).toHaveLength(2);
    for (const span of ended) {
      const copy = spanOf(structuredClone(messageOf(span)), origin, api);
      expect(asRead(copy)).toEqual(asRead(span));
    }
  });
});
