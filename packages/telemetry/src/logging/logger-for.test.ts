import { readFileSync } from 'node:fs';
import { describe, expect, it, vi } from 'vitest';
import { createLogger } from './create-logger.js';
import type { LogRecord } from './log-record.js';
import { loggerFor } from './logger-for.js';

const TIME = Date.UTC(2026, 10, 21, 3, 40, 5, 67);
const SPAN = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331' };

function recording(options: Parameters<typeof loggerFor>[1] = {}) {
  const records: LogRecord[] = [];
  return { records, logger: loggerFor({ write: (record) => void records.push(record) }, options) };
}

describe("a sink of one's own", () => {
  it('gets whole records', () => {
    const { logger, records } = recording({ now: () => TIME, activeSpan: () => SPAN });
    const error = new TypeError('broken');
    logger.with({ A: 1, B: 2 }).warning('{B} {C} {D}', 3, 'c', undefined, error, 'left over');
    expect(records).toHaveLength(1);
    const { level, time, message, template, properties, span, error: logged } = records[0]!;
    expect({ level, time, message, template, properties, span }).toEqual({
      level: 'warning',
      time: TIME,
      message: '3 c null',
      template: '{B} {C} {D}',
      properties: { A: 1, B: 3, C: 'c', D: null, extra: ['left over'] },
      span: SPAN,
    });
    expect(logged).toMatchObject({ type: 'TypeError', message: 'broken' });
    expect(records[0]!.properties).toBe(records[0]!.properties);
  });

  it('is as short as the README says', () => {
    const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
    const [, example = ''] = /```js\n(import \{ loggerFor \}[\s\S]*?)```/.exec(readme) ?? [];
    const code = example.replace(/^import .*\n/, '');
    expect(code.trim().split('\n').length).toBeLessThanOrEqual(10);
    const lines = new Function('loggerFor', `${code}\nreturn lines;`)(loggerFor) as string[];
    expect(lines).toEqual(['warning: 3 of 10 slots are left {"slots":3,"limit":10}']);
  });

  it('gets nothing that its level is not for, and is asked before anything is made', () => {
    const asked: string[] = [];
    const written: string[] = [];
    const logger = loggerFor({
      isEnabled: (level) => asked.push(level) > 0 && level === 'error',
      write: ({ message }) => void written.push(message),
    });
    const trap = { toString: () => expect.unreachable() };
    logger.debug('{Trap}', trap);
    logger.error('x');
    expect(asked).toEqual(['debug', 'error']);
    expect(written).toEqual(['x']);
    expect([logger.isEnabled('error'), logger.isEnabled('fatal'), logger.isEnabled('none')]).toEqual([
      true,
      false,
      false,
    ]);
  });

  it('is flushed after what is fatal', () => {
    const done: string[] = [];
    const logger = loggerFor({
      write: ({ message }) => void done.push(message),
      flush: () => void done.push('flushed'),
    });
    logger.error('an error');
    logger.fatal('the end');
    expect(done).toEqual(['an error', 'the end', 'flushed']);
  });

  it('fails nobody, whichever of its methods throws', () => {
    const broken = () => {
      throw new Error('broken');
    };
    for (const sink of [
      { write: broken },
      { write: () => {}, isEnabled: broken },
      { write: () => {}, flush: broken },
    ]) {
      const logger = loggerFor(sink);
      expect(() => logger.fatal('x', new Error('y'))).not.toThrow();
      expect(() => logger.isEnabled('fatal')).not.toThrow();
    }
  });

  it('ends no process with what its methods reject with later', async () => {
    const unheard = vi.fn();
    process.on('unhandledRejection', unheard);
    try {
      const later = async () => {
        throw new Error('no connection');
      };
      loggerFor({ write: later, flush: later }).fatal('x');
      createLogger({ destination: { write: later } }).information('x');
      await new Promise(setImmediate);
      expect(unheard).not.toHaveBeenCalled();
    } finally {
      process.off('unhandledRejection', unheard);
    }
  });

  it('may log itself', () => {
    const written: string[] = [];
    const logger = loggerFor({
      write({ message }) {
        written.push(message);
        if (written.length < 3) logger.information('again {N}', written.length);
      },
    });
    logger.information('once');
    expect(written).toEqual(['once', 'again 1', 'again 2']);
  });

  it('may be given values that log while they are looked at', () => {
    const { logger, records } = recording();
    logger.information('{@Outer}', {
      get inner() {
        logger.information('{Password}', 'p');
        return 'http://a:b@c';
      },
    });
    expect(records.map(({ message }) => message)).toEqual(['[redacted]', '{"inner":"http://[redacted]@c"}']);
  });

  it('must get a level that exists', () => {
    expect(() => recording({ level: 'loud' as never })).toThrow(/'loud' is not a log level/);
  });
});

describe('the active span', () => {
  it('is asked for only where a record is written', () => {
    let asked = 0;
    const { logger, records } = recording({
      activeSpan: () => {
        asked++;
        return SPAN;
      },
    });
    logger.debug('off');
    expect(asked).toBe(0);
    logger.information('on');
    expect(asked).toBe(1);
    expect(records[0]!.span).toEqual(SPAN);
  });

  it('gives way to a trace that is named', () => {
    const { logger, records } = recording({ activeSpan: () => SPAN });
    logger.with({ trace_id: 'mine' }).information('x');
    logger.information('{trace_id}', 'mine');
    expect(records.map(({ span, properties }) => ({ span, trace: properties['trace_id'] }))).toEqual([
      { span: undefined, trace: 'mine' },
      { span: undefined, trace: 'mine' },
    ]);
  });

  it.each([
    ['there is none', () => undefined],
    ['it is of no trace', () => ({ traceId: '0'.repeat(32), spanId: '0'.repeat(16) })],
    [
      'nobody can say',
      () => {
        throw new Error('broken');
      },
    ],
  ])('is left out when %s', (_when, activeSpan) => {
    const { logger, records } = recording({ activeSpan });
    logger.information('x');
    expect(records).toHaveLength(1);
    expect(records[0]!.span).toBeUndefined();
  });
});
