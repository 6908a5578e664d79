import { LevelControl, loggerFor } from '@granary/telemetry';
import { afterEach, describe, expect, it } from 'vitest';
import { logLevelRoute } from './log-level.js';
import { type AdminRequest, type Answer, AnswerError } from './route.js';

const controls: LevelControl[] = [];
afterEach(() => {
  for (const control of controls.splice(0)) control.close();
});

function served() {
  const logger = loggerFor({ write: () => {} });
  const waits: number[] = [];
  const control = new LevelControl(logger, { setTimeout: (_, ms) => waits.push(ms), clearTimeout: () => {} });
  controls.push(control);
  const changes: unknown[][] = [];
  const route = logLevelRoute(control, (...change: unknown[]) => changes.push(change));
  const put = async (body: string, query = ''): Promise<Answer> => route.put!(asRequest(body, query));
  return { logger, control, waits, changes, put, get: () => route.get!(asRequest('', '')) as Answer };
}

function asRequest(body: string, query: string): AdminRequest {
  return {
    query: new URLSearchParams(query),
    headers: {},
    signal: new AbortController().signal,
    body: async (maxBytes = 0) => {
      if (body.length > maxBytes) throw new AnswerError(413, 'too long');
      return Buffer.from(body);
    },
  };
}

const shown = ({ status, body }: Answer) => ({ status, ...JSON.parse(String(body)) });

describe('the route of the log level', () => {
  it('shows the level', () => {
    expect(shown(served().get())).toEqual({ status: 200, level: 'information' });
  });

  it.each([
    ['debug', 'debug'],
    [' Warn\n', 'warning'],
    ['{"level": "TRACE"}', 'verbose'],
    ['none', 'none'],
  ])('changes it for good: %j', async (body, level) => {
    const { logger, changes, put, get } = served();
    expect(shown(await put(body))).toEqual({ status: 200, level });
    expect(logger.level).toBe(level);
    expect(shown(get())).toEqual({ status: 200, level });
    expect(changes).toEqual([[level, undefined]]);
  });

  it.each([
    ['{"level": "debug", "for": "10m"}', ''],
    ['debug', 'for=10m'],
    ['{"level": "debug"}', 'for=10m'],
    ['{"level": "debug", "for": "10m"}', 'for=1h'],
  ])('changes it for a time: %j %s', async (body, query) => {
    const { waits, changes, put } = served();
    expect(shown(await put(body, query))).toEqual({ status: 200, level: 'debug', afterwards: 'information' });
    expect(waits).toEqual([600_000]);
    expect(changes).toEqual([['debug', 600_000]]);
  });

  it.each([
    ['', '', /"" is no level; those are verbose, debug/],
    ['loud', '', /"loud" is no level/],
    ['{"level": 3}', '', /3 is no level/],
    ['{}', '', /undefined is no level/],
    ['{"level": ', '', /no JSON/],
    ['{"level": "debug", "for": "soon"}', '', /"soon" is no time; allowed: numbers with ms/],
    ['debug', 'for=0', /^"0" is no time; allowed: numbers with ms.* or 1h30m$/],
    ['debug', 'for=', /"" is no time/],
    ['debug', 'for=100d', /"100d" is no time/],
    ['{"level": "debug", "for": {}}', '', /\{\} is no time/],
  ])('says what is wrong with %j %s, and changes nothing', async (body, query, message) => {
    const { logger, changes, put } = served();
    await expect(put(body, query)).rejects.toThrow(message);
    await expect(put(body, query)).rejects.toMatchObject({ status: 400 });
    expect(logger.level).toBe('information');
    expect(changes).toEqual([]);
  });

  it('reads no long body', async () => {
    await expect(served().put('x'.repeat(2000))).rejects.toMatchObject({ status: 413 });
  });
});
