import { AsyncLocalStorage } from 'node:async_hooks';
import * as api from '@opentelemetry/api';
import {
  InMemorySpanExporter,
  type Sampler,
  SamplingDecision,
  SimpleSpanProcessor,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { b3Propagation } from './b3-propagation.js';
import { HeadSampler } from './head-sampler.js';
import { noopSpan } from './noop-tracer.js';
import { openTelemetryTracer } from './open-telemetry-tracer.js';
import type { SpanContext, Tracer } from './tracer.js';
import { w3cPropagation } from './w3c-propagation.js';
import { withSpan } from './with-span.js';

const REMOTE: SpanContext = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), sampled: true, traceState: 'vendor=1' };

let exporter: InMemorySpanExporter;
let provider: TracerProvider;

beforeEach(() => {
  exporter = new InMemorySpanExporter();
  provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] });
});
afterEach(() => provider.shutdown());

/** As the server has it: nothing global. */
function ownTracer(ratio = 1, propagation = w3cPropagation): Tracer {
  const sampler = new HeadSampler(ratio);
  return openTelemetryTracer({
    api,
    tracer: provider.getTracer('test'),
    sampler,
    propagation,
    activeSpans: 'own',
  });
}

function only() {
  const spans = exporter.getFinishedSpans();
  expect(spans).toHaveLength(1);
  return spans[0]!;
}

