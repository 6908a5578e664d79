import { Console } from 'node:console';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { LOG_LEVELS } from '../../logger.js';
import { loggerFor } from '../logger-for.js';
import { consoleSink } from './console-sink.js';

function application() {
  const calls: [string, ...unknown[]][] = [];
  const method =
    (name: string) =>
    (...values: unknown[]) =>
      void calls.push([name, ...values]);
  return { calls, own: { debug: method('debug'), info: method('info'), warn: method('warn'), error: method('error') } };
}

describe('a console of the application', () => {
  it('gets the message, what it is made of, and the error', () => {
    const { own, calls } = application();
    const error = new TypeError('broken');
    loggerFor(consoleSink(own)).with({ peer: '::1' }).error('Could not read {Path}', '/x', error);
    expect(calls).toEqual([
      ['error', '%s', 'Could not read /x', { template: 'Could not read {Path}', peer: '::1', Path: '/x' }, error],
    ]);
    expect(calls[0]![4]).not.toBe(error);
  });

  it('is called at the method of the level, from information on unless another level is asked for', () => {
    const { own, calls } = application();
    const logger = loggerFor(consoleSink(own));
    for (const level of LOG_LEVELS) if (level !== 'none') logger[level]('x');
    expect(calls.map(([method]) => method)).toEqual(['info', 'warn', 'error', 'error']);
    logger.setLevel('verbose');
    logger.verbose('x');
    logger.debug('x');
    expect(calls.slice(4).map(([method]) => method)).toEqual(['debug', 'debug']);
  });

  it('takes nothing in a message for a format', async () => {
    const stdout = new PassThrough();
    loggerFor(consoleSink(new Console(stdout))).information('{Text}', '100%d %s %c');
    stdout.end();
    expect(await text(stdout)).toMatch(/^100%d %s %c \{/);
  });
});
