import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { CLOSING_MS, endInTime } from './end-in-time.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('a server that is to end', () => {
  it('is killed when it has not, some time after its running requests had theirs', () => {
    const done: string[] = [];
    const logger = { error: () => void done.push('error'), flush: () => void done.push('flushed') };
    endInTime(20_000, logger, () => void done.push('killed'));
    vi.advanceTimersByTime(20_000 + CLOSING_MS - 1);
    expect(done).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(done).toEqual(['error', 'flushed', 'killed']);
  });

  it('is left alone when it has ended', () => {
    const kill = vi.fn();
    const callOff = endInTime(0, { error: () => {}, flush: () => {} }, kill);
    callOff();
    vi.advanceTimersByTime(60_000);
    expect(kill).not.toHaveBeenCalled();
  });
});
