import { describe, expect, it } from 'vitest';
import { RecordingTracer } from '../testing/recording-tracer.js';
import { noopSpan, noopTracer } from './noop-tracer.js';
import { withSpan } from './with-span.js';

describe('withSpan', () => {
  it('ends the span with the work, and gives what the work gives', async () => {
    const tracer = new RecordingTracer();
    expect(withSpan(tracer, 'now', {}, () => 1)).toBe(1);
    const later = withSpan(tracer, 'later', { attributes: { a: 1 } }, async (span) => {
      await new Promise(setImmediate);
      expect(tracer.activeSpan()).toBe(span);
      return 2;
    });
    expect(tracer.only('later').ended).toBe(false);
    expect(await later).toBe(2);
    expect(tracer.spans).toMatchObject([{ ended: true }, { ended: true, attributes: { a: 1 }, status: 'unset' }]);
    expect(tracer.activeSpan()).toBeUndefined();
  });

  it('records what the work fails with, and fails with it', async () => {
    const tracer = new RecordingTracer();
    const error = new Error('no');
    const fail = () => {
      throw error;
    };
    expect(() => withSpan(tracer, 'throws', {}, fail)).toThrow(error);
    await expect(withSpan(tracer, 'rejects', {}, async () => fail())).rejects.toBe(error);
    for (const span of tracer.spans) expect(span).toMatchObject({ ended: true, errors: [error], status: 'error' });
  });

  it('begins what has a then, such as a query, in the span, once, and ends the span with it', async () => {
    const tracer = new RecordingTracer();
    const begunIn: unknown[] = [];
    const query = (answer: Promise<number>) => ({
      // biome-ignore lint/suspicious/noThenProperty: a query of a database's client is what this is about
      then: (...listeners: Parameters<typeof answer.then<number>>) => {
        begunIn.push(tracer.activeSpan());
        return answer.then(...listeners);
      },
    });
    const later = withSpan(tracer, 'query', {}, () => query(new Promise((resolve) => setImmediate(resolve, 2))));
    expect(tracer.only('query').ended).toBe(false);
    expect(await later).toBe(2);
    expect(tracer.only('query')).toMatchObject({ ended: true, status: 'unset' });
    expect(begunIn).toEqual([tracer.only('query')]);
    const error = new Error('no such table');
    const failed = async () => withSpan(tracer, 'failed', {}, () => query(Promise.reject(error)));
    await expect(failed()).rejects.toBe(error);
    expect(tracer.only('failed')).toMatchObject({ ended: true, errors: [error], status: 'error' });
  });

  it('calls the work and no more when tracing is off', () => {
    const runWith = () => expect.fail('became active');
    expect(withSpan({ ...noopTracer, runWith }, 'work', {}, (span) => span)).toBe(noopSpan);
  });
});

describe('the tracer that is off', () => {
  it('takes everything and does nothing', () => {
    expect(noopTracer.extract(() => 'x')).toBeUndefined();
    expect(noopTracer.activeSpan()).toBeUndefined();
    expect(noopTracer.runWith(noopSpan, () => 1)).toBe(1);
    noopSpan.inject(() => expect.fail('wrote a header'));
  });
});
