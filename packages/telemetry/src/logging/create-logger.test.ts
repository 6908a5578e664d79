import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LOG_LEVELS, nullLogger } from '../logger.js';
import { createLogger, type LoggerOptions } from './create-logger.js';

const TIME = Date.UTC(2026, 10, 21, 3, 40, 5, 67);

function logging(options: LoggerOptions = {}) {
  const lines: string[] = [];
  const logger = createLogger({
    destination: { write: (line: string) => lines.push(line) },
    now: () => TIME,
    ...options,
  });
  return { logger, lines, records: () => lines.map((line) => JSON.parse(line) as Record<string, unknown>) };
}

describe('a JSON logger', () => {
  it('writes one line with level, time, message, template and properties', () => {
    const { logger, lines } = logging();
    logger.information('Stored {Digest} in {Elapsed:F1} ms', 'ab/3', 12.345);
    expect(lines).toEqual([
      '{"level":"information","time":"2026-11-21T03:40:05.067Z","template":"Stored {Digest} in {Elapsed:F1} ms",' +
        '"Digest":"ab/3","Elapsed":12.345,"msg":"Stored ab/3 in 12.3 ms"}\n',
    ]);
  });

  it('puts an error that no hole takes into err, with its code and causes', () => {
    const { logger, records } = logging({ name: 'granary' });
    const cause = Object.assign(new Error('no such file'), { code: 'ENOENT' });
    logger.error('Could not read {Path}', '/x', new TypeError('broken', { cause }));
    const [record] = records();
    expect(record).toMatchObject({
      name: 'granary',
      msg: 'Could not read /x',
      err: { type: 'TypeError', message: 'broken', cause: { type: 'Error', message: 'no such file', code: 'ENOENT' } },
    });
    expect((record!['err'] as { stack: string }).stack).toContain('create-logger.test');
  });

  it('shows an error in a hole as text', () => {
    const { logger, records } = logging();
    logger.warning('Gave up: {Reason}', new RangeError('too far'));
    expect(records()[0]).toMatchObject({ msg: 'Gave up: RangeError: too far', Reason: 'RangeError: too far' });
    expect(records()[0]).not.toHaveProperty('err');
  });

  it('takes too few and too many arguments, and keeps what is left over', () => {
    const { logger, records } = logging();
    logger.information('{A} and {B}', 1);
    logger.information('{A}', 1, 'two', { three: 3 });
    expect(records()).toMatchObject([
      { msg: '1 and {B}', A: 1 },
      { msg: '1', A: 1, extra: ['two', { three: 3 }] },
    ]);
  });

  it('keeps the structure of {@Object}, and lets other objects show themselves', () => {
    const { logger, records } = logging();
    class Digest {
      readonly size = 3;
      toString() {
        return 'ab/3';
      }
    }
    logger.information('{Digest} {@Digest2} {Plain}', new Digest(), new Digest(), { a: 1 });
    expect(records()[0]).toMatchObject({ Digest: 'ab/3', Digest2: { size: 3 }, Plain: { a: 1 } });
  });

  it('writes any value, bounded', () => {
    const { logger, records } = logging();
    const cyclic: Record<string, unknown> = {};
    cyclic['self'] = cyclic;
    const hostile = new Proxy(
      {},
      {
        get() {
          throw new Error('no');
        },
        ownKeys() {
          throw new Error('no');
        },
      },
    );
    const values = [
      10n,
      Symbol('s'),
      undefined,
      Number.NaN,
      new Date(TIME),
      new Uint8Array(9),
      () => 1,
      cyclic,
      hostile,
    ];
    for (const value of values) logger.information('{Value}', value);
    logger.information('{Value}', new Map([['k', new Set([1])]]));
    logger.information('{Value}', Array(500).fill(0));
    logger.information('{Value}', 'x'.repeat(100_000));
    const written = records().map((record) => record['Value']);
    expect(written.slice(0, 7)).toEqual([
      '10',
      'Symbol(s)',
      null,
      'NaN',
      '2026-11-21T03:40:05.067Z',
      '[9 bytes]',
      '[function ]',
    ]);
    expect(JSON.stringify(written[7])).toBe('{"self":"[circular]"}');
    expect(written[8]).toBe('[unreadable]');
    expect(written[9]).toEqual({ k: [1] });
    expect(written[10]).toHaveLength(101);
    expect((written[11] as string).length).toBeLessThan(10_000);
  });

  it('adds the properties of derived loggers, without letting them pose as fields', () => {
    const { logger, records } = logging();
    logger.with({ connection: 3, level: 'fatal' }).forContext('Peer', '127.0.0.1').information('Hello {msg}', 'you');
    expect(records()[0]).toMatchObject({
      level: 'information',
      connection: 3,
      level_: 'fatal',
      Peer: '127.0.0.1',
      msg: 'Hello you',
      msg_: 'you',
    });
  });

  it('shows no secret: not in values, errors, properties, or what is named like one', () => {
    const { logger, lines } = logging({ redact: ['pin'] });
    const derived = logger.with({ authorization: 'hunter2', url: 'http://ann:hunter2@host/' });
    derived.error(
      '{Url} {Password} {@Headers} {Pin}',
      'grpc://ann:hunter2@host',
      'hunter2',
      { cookie: 'hunter2', nested: { apiKey: 'hunter2' }, list: ['Bearer hunter2'] },
      'hunter2',
      'Basic hunter2',
      new Error('GET http://ann:hunter2@host failed', { cause: new Error('token=hunter2') }),
    );
    expect(lines).toHaveLength(1);
    expect(lines[0]).not.toContain('hunter2');
    expect(lines[0]).toContain('[redacted]');
  });

  it('never fails its caller, not even when the destination does', () => {
    const broken = createLogger({
      destination: {
        write: () => {
          throw new Error('disk full');
        },
      },
    });
    expect(() => broken.information('Hello')).not.toThrow();
  });

  it('goes on as it is where a property has a name that is none', () => {
    const { logger, records } = logging();
    for (const name of [Object.create(null), Symbol('name'), undefined]) {
      logger.forContext(name as string, 1).information('Hello');
    }
    expect(records()).toMatchObject([{ msg: 'Hello' }, { msg: 'Hello' }, { msg: 'Hello' }]);
  });

  it('says which option makes no sense, and takes undefined for none', () => {
    expect(() => logging({ redact: 'pin' as never })).toThrow('redact must be a list of names');
    expect(() => logging({ redact: [5] as never })).toThrow('redact must be a list of names');
    for (const destination of [5, {}, 'syslog'] as never[]) {
      expect(() => createLogger({ destination })).toThrow(/stdout, stderr, a file or a writer/);
    }
    const { logger, lines } = logging({ level: undefined, format: undefined, name: undefined, activeSpan: undefined });
    logger.debug('hidden');
    logger.information('shown');
    expect(lines).toHaveLength(1);
  });
});

