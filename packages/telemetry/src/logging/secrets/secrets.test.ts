import { inspect } from 'node:util';
import { configureSync, getLogger, getTextFormatter, resetSync } from '@logtape/logtape';
import fc from 'fast-check';
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import type { Logger } from '../../logger.js';
import { createLogger } from '../create-logger.js';
import { loggerFor } from '../logger-for.js';
import { consoleSink } from '../sinks/console-sink.js';
import { logtapeSink } from '../sinks/logtape-sink.js';
import { pinoSink } from '../sinks/pino-sink.js';

/** Every way out: the logger, and what came out of it as text. */
function sinks(): [string, Logger, () => string][] {
  const out = new Map<string, string[]>();
  const collect = (name: string) => {
    const texts: string[] = [];
    out.set(name, texts);
    return (...values: unknown[]) => {
      for (const value of values)
        texts.push(typeof value === 'string' ? value : inspect(value, { depth: 20, maxStringLength: null }));
    };
  };
  const tape = collect('LogTape');
  const format = getTextFormatter();
  configureSync({
    reset: true,
    sinks: { tape: (record) => tape(format(record), record.rawMessage, record.properties) },
    loggers: [
      { category: 'app', sinks: ['tape'] },
      { category: ['logtape', 'meta'], lowestLevel: 'fatal', sinks: [] },
    ],
  });
  const own = collect("a sink of one's own");
  const say = collect('console');
  return [
    ['JSON', createLogger({ destination: { write: collect('JSON') }, format: 'json' }), 'JSON'] as const,
    ['pretty', createLogger({ destination: { write: collect('pretty') }, format: 'pretty' }), 'pretty'] as const,
    ['pino', loggerFor(pinoSink(pino({}, { write: collect('pino') }))), 'pino'] as const,
    ['LogTape', loggerFor(logtapeSink(getLogger('app'))), 'LogTape'] as const,
    ['console', loggerFor(consoleSink({ debug: say, info: say, warn: say, error: say })), 'console'] as const,
    [
      "a sink of one's own",
      loggerFor({ write: (r) => own(r.message, r.template, r.properties, r.error, r.toError()) }),
      "a sink of one's own",
    ] as const,
  ].map(([name, logger, key]) => [name, logger, () => out.get(key)!.join('\n')]);
}

/** As passwords and tokens are: nothing in a program or a stack says the same by chance. */
const secret = fc.stringMatching(/^[A-Za-z0-9._~+-]{4,20}$/).map((text) => `S3cr3t${text.replace(/^[.+~-]/, 'x')}Z9`);

/** Where secrets are met in texts. */
const inText = secret.chain((value) =>
  fc
    .constantFrom(
      `https://ann:${value}@feed.example/v3/index.json`,
      `redis://:${value}@host:6379/0`,
      `GET /x?size=3&access_token=${value}&y=1 failed`,
      `https://bucket.example/k?X-Amz-Credential=AKIA&X-Amz-Signature=${value}`,
      `Authorization: Bearer ${value}`,
      `proxy-authorization: Basic ${value}\r\nHost: x`,
      `Cookie: theme=dark; sid=${value}`,
      `X-Api-Key: ${value}`,
      `{"user":"ann","password":"${value}"}`,
      `{"body":"{\\"client_secret\\":\\"${value}\\"}"}`,
      `{ headers: { authorization: 'Bearer ${value}' } }`,
      `Server=x;User=ann;Password=${value};`,
      `push --api-key ${value} --source feed`,
      `sent bearer ${value} to it`,
    )
    .map((text) => ({ value, text })),
);

type Call = (logger: Logger) => void;
const sentence = fc.constantFrom('', 'Could not reach it: ', 'é\n', '{{', 'at 12:00, ');

