import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { LOG_LEVELS } from '../../logger.js';
import { loggerFor } from '../logger-for.js';
import { pinoSink } from './pino-sink.js';

function application(options: pino.LoggerOptions<string> = {}) {
  const lines: string[] = [];
  const own = pino({ base: null, timestamp: false, ...options }, { write: (line) => void lines.push(line) });
  return { own, lines, records: () => lines.map((line) => JSON.parse(line) as Record<string, unknown>) };
}

describe('a pino of the application', () => {
  it('gets the message, the properties, the template and the span', () => {
    const { own, records } = application();
    const activeSpan = () => ({ traceId: 'a'.repeat(32), spanId: 'b'.repeat(16) });
    const logger = loggerFor(pinoSink(own.child({ app: 'shop' })), { activeSpan });
    logger.with({ peer: '::1' }).information('Stored {Digest} in {Elapsed:F1} ms', 'ab/3', 12.345, { left: 'over' });
    expect(records()).toEqual([
      {
        level: 30,
        app: 'shop',
        template: 'Stored {Digest} in {Elapsed:F1} ms',
        peer: '::1',
        Digest: 'ab/3',
        Elapsed: 12.345,
        extra: [{ left: 'over' }],
        trace_id: 'a'.repeat(32),
        span_id: 'b'.repeat(16),
        msg: 'Stored ab/3 in 12.3 ms',
      },
    ]);
  });

  it('gets the error as one that its serializer knows, without secrets', () => {
    const { own, records } = application();
    class FeedError extends Error {
      override readonly name = 'FeedError';
      readonly code = 'E_FEED';
    }
    const error = new FeedError('GET https://ann:hunter2@feed/ failed', { cause: new Error('token=hunter2 is old') });
    loggerFor(pinoSink(own)).error('Restore failed', error);
    const [{ err }] = records() as [{ err: Record<string, string> }];
    expect(err).toMatchObject({
      type: 'FeedError',
      code: 'E_FEED',
      message: 'GET https://[redacted]@feed/ failed: token=[redacted] is old',
    });
    expect(err['stack']).toContain('pino-sink.test');
    expect(JSON.stringify(err)).not.toContain('hunter2');
  });

  it('hands over errors that are still of their class', () => {
    const seen: unknown[] = [];
    const own = pino({ serializers: { failure: (error) => seen.push(error) } }, { write: () => {} });
    loggerFor(pinoSink(own, { errorKey: 'failure' })).error(
      'x',
      new TypeError('broken', { cause: new RangeError('r') }),
    );
    expect(seen[0]).toBeInstanceOf(TypeError);
    expect((seen[0] as Error).cause).toBeInstanceOf(RangeError);
    expect(Object.keys(seen[0] as Error)).toEqual([]);
  });

  it.each([
    ['trace', ['verbose', 'debug', 'information', 'warning', 'error', 'fatal']],
    ['info', ['information', 'warning', 'error', 'fatal']],
    ['error', ['error', 'fatal']],
    ['silent', []],
  ])('decides by its level: %s', (level, expected) => {
    const { own, lines } = application({ level });
    const logger = loggerFor(pinoSink(own));
    const levels = LOG_LEVELS.filter((each) => each !== 'none');
    for (const each of levels) logger[each]('x');
    expect(levels.filter((each) => logger.isEnabled(each))).toEqual(expected);
    expect(lines).toHaveLength(expected.length);
  });

  it('may change its level at any time', () => {
    const { own, lines } = application();
    const logger = loggerFor(pinoSink(own)).with({ a: 1 });
    logger.debug('hidden');
    own.level = 'debug';
    logger.debug('shown');
    expect(lines).toHaveLength(1);
  });

  it('gets less than it would take where the logger has a level of its own', () => {
    const { own, lines } = application({ level: 'trace' });
    const logger = loggerFor(pinoSink(own), { level: 'warning' });
    logger.information('hidden');
    logger.setLevel('information');
    logger.information('shown');
    expect(lines).toHaveLength(1);
  });

  it('may have levels of its own: what is missing goes to the next more severe', () => {
    const customLevels = { info: 30, notice: 35, alert: 70 };
    const { own, records } = application({ customLevels, useOnlyCustomLevels: true, level: 'info' });
    const logger = loggerFor(pinoSink(own));
    for (const level of ['verbose', 'information', 'warning', 'fatal'] as const) logger[level](level);
    expect(records()).toMatchObject([
      { level: 30, msg: 'verbose' },
      { level: 30, msg: 'information' },
      { level: 70, msg: 'warning' },
      { level: 70, msg: 'fatal' },
    ]);
  });

  it('may number its levels in its own way', () => {
    const customLevels = { fatal: 1, error: 2, warn: 3, info: 4, debug: 5, trace: 6 };
    const own = { customLevels, useOnlyCustomLevels: true, levelComparison: 'DESC' as const, level: 'info' };
    const { own: pinoOfApplication, records } = application(own);
    const logger = loggerFor(pinoSink(pinoOfApplication));
    for (const level of ['verbose', 'debug', 'information', 'warning', 'error', 'fatal'] as const) logger[level](level);
    expect(records()).toMatchObject([
      { level: 4, msg: 'information' },
      { level: 3, msg: 'warning' },
      { level: 2, msg: 'error' },
      { level: 1, msg: 'fatal' },
    ]);
  });

  it('takes no properties for a request, a field of its own, or a format', () => {
    const { own, records } = application();
    loggerFor(pinoSink(own)).information('{method} {headers} {socket} {level} {msg} %s %j', 'GET', 'h', 's', 'l', 'm');
    expect(records()).toMatchObject([
      { level: 30, method: 'GET', headers: 'h', socket_: 's', level_: 'l', msg_: 'm', msg: 'GET h s l m %s %j' },
    ]);
  });

  it('fails nobody when it throws', () => {
    const own = pino({ mixin: () => { throw new Error('broken'); } }, { write: () => {} }); // biome-ignore format: short
    expect(() => loggerFor(pinoSink(own)).error('x')).not.toThrow();
  });
});
