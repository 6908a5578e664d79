import * as api from '@opentelemetry/api';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  InMemorySpanExporter,
  SimpleSpanProcessor,
  type SpanProcessor,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { noActiveSpans, OwnActiveSpans } from './active-spans.js';
import { ExportingTracer } from './exporting-tracer.js';
import { HeadSampler } from './head-sampler.js';
import { noopSpan } from './noop-tracer.js';
import { openTelemetryTracer } from './open-telemetry-tracer.js';
import { b3Propagation } from './propagation/b3-propagation.js';
import type { TracePropagation } from './propagation/propagation.js';
import { w3cPropagation } from './propagation/w3c-propagation.js';
import { headersOf, REMOTE } from './testing/remote-caller.js';
import type { AttributeValue, Tracer } from './tracer.js';
import { withSpan } from './with-span.js';

interface TracerWanted {
  /** Takes the spans. */
  readonly processor: SpanProcessor;
  readonly ratio: number;
  readonly propagation: TracePropagation;
  readonly activeSpans: 'own' | 'none';
}

const resource = resourceFromAttributes({ 'service.name': 'test' });

const tracers: Readonly<Record<string, (wanted: TracerWanted) => Tracer>> = {
  'a tracer on an SDK': ({ processor, ratio, propagation, activeSpans }) =>
    openTelemetryTracer({
      api,
      tracer: new TracerProvider({ spanProcessors: [processor] }).getTracer('test'),
      sampler: new HeadSampler(ratio),
      propagation,
      activeSpans,
    }),
  'a tracer that makes its spans itself': ({ processor, ratio, propagation, activeSpans }) =>
    new ExportingTracer({
      sampler: new HeadSampler(ratio),
      propagation,
      activeSpans: activeSpans === 'own' ? new OwnActiveSpans() : noActiveSpans,
      sink: { api, resource, instrumentationScope: { name: 'test' }, onEnd: (span) => processor.onEnd(span) },
    }),
};

