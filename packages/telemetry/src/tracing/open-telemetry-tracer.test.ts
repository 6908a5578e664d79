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
import { HeadSampler } from './head-sampler.js';
import { noopSpan } from './noop-tracer.js';
import { openTelemetryTracer } from './open-telemetry-tracer.js';
import { w3cPropagation } from './propagation/w3c-propagation.js';
import { headersOf, REMOTE } from './testing/remote-caller.js';
import { withSpan } from './with-span.js';

describe('the sampler in front of an SDK', () => {
  it('keeps what it turns down away from it', () => {
    const asked = () => expect.fail('the SDK was asked');
    const tracer = openTelemetryTracer({
      api,
      tracer: { startSpan: asked, startActiveSpan: asked },
      sampler: new HeadSampler(0),
      propagation: w3cPropagation,
      activeSpans: 'own',
    });
    const root = tracer.startSpan('root');
    tracer.startSpan('child', { parent: root }).end();
    root.end();
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
});

describe('an application that runs OpenTelemetry', () => {
  let exporter: InMemorySpanExporter;
  let provider: TracerProvider;

  beforeEach(() => {
    exporter = new InMemorySpanExporter();
    provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] });
    api.context.setGlobalContextManager(new TestContextManager());
    api.trace.setGlobalTracerProvider(provider);
  });
  afterEach(async () => {
    await provider.shutdown();
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