describe('the level', () => {
  it.each(LOG_LEVELS)('%s lets through what is as important or more', (level) => {
    const { logger, records } = logging({ level });
    for (const each of LOG_LEVELS) if (each !== 'none') logger[each]('x');
    const expected = LOG_LEVELS.slice(LOG_LEVELS.indexOf(level)).filter((each) => each !== 'none');
    expect(records().map((record) => record['level'])).toEqual(expected);
    for (const each of LOG_LEVELS) expect(logger.isEnabled(each)).toBe((expected as string[]).includes(each));
  });

  it('changes at run time, for derived loggers too', () => {
    const { logger, lines } = logging();
    const derived = logger.with({ a: 1 });
    derived.debug('hidden');
    logger.setLevel('debug');
    derived.debug('shown');
    expect(logger.level).toBe('debug');
    logger.setLevel('none');
    derived.fatal('hidden');
    expect(lines).toHaveLength(1);
  });

  it('is checked before any argument is looked at', () => {
    const { logger } = logging();
    const trap = {
      get value(): never {
        throw new Error('looked at');
      },
      toString(): never {
        throw new Error('looked at');
      },
    };
    expect(() => logger.debug('{Trap}', trap)).not.toThrow();
  });

  it('must be one that exists', () => {
    expect(() => logging({ level: 'loud' as never })).toThrow(/'loud' is not a log level; those are verbose, debug/);
  });
});