/** What every tracer does whose spans end at a processor of OpenTelemetry's SDK, and registers nothing global. */
describe.each(Object.entries(tracers))('%s', (_name, createTracer) => {
  let exporter: InMemorySpanExporter;
  let processor: SpanProcessor;

  beforeEach(() => {
    exporter = new InMemorySpanExporter();
    processor = new SimpleSpanProcessor({ exporter });
  });
  afterEach(() => processor.shutdown());

  const ownTracer = (ratio = 1, propagation = w3cPropagation, activeSpans: 'own' | 'none' = 'own'): Tracer =>
    createTracer({ processor, ratio, propagation, activeSpans });

  const only = () => {
    const spans = exporter.getFinishedSpans();
    expect(spans).toHaveLength(1);
    return spans[0]!;
  };

  describe('a span', () => {
    it('passes a tracestate on as it came, however long, whether it records or not', () => {
      const traceState = Array.from({ length: 30 }, (_, i) => `vendor${i}=${'v'.repeat(100)}`).join(', ');
      for (const sampled of [true, false]) {
        const span = ownTracer().startSpan('work', { parent: { ...REMOTE, sampled, traceState } });
        expect(span.recording).toBe(sampled);
        expect(headersOf(ownTracer().startSpan('call', { parent: span }))['tracestate']).toBe(traceState);
        span.end();
      }
      const exported = only().spanContext().traceState;
      expect(exported?.serialize()).toBe(traceState);
    });

    it.each([
      ['internal', api.SpanKind.INTERNAL],
      ['server', api.SpanKind.SERVER],
      ['client', api.SpanKind.CLIENT],
      ['producer', api.SpanKind.PRODUCER],
      ['consumer', api.SpanKind.CONSUMER],
    ] as const)('of kind %s is one for OpenTelemetry', (kind, expected) => {
      ownTracer().startSpan('work', { kind }).end();
      expect(only().kind).toBe(expected);
    });

    it('has its name, attributes, events and status', () => {
      const span = ownTracer().startSpan('work', { attributes: { a: 1, none: undefined } });
      expect(span.recording).toBe(true);
      span.setAttribute('b', ['x', 'y']);
      span.setAttributes({ c: true, none: undefined });
      span.addEvent('looked');
      span.addEvent('found', { where: 'disk', none: undefined });
      span.setStatus('ok');
      span.end();
      span.end();
      expect(span.recording).toBe(false);
      expect(only()).toMatchObject({ name: 'work', status: { code: api.SpanStatusCode.OK } });
      expect(only().kind).toBe(api.SpanKind.INTERNAL);
      expect(only().attributes).toEqual({ a: 1, b: ['x', 'y'], c: true });
      expect(only().events.map(({ name, attributes = {} }) => [name, attributes])).toEqual([
        ['looked', {}],
        ['found', { where: 'disk' }],
      ]);
    });

    it.each([true, false])('throws nothing, whatever it is told (recorded: %s)', (sampled) => {
      const tracer = ownTracer();
      const fail = (): never => {
        throw new Error('of the caller');
      };
      const hostile = Object.defineProperty({ last: 1 }, 'a', { get: fail, enumerable: true });
      const { proxy: gone, revoke } = Proxy.revocable([], {});
      revoke();
      const parent = { ...REMOTE, sampled };
      const span = tracer.startSpan('work', { parent, attributes: hostile });
      span.setAttribute('list', gone);
      span.setAttributes(hostile);
      span.setAttributes(gone as never);
      span.setAttributes(undefined as never);
      span.setAttributes(fail);
      span.addEvent('looked', hostile);
      span.addEvent('looked', gone as never);
      span.recordError(gone);
      span.setStatus('error', { toString: fail } as never);
      span.setStatus('error', new Error('no text') as never);
      span.inject(fail);
      span.setAttribute('last', 'word');
      span.end();
      if (!sampled) return;
      expect(only().attributes).toMatchObject({ last: 'word' });
    });

    it('of a request is there even if nobody can say what it is called', () => {
      const span = ownTracer().startServerSpan(
        () => undefined,
        () => {
          throw new Error('of the server');
        },
      );
      span.setAttribute('a', 1);
      span.end();
    });

    it('takes as long as it took, within its trace, by the time of day', () => {
      const before = Date.now();
      const tracer = ownTracer();
      const outer = tracer.startSpan('outer');
      const inner = tracer.startSpan('inner', { parent: outer });
      inner.addEvent('looked');
      inner.end();
      outer.end();
      const after = Date.now();
      const [ofInner, ofOuter] = exporter.getFinishedSpans().map((span) => ({
        start: inMs(span.startTime),
        end: inMs(span.endTime),
        ms: inMs(span.duration),
        events: span.events.map(({ time }) => inMs(time)),
      }));
      for (const span of [ofInner!, ofOuter!]) {
        expect(span.start).toBeGreaterThanOrEqual(before - 2);
        expect(span.end).toBeLessThanOrEqual(after + 2);
        expect(span.ms).toBeGreaterThanOrEqual(0);
        expect(span.end - span.start).toBeCloseTo(span.ms, 2);
      }
      expect(ofInner!.events[0]).toBeGreaterThanOrEqual(ofInner!.start);
      expect(ofInner!.events[0]).toBeLessThanOrEqual(ofInner!.end);
    });

    it('takes the last value of an attribute, and no more attributes and events than it may have', () => {
      const span = ownTracer().startSpan('work');
      for (let i = 0; i < 1000; i++) span.setAttribute('again', i);
      for (let i = 0; i < 200; i++) span.setAttribute(`name ${i}`, i);
      for (let i = 0; i < 200; i++) span.addEvent(`event ${i}`, { i });
      span.end();
      const { attributes, droppedAttributesCount, events, droppedEventsCount } = only();
      expect(attributes['again']).toBe(999);
      expect([Object.keys(attributes).length, droppedAttributesCount]).toEqual([128, 73]);
      expect([events.length, droppedEventsCount, events.at(-1)?.name]).toEqual([128, 72, 'event 199']);
    });

    it('keeps what it was told as it was then, and nothing that is told to it after its end', () => {
      const list = ['x'];
      const attributes: Record<string, AttributeValue> = { a: 1, list };
      const span = ownTracer().startSpan('work', { attributes });
      attributes['a'] = 2;
      list.push('y');
      span.end();
      span.setAttribute('late', 1);
      span.setAttributes({ late: 1 });
      span.addEvent('late');
      span.recordError(new Error('late'));
      span.setStatus('error', 'late');
      expect(only()).toMatchObject({ attributes: { a: 1, list: ['x'] }, events: [], ended: true });
      expect(only().attributes).not.toHaveProperty('late');
      expect(only().status).toEqual({ code: api.SpanStatusCode.UNSET });
    });

    it('asks a function for attributes, which come in the order in which they were told', () => {
      const span = ownTracer().startSpan('work', { attributes: () => ({ a: 1, b: 1, none: undefined }) });
      span.setAttributes({ a: 2, c: 1 });
      span.setAttributes(() => ({ c: 2, d: ['x'] }));
      span.setAttribute('d', 3);
      span.setAttributes(() => {
        throw new Error('gives nothing');
      });
      span.end();
      span.setAttributes(() => ({ late: 1 }));
      expect(only().attributes).toEqual({ a: 2, b: 1, c: 2, d: 3 });
    });

    it('has no more attributes than it may have of functions either', () => {
      const span = ownTracer().startSpan('work');
      for (let i = 0; i < 100; i++) span.setAttributes(() => ({ [`name ${i}`]: i, [`other ${i}`]: i }));
      span.end();
      expect([Object.keys(only().attributes).length, only().droppedAttributesCount]).toEqual([128, 72]);
    });

    it('went well when somebody said so, whatever is said afterwards', () => {
      const span = ownTracer().startSpan('work');
      span.setStatus('error', 'at first');
      span.setStatus('ok');
      span.setStatus('error', 'too late');
      span.end();
      expect(only().status).toEqual({ code: api.SpanStatusCode.OK });
    });

    it('begins a trace, or goes on with the one that it is part of', () => {
      const tracer = ownTracer();
      const first = tracer.startSpan('first');
      const child = tracer.startSpan('child', { parent: first });
      const remote = tracer.startSpan('remote', { parent: REMOTE });
      const root = tracer.startSpan('root', { parent: null });
      for (const span of [first, child, remote, root]) span.end();
      const [, ofChild, ofRemote, ofRoot] = exporter.getFinishedSpans();
      expect(child.traceId).toBe(first.traceId);
      expect(ofChild?.parentSpanContext).toMatchObject({ spanId: first.spanId });
      expect(ofChild?.parentSpanContext?.isRemote).not.toBe(true);
      expect(ofRemote?.parentSpanContext).toMatchObject({ spanId: REMOTE.spanId, isRemote: true });
      expect(ofRemote?.spanContext().traceState?.serialize()).toBe('vendor=1');
      expect([remote.traceId, remote.traceState]).toEqual([REMOTE.traceId, 'vendor=1']);
      expect(ofRoot?.parentSpanContext).toBeUndefined();
    });

    it('takes a parent that traces nothing for none', () => {
      const tracer = ownTracer();
      const active = tracer.startSpan('active');
      const span = tracer.runWith(active, () => tracer.startSpan('work', { parent: noopSpan }));
      expect(span.traceId).toBe(active.traceId);
      expect(tracer.startSpan('work', { parent: noopSpan }).recording).toBe(true);
    });

    it('is written into requests, with the state that came', () => {
      const span = ownTracer().startSpan('work', { parent: REMOTE });
      expect(headersOf(span)).toEqual({
        traceparent: `00-${REMOTE.traceId}-${span.spanId}-01`,
        tracestate: 'vendor=1',
      });
    });

    it('passes the debug flag of B3 on, through every child', () => {
      const tracer = ownTracer(0, b3Propagation);
      const headers: Record<string, string> = { b3: `${REMOTE.traceId}-${REMOTE.spanId}-d` };
      const span = tracer.startSpan('work', { parent: tracer.extract((name) => headers[name]) });
      const child = tracer.startSpan('child', { parent: span });
      expect(headersOf(child)).toEqual({ b3: `${REMOTE.traceId}-${child.spanId}-d` });
    });
  });

  describe("a server's span", () => {
    const headersFrom = (flags: string): Record<string, string> => ({
      traceparent: `00-${REMOTE.traceId}-${REMOTE.spanId}-${flags}`,
      tracestate: 'vendor=1',
    });
    const start = (tracer: Tracer, headers: Record<string, string>) => {
      let asked = 0;
      const span = tracer.startServerSpan(
        (name) => headers[name],
        () => {
          asked++;
          return { name: 'GET /', attributes: () => ({ a: 1 }) };
        },
      );
      return { span, asked: () => asked };
    };

    it('is in the trace of its caller, and described once', () => {
      const { span, asked } = start(ownTracer(0), headersFrom('01'));
      expect(span).toMatchObject({ traceId: REMOTE.traceId, traceState: 'vendor=1', recording: true });
      span.end();
      expect(asked()).toBe(1);
      expect(only()).toMatchObject({ name: 'GET /', kind: api.SpanKind.SERVER, attributes: { a: 1 } });
      expect(only().parentSpanContext).toMatchObject({ spanId: REMOTE.spanId, isRemote: true });
    });

    it('begins a trace where it has no caller, also within another span', () => {
      const tracer = ownTracer();
      const active = tracer.startSpan('active');
      const { span } = tracer.runWith(active, () => start(tracer, {}));
      span.end();
      expect(span.traceId).not.toBe(active.traceId);
      expect(only().parentSpanContext).toBeUndefined();
    });

    it.each([
      ['for a caller who is not sampled', 1, headersFrom('00'), REMOTE.traceId],
      ['where no trace begins here', 0, {}, /^[0-9a-f]{32}$/],
    ] as const)('is not described %s, but passed on', (_when, ratio, headers, traceId) => {
      const { span, asked } = start(ownTracer(ratio), headers);
      expect([span.recording, span.sampled, asked()]).toEqual([false, false, 0]);
      expect(span.traceId).toMatch(traceId);
      expect(headersOf(span)['traceparent']).toBe(`00-${span.traceId}-${span.spanId}-00`);
    });
  });

  describe('an error that a span records', () => {
    it('is an event and the status, by class, code and message', () => {
      const span = ownTracer().startSpan('work');
      span.recordError(Object.assign(new RangeError('too large'), { code: 'ERR_OUT_OF_RANGE' }));
      span.end();
      expect(only().events).toMatchObject([
        { name: 'exception', attributes: { 'exception.type': 'RangeError', 'exception.message': 'too large' } },
      ]);
      expect(only().attributes).toEqual({ 'error.type': 'ERR_OUT_OF_RANGE' });
      expect(only().status).toEqual({ code: api.SpanStatusCode.ERROR, message: 'too large' });
    });

    it('shows no secrets', () => {
      const span = ownTracer().startSpan('work');
      span.recordError(new Error('GET https://ann:s3cret@feed.example/?token=s3cret: Authorization: Bearer s3cret'));
      span.setStatus('error', 'http://ann:s3cret@feed.example');
      span.end();
      expect(JSON.stringify([only().events, only().status, only().attributes])).not.toContain('s3cret');
    });

    it.each([
      ['a string', 'just text', 'string', 'just text'],
      ['nothing', undefined, 'undefined', 'undefined'],
      ['an object without a prototype', Object.create(null), 'Error', 'an error that cannot be shown'],
      ['an error of a class', new (class FeedError extends Error {})('x'), 'FeedError', 'x'],
      ['an error whose code is prose', Object.assign(new Error('x'), { code: 'not a code' }), 'Error', 'x'],
      ['an error with a long message', new Error('x'.repeat(10_000)), 'Error', `${'x'.repeat(1024)}…`],
    ])('may be %s', (_what, error, type, message) => {
      const span = ownTracer().startSpan('work');
      span.recordError(error);
      span.end();
      expect(only().events[0]?.attributes).toEqual({ 'exception.type': type, 'exception.message': message });
      expect(only().attributes).toEqual({ 'error.type': type });
    });
  });

  describe('the sampler at the head', () => {
    it('keeps to itself what it turns down, but passes it on', () => {
      const tracer = ownTracer(0);
      const root = tracer.startSpan('root');
      const child = tracer.startSpan('child', { kind: 'client', parent: root });
      const remote = tracer.startSpan('remote', { parent: { ...REMOTE, sampled: false } });
      for (const span of [root, child, remote]) {
        expect([span.recording, span.sampled]).toEqual([false, false]);
        span.setAttribute('a', 1);
        span.setAttributes({ a: 1 });
        span.addEvent('x');
        span.recordError(new Error('x'));
        span.setStatus('error');
        span.end();
      }
      expect(exporter.getFinishedSpans()).toEqual([]);
      expect(root.traceId).toMatch(/^[0-9a-f]{32}$/);
      expect(root.spanId).toMatch(/^[0-9a-f]{16}$/);
      expect(child.traceId).toBe(root.traceId);
      expect(root.traceId).not.toBe(tracer.startSpan('another').traceId);
      expect(headersOf(child)).toEqual({ traceparent: `00-${root.traceId}-${child.spanId}-00` });
      expect(headersOf(remote)).toEqual({
        traceparent: `00-${REMOTE.traceId}-${remote.spanId}-00`,
        tracestate: 'vendor=1',
      });
      expect(remote.spanId).not.toBe(REMOTE.spanId);
    });

    it('decides where the caller left it to us, and follows a caller who only said no', () => {
      const headers: Record<string, string> = { b3: `${REMOTE.traceId}-${REMOTE.spanId}` };
      const read = (name: string) => headers[name];
      expect(ownTracer(1, b3Propagation).extract(read)).toMatchObject({ traceId: REMOTE.traceId, sampled: true });
      expect(ownTracer(0, b3Propagation).extract(read)).toMatchObject({ traceId: REMOTE.traceId, sampled: false });
      headers['b3'] = '0';
      const tracer = ownTracer(1, b3Propagation);
      expect(tracer.startSpan('work', { parent: tracer.extract(read) }).recording).toBe(false);
      delete headers['b3'];
      expect(tracer.extract(read)).toBeUndefined();
    });

    it.each([
      [{ b3: '1' }, '1'],
      [{ 'x-b3-sampled': '1' }, '1'],
      [{ b3: 'd' }, 'd'],
      [{ 'x-b3-flags': '1' }, 'd'],
    ])('follows a caller who only said yes, and begins the trace: %j', (headers: Record<string, string>, decision) => {
      const tracer = ownTracer(0, b3Propagation);
      const active = tracer.startSpan('active', { parent: REMOTE });
      const parent = tracer.extract((name) => headers[name]);
      const [span, other] = tracer.runWith(active, () => [
        tracer.startSpan('work', { parent }),
        tracer.startSpan('work', { parent }),
      ]);
      expect([span.recording, span.sampled]).toEqual([true, true]);
      expect(span.traceId).toMatch(/^(?!0{32})[0-9a-f]{32}$/);
      expect(new Set([span.traceId, other.traceId, active.traceId]).size).toBe(3);
      const child = tracer.startSpan('child', { parent: span });
      expect(headersOf(child)).toEqual({ b3: `${span.traceId}-${child.spanId}-${decision}` });
      for (const each of [child, span]) each.end();
      const [ofChild, ofSpan] = exporter.getFinishedSpans();
      expect(ofSpan?.parentSpanContext).toBeUndefined();
      expect(ofChild?.parentSpanContext).toMatchObject({ spanId: span.spanId });
    });
  });

  describe('a tracer that follows nothing', () => {
    it('gives a span the parent that it names, and no other', () => {
      const tracer = ownTracer(1, w3cPropagation, 'none');
      const outer = tracer.startSpan('outer');
      tracer.runWith(outer, () => {
        expect(tracer.activeSpan()).toBeUndefined();
        expect(tracer.startSpan('alone').traceId).not.toBe(outer.traceId);
        expect(tracer.startSpan('told', { parent: outer }).traceId).toBe(outer.traceId);
      });
    });
  });

  describe('the active span of a process of our own', () => {
    it('is the one that the work was started with, across everything that it awaits', async () => {
      const tracer = ownTracer();
      const [one, two] = [tracer.startSpan('one'), tracer.startSpan('two')];
      const work = async () => {
        await new Promise(setImmediate);
        return tracer.activeSpan();
      };
      expect(await Promise.all([tracer.runWith(one, work), tracer.runWith(two, work)])).toEqual([one, two]);
      expect(tracer.activeSpan()).toBeUndefined();
      expect(tracer.runWith(noopSpan, () => tracer.activeSpan())).toBeUndefined();
    });

    it('is a parent though it is not recorded, so that its work begins no traces', () => {
      const tracer = ownTracer(0.5);
      const dropped = tracer.startSpan('dropped', { parent: { ...REMOTE, sampled: false } });
      const traces = Array.from({ length: 50 }, () =>
        tracer.runWith(dropped, () => withSpan(tracer, 'inner', {}, (span) => span.traceId)),
      );
      expect(new Set(traces)).toEqual(new Set([REMOTE.traceId]));
      expect(exporter.getFinishedSpans()).toEqual([]);
    });

    it('registers nothing global', () => {
      const tracer = ownTracer();
      tracer.runWith(tracer.startSpan('work'), () => {
        expect(api.trace.getActiveSpan()).toBeUndefined();
      });
    });
  });
});

const inMs = ([seconds, nanoseconds]: api.HrTime): number => seconds * 1000 + nanoseconds / 1e6;