function headersOf(span: { inject: (write: (name: string, value: string) => void) => void }) {
  const headers: Record<string, string> = {};
  span.inject((name, value) => {
    headers[name] = value;
  });
  return headers;
}

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

  it("lets an application's sampler read and change the tracestate", async () => {
    const changing: Sampler = {
      shouldSample: (context) => {
        const received = api.trace.getSpanContext(context)?.traceState;
        const seen = received?.get('vendor') ?? '';
        const traceState = received?.unset('vendor').set('seen', seen) as api.TraceState;
        return { decision: SamplingDecision.RECORD_AND_SAMPLED, traceState };
      },
      toString: () => 'changing',
    };
    const sampling = new TracerProvider({ sampler: changing });
    const tracer = openTelemetryTracer({ api, tracer: sampling.getTracer('test'), activeSpans: 'none' });
    expect(tracer.startSpan('work', { parent: REMOTE }).traceState).toBe('seen=1');
    await sampling.shutdown();
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
  it('records the share that was asked for, and draws nothing where the caller decided', () => {
    const drawn = [0, 0.24, 0.25, 0.99];
    const sampler = new HeadSampler(0.25, () => drawn.shift() ?? expect.fail('drew too often'));
    expect(Array.from({ length: 4 }, () => sampler.decide(undefined))).toEqual([true, true, false, false]);
    expect([sampler.decide(REMOTE), sampler.decide({ sampled: false })]).toEqual([true, false]);
  });

  it.each([-0.1, 1.1, Number.NaN])('refuses the ratio %s', (ratio) => {
    expect(() => new HeadSampler(ratio)).toThrow(/0 to 1/);
  });

  it('keeps a trace that it turns down away from the SDK, but passes it on', () => {
    const asked = () => expect.fail('the SDK was asked');
    const tracer = openTelemetryTracer({
      api,
      tracer: { startSpan: asked, startActiveSpan: asked },
      sampler: new HeadSampler(0),
      propagation: w3cPropagation,
      activeSpans: 'own',
    });
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
    const tracer = openTelemetryTracer({ api, tracer: provider.getTracer('test'), activeSpans: 'none' });
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

describe('an application that runs OpenTelemetry', () => {
  beforeEach(() => {
    api.context.setGlobalContextManager(new TestContextManager());
    api.trace.setGlobalTracerProvider(provider);
  });
  afterEach(() => {
    api.context.disable();
    api.trace.disable();
    api.propagation.disable();
  });

  it('sees our spans as children of its own, and its own as children of ours', () => {
    const tracer = openTelemetryTracer({ api });
    const theirs = api.trace.getTracer('app');
    theirs.startActiveSpan('theirs', (outer) => {
      expect(tracer.activeSpan()).toMatchObject({ spanId: outer.spanContext().spanId, sampled: true });
      withSpan(tracer, 'ours', {}, () => theirs.startSpan('inner').end());
      outer.end();
    });
    const spans = exporter.getFinishedSpans();
    expect(spans.map(({ name }) => name)).toEqual(['inner', 'ours', 'theirs']);
    expect(spans.map(({ instrumentationScope }) => instrumentationScope.name)).toEqual(['app', 'granary', 'app']);
    expect(spans[0]?.parentSpanContext?.spanId).toBe(spans[1]?.spanContext().spanId);
    expect(spans[1]?.parentSpanContext?.spanId).toBe(spans[2]?.spanContext().spanId);
    expect(tracer.activeSpan()).toBeUndefined();
  });

  it('begins a trace where it is told to, whatever is active', () => {
    const tracer = openTelemetryTracer({ api });
    api.trace.getTracer('app').startActiveSpan('theirs', (outer) => {
      tracer.startSpan('apart', { parent: null }).end();
      outer.end();
    });
    expect(exporter.getFinishedSpans()[0]?.parentSpanContext).toBeUndefined();
  });

  it('uses its propagators, with all that they carry, and W3C where it has none', () => {
    const tracer = openTelemetryTracer({ api });
    expect(Object.keys(headersOf(tracer.startSpan('work')))).toEqual(['traceparent']);
    const w3c = { traceparent: `00-${REMOTE.traceId}-${REMOTE.spanId}-01` } as Record<string, string>;
    expect(tracer.extract((name) => w3c[name])).toMatchObject({ traceId: REMOTE.traceId });

    const BAGGAGE = api.createContextKey('what a propagator carries');
    api.propagation.setGlobalPropagator({
      fields: () => ['X-Trace'],
      inject: (context, carrier, setter) =>
        setter.set(carrier, 'X-Trace', `${api.trace.getSpanContext(context)?.spanId} ${context.getValue(BAGGAGE)}`),
      extract: (context, carrier, getter) => {
        const [traceId = '', spanId = ''] = String(getter.get(carrier, 'X-Trace')).split(' ');
        const found = api.trace.setSpanContext(context, { traceId, spanId, traceFlags: 1, isRemote: true });
        return found.setValue(BAGGAGE, 'kept');
      },
    });
    const parent = tracer.extract(() => `${REMOTE.traceId} ${REMOTE.spanId}`);
    expect(parent).toMatchObject({ traceId: REMOTE.traceId, spanId: REMOTE.spanId, sampled: true });
    const span = tracer.startSpan('work', { parent });
    expect(span.traceId).toBe(REMOTE.traceId);
    expect(headersOf(span)).toEqual({ 'x-trace': `${span.spanId} kept` });
    expect(tracer.extract(() => 'broken')).toBeUndefined();
  });

  it('may have the sampler in front of its SDK, which its own spans then follow', () => {
    const tracer = openTelemetryTracer({ api, sampler: new HeadSampler(0) });
    withSpan(tracer, 'dropped', {}, () => api.trace.getTracer('app').startSpan('theirs').end());
    expect(exporter.getFinishedSpans()).toEqual([]);
  });
});

describe('an SDK that throws', () => {
  it('breaks nothing', () => {
    const broken = () => {
      throw new Error('broken SDK');
    };
    const context = { traceId: REMOTE.traceId, spanId: REMOTE.spanId, traceFlags: 1 };
    const span = { ...Object.fromEntries(METHODS.map((name) => [name, broken])), spanContext: () => context };
    const tracing = (startSpan: () => unknown) =>
      openTelemetryTracer({ api, tracer: { startSpan, startActiveSpan: broken } as never, activeSpans: 'own' });
    expect(tracing(broken).startSpan('work')).toBe(noopSpan);
    const ours = tracing(() => span).startSpan('work');
    expect(ours.recording).toBe(false);
    ours.setAttribute('a', 1);
    ours.setAttributes({ a: 1 });
    ours.addEvent('x');
    ours.recordError(new Error('x'));
    ours.setStatus('error', 'x');
    ours.end();
    expect(tracing(broken).extract(broken)).toBeUndefined();
  });
});

const METHODS = ['isRecording', 'setAttribute', 'setAttributes', 'addEvent', 'setStatus', 'end'];

/** What an application's SDK registers. */
class TestContextManager implements api.ContextManager {
  readonly #storage = new AsyncLocalStorage<api.Context>();

  active(): api.Context {
    return this.#storage.getStore() ?? api.ROOT_CONTEXT;
  }

  with<A extends unknown[], F extends (...args: A) => ReturnType<F>>(
    context: api.Context,
    work: F,
    self?: ThisParameterType<F>,
    ...args: A
  ): ReturnType<F> {
    return this.#storage.run(context, () => work.call(self as never, ...args));
  }

  bind<T>(_context: api.Context, target: T): T {
    return target;
  }

  enable(): this {
    return this;
  }

  disable(): this {
    this.#storage.disable();
    return this;
  }
}
