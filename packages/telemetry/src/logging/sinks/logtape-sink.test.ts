import { configureSync, getJsonLinesFormatter, getLogger, type LogRecord, resetSync } from '@logtape/logtape';
import { afterEach, describe, expect, it } from 'vitest';
import { LOG_LEVELS } from '../../logger.js';
import { loggerFor } from '../logger-for.js';
import { logtapeSink } from './logtape-sink.js';

const TIME = Date.UTC(2026, 10, 21, 3, 40, 5, 67);

function application(lowestLevel: 'trace' | 'info' | 'error' = 'trace') {
  const records: LogRecord[] = [];
  configureSync({
    reset: true,
    sinks: { memory: (record) => void records.push(record) },
    loggers: [
      { category: 'app', lowestLevel, sinks: ['memory'] },
      { category: ['logtape', 'meta'], lowestLevel: 'error', sinks: [] },
    ],
  });
  return records;
}

afterEach(() => resetSync());

describe('a LogTape of the application', () => {
  it('gets the message, the properties, the template, the span and the error, under its category', () => {
    const records = application();
    const logger = loggerFor(logtapeSink(getLogger(['app', 'cache'])), {
      now: () => TIME,
      activeSpan: () => ({ traceId: 'a'.repeat(32), spanId: 'b'.repeat(16) }),
    });
    logger.with({ peer: '::1' }).error('Stored {Digest} in {Elapsed:F1} ms', 'ab/3', 12.345, new TypeError('broken'));
    expect(records).toMatchObject([
      {
        category: ['app', 'cache'],
        level: 'error',
        message: ['Stored ab/3 in 12.3 ms'],
        rawMessage: 'Stored {Digest} in {Elapsed:F1} ms',
        timestamp: TIME,
        properties: {
          peer: '::1',
          Digest: 'ab/3',
          Elapsed: 12.345,
          trace_id: 'a'.repeat(32),
          span_id: 'b'.repeat(16),
        },
      },
    ]);
    expect(records[0]!.properties['error']).toBeInstanceOf(TypeError);
  });

  it('formats what it gets', () => {
    const records = application();
    loggerFor(logtapeSink(getLogger('app'))).information('{A} {{and}} {B}', 1, { c: 2 });
    expect(JSON.parse(getJsonLinesFormatter()(records[0]!))).toMatchObject({
      level: 'INFO',
      message: '1 {and} {"c":2}',
      logger: 'app',
      properties: { A: 1, B: { c: 2 } },
    });
  });

  it.each([
    ['trace', ['verbose', 'debug', 'information', 'warning', 'error', 'fatal']],
    ['info', ['information', 'warning', 'error', 'fatal']],
    ['error', ['error', 'fatal']],
  ] as const)('decides by its level: %s', (lowest, expected) => {
    const records = application(lowest);
    const logger = loggerFor(logtapeSink(getLogger('app')));
    const levels = LOG_LEVELS.filter((each) => each !== 'none');
    for (const level of levels) logger[level](level);
    expect(levels.filter((level) => logger.isEnabled(level))).toEqual(expected);
    expect(records.map(({ message }) => message[0])).toEqual(expected);
  });

  it('gets the properties of its own `with` and context, too', () => {
    const records = application();
    loggerFor(logtapeSink(getLogger('app').with({ tenant: 7 }))).information('x {A}', 1);
    expect(records[0]!.properties).toMatchObject({ tenant: 7, A: 1 });
  });
});
