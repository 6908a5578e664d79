import { type Logger, nullLogger } from '@granary/telemetry';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { InvalidValueError } from '../errors.js';
import type { Layer } from '../layer.js';
import { MemoryLayer } from '../layers/memory-layer.js';
import { ValidatedLayer } from './validated-layer.js';
import { allOf, atMostBytes, fitting, ofType, type Validator } from './validators.js';

const short = allOf(ofType('string'), atMostBytes(3));

describe('a validated layer', () => {
  it('throws on entry what is wrong, and stores nothing of it', () => {
    const memory = new MemoryLayer<unknown>({ name: 'L1' });
    const layer = new ValidatedLayer(memory, short);
    layer.set('a', 'abc');
    expect(() => layer.set('a', 'abcd')).toThrow(new InvalidValueError('L1: the value of a has 4 bytes, over 3'));
    expect(() => layer.set('a', 7)).toThrow('L1: the value of a is number, not string');
    expect(memory.get('a')).toBe('abc');
  });

  it('takes for a miss what comes out wrong', async () => {
    const memory = new MemoryLayer<unknown>();
    const layer = new ValidatedLayer(memory, short);
    memory.set('old', 'too long');
    memory.set('new', 'ok');
    expect(layer.get('old')).toBeUndefined();
    expect(layer.getEntry?.('old')).toBeUndefined();
    expect(layer.get('new')).toBe('ok');
    expect(layer.getEntry?.('new')).toEqual({ value: 'ok', expiresAt: undefined });
    expect([...(await layer.getMany!(['old', 'new', 'none'])).keys()]).toEqual(['new']);
  });

  it('throws on exit where it is told to', async () => {
    const memory = new MemoryLayer<unknown>();
    const layer = new ValidatedLayer(memory, short, { onExit: 'strict' });
    memory.set('a', 7);
    expect(() => layer.get('a')).toThrow(InvalidValueError);
    await expect(layer.getMany!(['a'])).rejects.toThrow(InvalidValueError);
    expect(layer.get('nothing')).toBeUndefined();
  });

  it('skips on entry, and deletes what the key had', async () => {
    const memory = new MemoryLayer<unknown>();
    const layer = new ValidatedLayer(memory, short, { onEntry: 'skip' });
    for (const key of ['a', 'b', 'c']) memory.set(key, 'old');
    layer.set('a', 'too long');
    expect(memory.get('a')).toBeUndefined();
    await layer.setMany!(
      new Map([
        ['b', 'too long'],
        ['c', 'new'],
      ]),
    );
    expect([memory.get('b'), memory.get('c')]).toEqual([undefined, 'new']);
  });

  it('logs and lets pass', () => {
    const logged: unknown[][] = [];
    const logger: Logger = { ...nullLogger, warning: (...record) => void logged.push(record) };
    const layer = new ValidatedLayer(new MemoryLayer<unknown>({ name: 'L1' }), short, {
      onEntry: 'warn',
      onExit: 'warn',
      logger,
    });
    layer.set('a', 'secret');
    expect(layer.get('a')).toBe('secret');
    expect(logged.map((record) => record.slice(1))).toEqual([
      ['L1', 'a', 'has 6 bytes, over 3', 'entry'],
      ['L1', 'a', 'has 6 bytes, over 3', 'exit'],
    ]);
    expect(JSON.stringify(logged)).not.toContain('secret');
  });

  it('checks nothing in a direction that is off', () => {
    const layer = new ValidatedLayer(new MemoryLayer<unknown>(), short, { onEntry: 'off', onExit: 'off' });
    layer.set('a', 7);
    expect(layer.get('a')).toBe(7);
  });

  it('takes a validator that throws, or rejects, for a value that is wrong', async () => {
    const throws: Validator = () => {
      throw new Error('no idea');
    };
    expect(() => new ValidatedLayer<unknown>(new MemoryLayer(), throws).set('a', 1)).toThrow(
      /can't be validated \(no idea\)/,
    );
    const rejects: Validator = () => Promise.reject('none');
    await expect(new ValidatedLayer<unknown>(new MemoryLayer(), rejects).set('a', 1)).rejects.toThrow(/\(none\)/);
  });

  it('validates by a schema of any library that follows the standard', async () => {
    const user = fitting(z.object({ name: z.string(), tags: z.array(z.number()) }));
    const layer = new ValidatedLayer(new MemoryLayer<unknown>({ name: 'L1' }), user);
    layer.set('a', { name: 'Ann', tags: [1] });
    expect(layer.get('a')).toEqual({ name: 'Ann', tags: [1] });
    expect(() => layer.set('a', { name: 'Ann', tags: [1, 'x'] })).toThrow(/^L1: the value of a tags\.1: /);
    const later = fitting({
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: async (value) => (value === 1 ? { value } : { issues: [{ message: 'no' }] }),
      },
    });
    const slow = new ValidatedLayer<unknown>(new MemoryLayer({ name: 'L1' }), later);
    await slow.set('a', 1);
    expect(await slow.get('a')).toBe(1);
    await expect(slow.set('a', 2)).rejects.toThrow('L1: the value of a no');
  });

  it('has the optional methods of its layer, and refuses options that make no sense', () => {
    const plain: Layer<unknown> = { name: 'p', get() {}, set() {}, delete: () => false, close() {} };
    expect(new ValidatedLayer(plain, short)).toMatchObject({
      getMany: undefined,
      setMany: undefined,
      clear: undefined,
    });
    expect(() => new ValidatedLayer(plain, 'x' as never)).toThrow(/^validator must be/);
    expect(() => new ValidatedLayer(plain, short, { onExit: 'maybe' as never })).toThrow(/^onExit must be/);
    expect(() => atMostBytes(-1)).toThrow(/^maxBytes must be/);
  });
});

describe('validators', () => {
  it.each([
    ['a', 'string'],
    [1, 'number'],
    [1n, 'bigint'],
    [true, 'boolean'],
    [null, 'null'],
    [{}, 'object'],
    [[], 'array'],
    [new Uint8Array(1), 'bytes'],
  ] as const)('tell the type of %s', async (value, type) => {
    expect(await ofType(type)(value, 'k')).toBeUndefined();
    expect(await ofType('symbol', 'function')(value, 'k')).toBe(`is ${type}, not symbol or function`);
  });

  it('measure bytes, strings as UTF-8, and all else by its JSON', async () => {
    for (const [value, bytes] of [
      [new Uint8Array(5), 5],
      ['€', 3],
      [{ a: 1 }, 7],
      [undefined, 0],
    ] as const) {
      expect(await atMostBytes(bytes)(value, 'k')).toBeUndefined();
      if (bytes > 0) expect(await atMostBytes(bytes - 1)(value, 'k')).toBe(`has ${bytes} bytes, over ${bytes - 1}`);
    }
    expect(await atMostBytes(5, () => Number.NaN)('a', 'k')).toBe('has NaN bytes, over 5');
  });
});
