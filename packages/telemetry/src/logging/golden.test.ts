import { describe, expect, it } from 'vitest';
import type { Logger } from '../logger.js';
import { createLogger, type LoggerOptions } from './create-logger.js';

const TIME = Date.UTC(2026, 10, 21, 3, 40, 5, 67);
/** Lines to read have the local time: this one shows the same everywhere. */
const LOCAL_TIME = TIME + new Date(TIME).getTimezoneOffset() * 60_000;
const SPAN = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331' };

/** Calls of every kind; what they write is in golden/. To accept a change, run the tests with --update and read it. */
function everyKindOfCall(logger: Logger): void {
  logger.information('Granary {Version} serves {Listeners} from {Directory}', '0.1.0', { grpc: ':9092' }, '/var/cache');
  logger.verbose('Nothing to show');
  logger.debug('{Method} {Path} {Code} in {Elapsed:F1} ms, {Bytes:N0} B', 'GET', '/cas/ab', 200, 12.345, 1234567);
  logger.warning('Escaped {{braces}}, padded [{Left,6}|{Right,-6}], {Missing}', 'ab', 'cd');
  logger.information('Left over', 1, 'two', { three: [3n, null, undefined, Symbol('four')] });

  const connection = logger.with({ connection: 3, peer: '::1' }).forContext('component', 'grpc');
  connection.information('Stored {Digest} {@Details}', 'ab/3', { tiers: ['memory', 'disk'], hit: true });
  connection.information('{peer} is said nearer, and {trace_id} by the call', '::2', 'its own');
  connection.information('{level} {msg} {time} pose as fields', 'fatal', 'a\nmessage', '\u001b[2J');

  logger.warning(
    'Could not reach {Url}: {Reason}',
    'https://ann:hunter2@feed.example/?sig=abc',
    new TypeError('fetch failed'),
  );
  logger.warning('Sent {@Headers}', { Authorization: 'Bearer abc', Accept: '*/*', Cookie: 'sid=1' });
  logger.warning('Upload failed', withStack(new Error('disk full'), 'Error: disk full'));
  const cause = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:6379'), { code: 'ECONNREFUSED' });
  const error = new RangeError('could not write', { cause: withStack(cause, 'Error: connect') });
  logger.error('Upload of {Digest} failed', 'ab/3', withStack(error, 'RangeError: could not write'));
  logger.fatal('The end');
}

function withStack<E extends Error>(error: E, head: string): E {
  error.stack = `${head}\n    at upload (/app/upload.js:12:3)\n    at async main (/app/main.js:4:5)`;
  return error;
}

function written(options: LoggerOptions): string {
  const lines: string[] = [];
  const logger = createLogger({
    level: 'verbose',
    destination: { write: (line: string) => lines.push(line) },
    activeSpan: () => SPAN,
    ...options,
  });
  everyKindOfCall(logger);
  return lines.join('');
}

describe('what is written', () => {
  it('as JSON', async () => {
    await expect(written({ format: 'json', name: 'granary', now: () => TIME })).toMatchFileSnapshot(
      'golden/json.jsonl',
    );
  });

  it('to read', async () => {
    const options = { format: 'pretty', colors: false, now: () => LOCAL_TIME } as const;
    await expect(written(options)).toMatchFileSnapshot('golden/pretty.txt');
  });
});
