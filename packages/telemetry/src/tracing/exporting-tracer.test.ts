import * as api from '@opentelemetry/api';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { InMemorySpanExporter } from '@opentelemetry/sdk-trace';
import { describe, expect, it } from 'vitest';
import { noActiveSpans } from './active-spans.js';
import { ExportingTracer } from './exporting-tracer.js';
import { w3cPropagation } from './propagation/w3c-propagation.js';

const resource = resourceFromAttributes({ 'service.name': 'test' });

describe('a span as an exporter reads it', () => {
  const exporter = new InMemorySpanExporter();
  const scope = { name: 'test' };
  const tracer = new ExportingTracer({
    sampler: undefined,
    propagation: w3cPropagation,
    activeSpans: noActiveSpans,
    sink: { api, resource, instrumentationScope: scope, onEnd: (span) => exporter.export([span], () => {}) },
  });

  it('says where it comes from', () => {
    tracer.startSpan('work').end();
    expect(exporter.getFinishedSpans().at(-1)).toMatchObject({
      resource,
      instrumentationScope: scope,
      links: [],
      droppedLinksCount: 0,
    });
  });

  it('has only values that OpenTelemetry has, cut where they are long', () => {
    const values = { object: { a: 1 }, mixed: ['a', 1], symbol: Symbol('x'), '': 1, gone: null };
    const span = tracer.startSpan('work', { attributes: values as never });
    span.setAttributes({ long: 'x'.repeat(5000), many: ['y'.repeat(5000), 'z'], numbers: [1, 2], constructor: 'own' });
    span.end();
    expect(exporter.getFinishedSpans().at(-1)?.attributes).toEqual(
      Object.assign(Object.create(null), {
        long: 'x'.repeat(4096),
        many: ['y'.repeat(4096), 'z'],
        numbers: [1, 2],
        constructor: 'own',
      }),
    );
  });
});
