import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LOG_LEVELS } from '../logger.js';
import { createLogger, type LoggerOptions } from './create-logger.js';

function logging(options: LoggerOptions = {}) {
  const lines: string[] = [];
  const logger = createLogger({
    destination: { write: (line: string) => lines.push(line) },
    format: 'json',
    level: 'verbose',
    ...options,
  });
  return { logger, lines, last: () => JSON.parse(lines.at(-1)!) as Record<string, unknown> };
}

const throws = () => {
  throw new Error('no');
};
const traps: ProxyHandler<object> = Object.fromEntries(
  ['get', 'has', 'ownKeys', 'getPrototypeOf', 'getOwnPropertyDescriptor', 'apply'].map((trap) => [trap, throws]),
);
const cyclic: Record<string, unknown> = { a: [] };
cyclic['self'] = cyclic;
(cyclic['a'] as unknown[]).push(cyclic, new Map([[cyclic, cyclic]]));
class Hostile extends Error {
  override get message(): string {
    return throws();
  }
}
const { proxy: revoked, revoke } = Proxy.revocable({}, {});
revoke();

/** Behind functions, since the generators look at what they make. */
const HOSTILE: readonly unknown[] = [
  new Proxy({}, traps),
  new Proxy(() => {}, traps),
  new Proxy([], traps),
  new Proxy(new Error('x'), traps),
  revoked,
  cyclic,
  new Hostile(),
  { toString: throws },
  { toString: () => ({}) },
  { toJSON: throws },
  { get a() { return throws(); }, b: 1 }, // biome-ignore format: short
  Object.create(null),
  Object.assign(Object.create(null), { __proto__: 1 }),
  JSON.parse('{"__proto__":{"polluted":true},"constructor":1,"toJSON":2,"hasOwnProperty":3}'),
  new Date(Number.NaN),
  new Map<unknown, unknown>([[Symbol('k'), Symbol('v')], [{}, 1n]]), // biome-ignore format: short
  new WeakMap(),
  Promise.resolve(1),
  new Uint8Array(5),
  new DataView(new ArrayBuffer(3)),
  new SharedArrayBuffer(2),
  Buffer.from('secret'),
  Object.assign([1, 2], { length: 1e9 }),
  new Array(1e9),
  '\ud800 lone',
  '\u2028\u0000"\\',
  -0,
  Number.MAX_VALUE,
  2n ** 200n,
  Symbol(),
  class A {},
  globalThis,
];
const hostile = fc.nat(HOSTILE.length - 1).map((i) => () => HOSTILE[i]);
const unwrapped = (value: unknown) => (typeof value === 'function' ? value() : value);
const argument = fc.oneof(
  fc.anything({
    withBigInt: true,
    withDate: true,
    withMap: true,
    withSet: true,
    withNullPrototype: true,
    withTypedArray: true,
    withSparseArray: true,
  }),
  hostile,
);
const name = fc.constantFrom(
  'A',
  'level',
  'time',
  'msg',
  'template',
  'err',
  'extra',
  'trace_id',
  '__proto__',
  'toString',
  'hasOwnProperty',
  '0',
  '7',
  'Password',
  'socket',
  'A'.repeat(300),
);
const piece = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 10 }),
  fc.constantFrom('{', '}', '{{', '}}', '{}', '{@', ',', ':', '=', '"', '\n', 'token=', '://', '@'),
  fc
    .record({
      name,
      operator: fc.constantFrom('', '@', '$'),
      width: fc.constantFrom('', ',5', ',-999'),
      format: fc.constantFrom('', ':F1', ':N', ':X99', ':D', ':P', ':?'),
    })
    .map((hole) => `{${hole.operator}${hole.name}${hole.width}${hole.format}}`),
);
const template = fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join(''));
const level = fc.constantFrom(...LOG_LEVELS.filter((each) => each !== 'none'));

const mapped = (context: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(context).map(([key, value]) => [key, unwrapped(value)]));