describe('a console logger', () => {
  const pretty = (options: LoggerOptions = {}) => logging({ format: 'pretty', colors: false, ...options });
  const clock = new Date(TIME).toTimeString().slice(0, 8);

  it('writes a line to read', () => {
    const { logger, lines } = pretty();
    logger.with({ peer: '127.0.0.1', user: { name: 'ann' } }).information('Stored {Digest}', 'ab/3');
    expect(lines).toEqual([`${clock}.067 INF Stored ab/3 peer=127.0.0.1 user={"name":"ann"}\n`]);
  });

  it('shows an error and its causes in the line, and the stack below where it matters', () => {
    const { logger, lines } = pretty();
    const error = Object.assign(new Error('could not write', { cause: new Error('disk full') }), { code: 'EIO' });
    logger.warning('Upload failed', error);
    logger.error('Upload failed', error);
    logger.error('Upload failed', new Error('x', { cause: 'a text' }));
    expect(lines[0]).toBe(`${clock}.067 WRN Upload failed — Error: could not write (EIO) — Error: disk full\n`);
    expect(lines[1]).toMatch(/disk full\n {4}at .*create-logger\.test/);
    expect(lines[2]).toContain('Error: x — cause: a text\n');
  });

  it('lets no value forge a line or steer the terminal', () => {
    const { logger, lines } = pretty();
    logger.information('Asked for {Path}', 'a\n12:00:00.000 INF all is well\u001b[2J\tb');
    expect(lines).toEqual([`${clock}.067 INF Asked for a\\n12:00:00.000 INF all is well\\u001b[2J b\n`]);
    logger.information('Asked for {Path}', '\u202etxt.exe\u2066');
    expect(lines[1]).toBe(`${clock}.067 INF Asked for \\u202etxt.exe\\u2066\n`);
  });

  it('paints time, level and names when asked to', () => {
    const { logger, lines } = pretty({ colors: true });
    logger.with({ a: 1 }).error('x');
    expect(lines[0]).toBe(`\u001b[90m${clock}.067\u001b[0m \u001b[31mERR\u001b[0m x \u001b[90ma=\u001b[0m1\n`);
  });
});

describe('a logger to a file', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'granary-log-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  it('appends before the call returns, when it is not buffered', async () => {
    const file = join(directory, 'log');
    const logger = createLogger({ destination: { file } });
    logger.information('one');
    expect(await readFile(file, 'utf8')).toContain('"msg":"one"');
    await logger.close();
    const again = createLogger({ destination: { file } });
    again.information('two');
    await again.close();
    expect((await readFile(file, 'utf8')).trim().split('\n')).toHaveLength(2);
  });

  it('collects lines when it is buffered, and writes them at flush and at close', async () => {
    const file = join(directory, 'log');
    const logger = createLogger({ destination: { file }, buffered: true });
    logger.information('one');
    expect(await readFile(file, 'utf8')).toBe('');
    logger.flush();
    expect(await readFile(file, 'utf8')).toContain('"msg":"one"');
    logger.information('two');
    await Promise.all([logger.close(), logger.close()]);
    logger.information('too late');
    logger.flush();
    expect((await readFile(file, 'utf8')).trim().split('\n')).toHaveLength(2);
    expect(logger.dropped).toBe(1);
  });

  it('writes what is buffered when it is fatal', async () => {
    const file = join(directory, 'log');
    await using logger = createLogger({ destination: { file }, buffered: true });
    logger.fatal('the end');
    expect(await readFile(file, 'utf8')).toContain('the end');
  });

  it('drops and counts what a slow destination cannot take', async () => {
    await using logger = createLogger({ destination: { file: join(directory, 'log') }, buffered: true });
    // Nothing is written while this runs, since writing is asynchronous.
    for (let i = 0; i < 1200; i++) logger.information('{Text}', 'x'.repeat(8000));
    expect(logger.dropped).toBeGreaterThan(0);
    expect(logger.dropped).toBeLessThan(1200);
  });

  it('says so at once when the file cannot be opened', () => {
    expect(() => createLogger({ destination: { file: join(directory, 'none', 'log') } })).toThrow(/ENOENT/);
  });

  it.runIf(process.platform === 'linux')('outlives a file that cannot be written', async () => {
    const logger = createLogger({ destination: { file: '/dev/full' }, buffered: true });
    logger.information('x');
    logger.flush();
    logger.information('y');
    await logger.close();
    expect(logger.dropped).toBe(2);
  });
});

describe('a logger to a standard stream', () => {
  // A program of its own, because it is about how a process ends; Node 20 can't run its sources, so this is the build.
  it('loses nothing when the process exits with lines in the buffer', () => {
    const index = new URL('../index.ts', import.meta.url).href;
    const program = `
      const { createLogger } = await import(${JSON.stringify(index.replace('/src/index.ts', '/dist/index.js'))});
      const logger = createLogger({ destination: 'stdout', buffered: true });
      for (let i = 0; i < 100; i++) logger.information('line {I}', i);
      process.exit(0);`;
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
      encoding: 'utf8',
      timeout: 20_000,
    });
    expect(stderr).toBe('');
    expect(stdout.trim().split('\n')).toHaveLength(100);
  });
});

it('the null logger logs nothing', () => {
  for (const level of LOG_LEVELS) if (level !== 'none') nullLogger[level]('x');
  expect(nullLogger.isEnabled('fatal')).toBe(false);
  expect(nullLogger.with({ a: 1 }).forContext('b', 2)).toBe(nullLogger);
});
