import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { noopSpan } from '@granary/telemetry';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CallHeaders, type CallHeadersOptions } from './call-headers.js';

let directory: string;
let file: string;
let now = 0;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'granary-token-'));
  file = join(directory, 'token');
  now = 1_000_000;
});
afterEach(() => rm(directory, { recursive: true }));

function headersWith(options: Partial<CallHeadersOptions>) {
  return new CallHeaders({
    tier: 'upstream',
    headers: {},
    token: undefined,
    tokenFile: undefined,
    clock: () => now,
    ...options,
  });
}

const authorization = async (headers: CallHeaders) => (await headers.for(undefined)).get('authorization')[0];

describe('the headers of a call', () => {
  it('are those of the configuration, and the token', async () => {
    const headers = headersWith({ headers: { 'x-team': 'a b' }, token: 'secret' });
    expect((await headers.for(undefined)).getMap()).toEqual({ 'x-team': 'a b', authorization: 'Bearer secret' });
  });

  it('name the servers that the request has passed, and its trace', async () => {
    const headers = headersWith({ headers: { 'x-team': 'a' } });
    const span = {
      ...noopSpan,
      inject: (write: (name: string, value: string) => void) => {
        write('traceparent', '00-1-2-01');
        write('baggage', 'ünï');
        write('Bad Name', 'x');
      },
    };
    const metadata = await headers.for({ via: ['one', 'two', 'bad\r\nid', ''], span });
    expect(metadata.getMap()).toEqual({ 'x-team': 'a', 'granary-via': 'one,two', traceparent: '00-1-2-01' });
    expect((await headers.for({ via: [] })).getMap()).toEqual({ 'x-team': 'a' });
  });

  it.each([
    [{ 'X-Team': 'a' }, /lower case/],
    [{ 'x team': 'a' }, /no name/],
    [{ '': 'a' }, /no name/],
    [{ te: 'a' }, /can't be set/],
    [{ 'grpc-timeout': 'a' }, /can't be set/],
    [{ 'granary-via': 'a' }, /can't be set/],
    [{ 'x-bin': 'a' }, /can't be set/],
    [{ 'x-team': 'hunter2\r\nx: y' }, /value of "x-team"/],
    [{ 'x-team': 'hünter2' }, /value of "x-team"/],
  ])('can not be %j', (headers, error) => {
    expect(() => headersWith({ headers })).toThrow(error);
    expect(() => headersWith({ headers })).not.toThrow(/nter2/);
  });

  it('have one source of authorization', () => {
    expect(() => headersWith({ token: 'a', tokenFile: 'b' })).toThrow(RangeError);
    expect(() => headersWith({ headers: { authorization: 'x' }, token: 'a' })).toThrow(RangeError);
    expect(() => headersWith({ token: 'two words' })).toThrow(RangeError);
    expect(() => headersWith({ token: '' })).toThrow(RangeError);
  });

  it('read the token from its file again after a minute', async () => {
    await writeFile(file, 'first\n');
    const headers = headersWith({ tokenFile: file });
    expect(await Promise.all([authorization(headers), authorization(headers)])).toEqual([
      'Bearer first',
      'Bearer first',
    ]);
    await writeFile(file, 'second\n');
    now += 59_000;
    expect(await authorization(headers)).toBe('Bearer first');
    now += 1000;
    expect(await authorization(headers)).toBe('Bearer second');
  });

  it('read it sooner when it was refused, but not at every call', async () => {
    await writeFile(file, 'first');
    const headers = headersWith({ tokenFile: file });
    await authorization(headers);
    await writeFile(file, 'second');
    headers.doubt();
    expect(await authorization(headers)).toBe('Bearer first');
    now += 1000;
    expect(await authorization(headers)).toBe('Bearer second');
  });

  it('keep a token while its file can not be read, and fail while there is none', async () => {
    const headers = headersWith({ tokenFile: file });
    await expect((async () => headers.for(undefined))()).rejects.toMatchObject({ kind: 'refused' });
    await writeFile(file, 'first');
    expect(await authorization(headers)).toBe('Bearer first');
    now += 60_000;
    await writeFile(file, ' \n');
    expect(await authorization(headers)).toBe('Bearer first');
    now += 60_000;
    await writeFile(file, 'x'.repeat(20_000));
    expect(await authorization(headers)).toBe('Bearer first');
  });

  it('take credentials out of what a peer says', () => {
    const headers = headersWith({ headers: { 'x-key': 'key-12345678' }, token: 'token-1234' });
    expect(headers.redact('no token-1234, no key-12345678, fine')).toBe('no …, no …, fine');
  });
});