describe('any call', () => {
  it('throws nothing and writes one line of JSON, in which no name is there twice', () => {
    fc.assert(
      fc.property(
        level,
        template,
        fc.array(argument, { maxLength: 6 }),
        fc.dictionary(name, argument),
        (called, text, values, context) => {
          const { logger, lines } = logging({ activeSpan: () => ({ traceId: 'a', spanId: 'b' }) });
          logger.with(mapped(context))[called](text, ...values.map(unwrapped));
          expect(lines).toHaveLength(1);
          expect(lines[0]!.indexOf('\n')).toBe(lines[0]!.length - 1);
          const record = JSON.parse(lines[0]!);
          expect(record).toMatchObject({ level: called, time: expect.any(String), msg: expect.any(String) });
          const names = [...topLevelNames(lines[0]!)];
          expect(names).toEqual([...new Set(names)]);
          expect(Object.getPrototypeOf(record)).toBe(Object.prototype);
        },
      ),
      { numRuns: 1000 },
    );
  });

  it('writes one line to read, too', () => {
    fc.assert(
      fc.property(
        level,
        template,
        fc.array(argument, { maxLength: 6 }),
        fc.dictionary(name, argument),
        (called, text, values, context) => {
          const { logger, lines } = logging({ format: 'pretty' });
          const derived = logger.with(mapped(context));
          if (called === 'error' || called === 'fatal') return;
          derived[called](text, ...values.map(unwrapped));
          expect(lines).toHaveLength(1);
          // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there
          expect(lines[0]).toMatch(/^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*\n$/);
        },
      ),
      { numRuns: 500 },
    );
  });

  it.each<[string, unknown]>([
    ['an error', new Error('x')],
    ['nothing', undefined],
    ['null', null],
    ['a number', 3],
    ['an object', { a: 1 }],
    ['a symbol', Symbol('s')],
    ['what throws when it is looked at', new Proxy({}, traps)],
  ])('takes %s for a template', (_what, value) => {
    const { logger, lines, last } = logging();
    logger.warning(value as never);
    expect(last()).not.toHaveProperty('extra');
    logger.warning(value as never, 1, 'two');
    expect(lines).toHaveLength(2);
    expect(last()).toMatchObject({ template: '{Value}', extra: [1, 'two'] });
  });

  it('keeps an error that is passed alone', () => {
    const { logger, last } = logging();
    logger.error(new TypeError('broken') as never);
    expect(last()).toMatchObject({ msg: 'TypeError: broken', err: { type: 'TypeError', message: 'broken' } });
  });

  it('keeps what comes behind an object that is passed first, as with other loggers', () => {
    const { logger, last } = logging();
    logger.error({ package: 'left-pad' } as never, 'broken', new TypeError('no'));
    expect(last()).toMatchObject({ Value: { package: 'left-pad' }, extra: ['broken'], err: { type: 'TypeError' } });
  });

  it('is bounded, however much it is given', () => {
    const { logger, lines, last } = logging();
    let deep: unknown = 'bottom';
    for (let i = 0; i < 100_000; i++) deep = { deep };
    const knot: unknown[] = [];
    for (let i = 0; i < 100; i++) knot.push({ knot: [...knot], i });
    const wide = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`p${i}`, 'x'.repeat(1000)]));
    const errors = new AggregateError(
      Array.from({ length: 1000 }, () => new AggregateError([deep, new Error('x'.repeat(1e6))])),
    );
    for (const value of [
      deep,
      knot,
      wide,
      errors,
      'x'.repeat(1e7),
      new Map(Object.entries(wide)),
      { ['k'.repeat(1e6)]: 1 },
    ]) {
      logger.with({ value }).error('{@Value}', value, value, errors);
      logger.error(`{Value} ${'{A} '.repeat(500)}`, ...Array.from({ length: 2000 }, () => value));
    }
    expect(last()['extra']).toHaveLength(100);
    for (const line of lines) expect(line.length).toBeLessThan(1_000_000);
    expect(lines).toHaveLength(14);
  });

  it("says which of an object's properties cannot be read, and reads the others", () => {
    const { logger, last } = logging();
    logger.information('{@Value}', { a: 1, get b() { return throws(); }, c: { toString: throws }, d: 4 }); // biome-ignore format: short
    expect(last()['Value']).toEqual({ a: 1, b: '[unreadable]', c: '[unreadable]', d: 4 });
  });

  it('asks objects for their toJSON where their structure is asked for', () => {
    const { logger, last } = logging();
    const money = { toJSON: () => ({ amount: '3', currency: 'EUR' }) };
    logger.information('{@Price} {Plain}', money, money);
    expect(last()).toMatchObject({ Price: { amount: '3', currency: 'EUR' }, Plain: { toJSON: '[function toJSON]' } });
  });

  it('formats numbers of any kind, and leaves alone what is none', () => {
    const { logger, last } = logging();
    logger.information(
      '{A:N0} {B:X} {C:F1} {D:P} {E:D5} {F:F1} {G:N} {H,6:F1}|',
      12345678901234567890n,
      -255,
      3n,
      2n,
      -7n,
      Number.NaN,
      'text',
      1.25,
    );
    expect(last()['msg']).toBe('12,345,678,901,234,567,890 -FF 3.0 200.00% -00007 NaN text    1.3|');
    expect(last()).toMatchObject({ A: '12345678901234567890', B: -255, F: 'NaN' });
  });

  it('shows an argument as often as holes that are all numbers ask for it', () => {
    const { logger, last } = logging();
    logger.information('{1} before {0}, {1} again', 'b', 'a', 'left over');
    expect(last()).toMatchObject({ msg: 'a before b, a again', '0': 'b', '1': 'a', extra: ['left over'] });
  });

  it('loses no argument that holes of numbers leave out', () => {
    const { logger, last } = logging();
    logger.error('{1} of {3} failed', new TypeError('broken'), 'a', 'between', 'b', 'left over');
    expect(last()).toMatchObject({ msg: 'a of b failed', '1': 'a', '3': 'b', extra: ['between', 'left over'] });
    expect(last()['err']).toMatchObject({ type: 'TypeError', message: 'broken' });
    logger.information('{99}', 'only');
    expect(last()).toMatchObject({ msg: '{99}', extra: ['only'] });
  });

  it('writes a name once, with the value that is nearest', () => {
    const { logger, lines, last } = logging();
    logger.with({ A: 'far', B: 'kept' }).with({ A: 'nearer' }).information('{A} {A}', 'near', 'nearest');
    expect(last()).toMatchObject({ A: 'nearest', B: 'kept', msg: 'near nearest' });
    expect(lines[0]!.split('"A":')).toHaveLength(2);
  });
});

/** The names of the outermost object of a line, each as often as it is there. */
function* topLevelNames(line: string): Generator<string> {
  let depth = 0;
  for (const [token, quoted] of line.matchAll(/("(?:[^"\\]|\\.)*")\s*(?=:)|"(?:[^"\\]|\\.)*"|[{}[\]]/g)) {
    if (token === '{' || token === '[') depth++;
    else if (token === '}' || token === ']') depth--;
    else if (depth === 1 && quoted !== undefined) yield quoted;
  }
}