/** Where texts and secrets are met in calls. */
const call: fc.Arbitrary<{ value: string; call: Call }> = fc
  .tuple(inText, sentence, fc.nat(3))
  .chain(([{ value, text }, before, depth]) => {
    const whole = before + text;
    let nested: unknown = whole;
    for (let i = 0; i < depth; i++) nested = i % 2 ? { [`level${i}`]: nested } : [1, nested];
    class Shown {
      toString() {
        return whole;
      }
    }
    const error = new Error(whole, { cause: new TypeError(whole) });
    const coded = Object.assign(new Error('x'), { code: whole, name: whole });
    const calls: Call[] = [
      (logger) => logger.information(whole),
      (logger) => logger.information(`{A} ${whole}`, 1),
      (logger) => logger.information('{Value}', whole),
      (logger) => logger.information('{Value,-8} and {Other}', whole, whole),
      (logger) => logger.information('{@Value}', nested),
      (logger) => logger.information('{$Value}', nested),
      (logger) => logger.information('left over', nested, whole),
      (logger) => logger.information('{Value}', new Shown()),
      (logger) => logger.information('{@Value}', { toJSON: () => whole }),
      (logger) => logger.information('{Value}', new Map([[whole, new Set([whole])]])),
      (logger) => logger.information('{Value}', { [whole]: 1 }),
      (logger) => logger.information('{Value}', Symbol(whole)),
      (logger) =>
        logger.information(
          '{Value}',
          Object.defineProperty(() => {}, 'name', { value: whole }),
        ),
      (logger) => logger.with({ note: nested }).information('x'),
      (logger) => logger.forContext('note', whole).information('x'),
      (logger) => logger.error('failed', error),
      (logger) => logger.error('failed', coded),
      (logger) => logger.error('{Reason}', error),
      (logger) => logger.error('failed', new AggregateError([error, whole], whole)),
      (logger) => logger.error(error as never),
      (logger) => logger.error(whole as never, error),
      // The secret alone, in places that say what it is.
      (logger) => logger.information('{Password}', value),
      (logger) => logger.information('{@Request}', { headers: { cookie: value, 'x-api-key': [value] } }),
      (logger) => logger.information('{@Headers}', ['Authorization', value, 'Cookie', value]),
      (logger) => logger.information('{@Pairs}', [['set-cookie', value]]),
      (logger) => logger.information('{@Entries}', Object.entries({ 'set-cookie': [value] })),
      (logger) => logger.information('{@Raw}', ['Cookie', [value]]),
      (logger) => logger.information('{@Environment}', [{ name: 'DB_PASSWORD', value }]),
      (logger) => logger.information('{@Environment}', [{ value, name: 'DB_PASSWORD', kind: 'text' }]),
      (logger) => logger.information('{@Tag}', { Key: 'api-key', Values: [value] }),
      (logger) => logger.information('{@Header}', { header: 'Cookie', value, name: 'first' }),
      (logger) => logger.information('{AuthorizationHeader}', value),
      (logger) => logger.information('{ApiKeys}', [value]),
      (logger) => logger.information('{@Words}', ['--token', value]),
      (logger) => logger.with({ apiKey: value }).information('x'),
      (logger) => logger.information('with token={T} it failed', value),
      (logger) => logger.information('Authorization: Bearer {H} was refused by {Host}', value, 'host'),
      (logger) => logger.information('to https://{User}:{Word}@{Host}/', 'ann', value, 'host'),
      (logger) => logger.information('{Name}: {Value}', 'Authorization', value),
      (logger) => logger.information('{Name}={Value}', 'password', value),
      (logger) => logger.information('{Text}{Value}', 'token=', value),
      (logger) => logger.information('"{Name}":"{Value,30}"', 'client_secret', value),
    ];
    return fc.constantFrom(...calls).map((made) => ({ value, call: made }));
  });

afterEach(() => resetSync());

describe('a secret', () => {
  it('never comes out, wherever it is and whatever writes the record', () => {
    fc.assert(
      fc.property(call, ({ value, call: log }) => {
        for (const [name, logger, written] of sinks()) {
          log(logger);
          expect(written(), name).not.toBe('');
          expect(written(), name).not.toContain(value);
        }
      }),
      { numRuns: 500 },
    );
  });

  it.each([10, 16, 20, 40])('does not come out in part of a text that is cut %i characters behind it', (characters) => {
    const text = `${'x'.repeat(8192 - characters - 1)} https://ann:S3cr3tPassword@feed.example/`;
    const name = `${'x'.repeat(200 - characters - 1)} https://ann:S3cr3tPassword@feed.example/`;
    for (const [sink, logger, written] of sinks()) {
      logger.error('{Text}', text, new Error(text));
      logger.error('{@Value}', { [name]: [text] });
      expect(written(), sink).not.toContain('S3c');
    }
  });

  it('takes nothing with it that tells what happened', () => {
    const lines: string[] = [];
    const logger = createLogger({ destination: { write: (line: string) => lines.push(line) }, format: 'json' });
    logger.warning('Authorization: {Header} was refused by {Host}', 'Bearer abc', 'feed.example');
    logger.warning('token=abc was refused by {Host}', 'feed.example');
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      {
        template: 'Authorization: {Header} was refused by {Host}',
        Header: '[redacted]',
        Host: 'feed.example',
        msg: 'Authorization: [redacted] was refused by feed.example',
      },
      {
        template: 'token=[redacted] was refused by {Host}',
        Host: 'feed.example',
        msg: 'token=[redacted] was refused by feed.example',
      },
    ]);
  });
});
