import { describe, expect, it, vi } from 'vitest';
import { LOG_LEVELS, parseLogLevel } from '../logger.js';
import { LevelControl } from './level-control.js';
import { loggerFor } from './logger-for.js';

function controlled() {
  const waiting = new Map<number, () => void>();
  let next = 0;
  const logger = loggerFor({ write: () => {} });
  const control = new LevelControl(logger, {
    setTimeout(callback, _ms) {
      waiting.set(++next, callback);
      return next;
    },
    clearTimeout: (handle) => void waiting.delete(handle as number),
  });
  const elapse = () => {
    for (const [handle, callback] of [...waiting]) {
      waiting.delete(handle);
      callback();
    }
  };
  return { logger, control, waiting, elapse };
}

describe('the level', () => {
  it('is named in any case, and as other loggers name it', () => {
    for (const level of LOG_LEVELS) expect(parseLogLevel(` ${level.toUpperCase()}\n`)).toBe(level);
    expect(['Trace', 'INFO', 'warn'].map(parseLogLevel)).toEqual(['verbose', 'information', 'warning']);
    for (const text of ['', 'loud', 'toString', '__proto__', 'debug info']) expect(parseLogLevel(text)).toBeUndefined();
  });

  it('is changed for good', () => {
    const { logger, control, waiting } = controlled();
    control.set('debug');
    expect([logger.level, control.level, control.levelAfterwards]).toEqual(['debug', 'debug', undefined]);
    expect(waiting.size).toBe(0);
  });

  it('is changed for a time', () => {
    const { logger, control, elapse } = controlled();
    control.set('debug', 60_000);
    expect([logger.level, control.levelAfterwards]).toEqual(['debug', 'information']);
    elapse();
    expect([logger.level, control.levelAfterwards]).toEqual(['information', undefined]);
  });

  it('comes back to what it was before the first of several times', () => {
    const { logger, control, waiting, elapse } = controlled();
    control.set('debug', 60_000);
    control.set('verbose', 60_000);
    expect(waiting.size).toBe(1);
    elapse();
    expect(logger.level).toBe('information');
  });

  it('stays when it was set for good meanwhile, or when the control is closed', () => {
    const { logger, control, waiting } = controlled();
    control.set('debug', 60_000);
    control.set('error');
    expect([logger.level, waiting.size]).toEqual(['error', 0]);
    control.set('debug', 60_000);
    control.close();
    control.close();
    expect([logger.level, waiting.size]).toEqual(['debug', 0]);
  });

  it('must be one, and its time a time', () => {
    const { logger, control, waiting } = controlled();
    expect(() => control.set('loud' as never, 1000)).toThrow(/'loud' is not a log level/);
    for (const ms of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31]) {
      expect(() => control.set('debug', ms)).toThrow(RangeError);
    }
    expect([logger.level, waiting.size]).toEqual(['information', 0]);
  });

  it('waits with timers of Node that keep no process alive', () => {
    vi.useFakeTimers();
    try {
      const logger = loggerFor({ write: () => {} });
      const control = new LevelControl(logger);
      control.set('debug', 60_000);
      control.set('verbose', 60_000);
      expect(vi.getTimerCount()).toBe(1);
      vi.advanceTimersByTime(60_000);
      expect(logger.level).toBe('information');
    } finally {
      vi.useRealTimers();
    }
  });
});
