import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectionOf, type RedisAddress } from './redis-address.js';

let folder: string;
let passwordFile: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'granary-redis-address-'));
  passwordFile = join(folder, 'password');
  await writeFile(passwordFile, 'from the file\n');
});
afterAll(() => rm(folder, { recursive: true }));

describe('an address of Redis', () => {
  it('is a URL with user, password and database, or what is given beside it', async () => {
    const urls = ['redis://user:p%40ss@[::1]:7000/3'] as const;
    expect(await connectionOf({ urls })).toEqual({
      host: '::1',
      port: 7000,
      db: 3,
      username: 'user',
      password: 'p@ss',
    });
    expect(await connectionOf({ urls, username: 'other', password: 'own' })).toMatchObject({
      username: 'other',
      password: 'own',
    });
    expect(await connectionOf({ urls, passwordFile })).toMatchObject({ password: 'from the file' });
    expect(await connectionOf({ urls: ['redis://host'] })).toEqual({ host: 'host', port: 6379, db: 0 });
  });

  it('is encrypted for rediss', async () => {
    expect(await connectionOf({ urls: ['rediss://host'] })).toMatchObject({ tls: {} });
    const tls = { ca: 'CA', cert: 'CERT', key: 'KEY', serverName: 'name' };
    expect(await connectionOf({ urls: ['rediss://host'], tls })).toMatchObject({
      tls: { ca: Buffer.from('CA'), cert: Buffer.from('CERT'), key: Buffer.from('KEY'), servername: 'name' },
    });
  });

  it('can be nodes of a cluster, or Sentinels', async () => {
    const urls = ['rediss://:secret@one', 'rediss://two:7000'] as const;
    expect(await connectionOf({ urls, topology: 'cluster' })).toEqual({
      nodes: [
        { host: 'one', port: 6379 },
        { host: 'two', port: 7000 },
      ],
      options: { redisOptions: { password: 'secret', tls: {} } },
    });
    const sentinels = { urls, topology: 'sentinel', group: 'main', sentinelPassword: 'other' } as const;
    expect(await connectionOf(sentinels)).toEqual({
      sentinels: [
        { host: 'one', port: 26_379 },
        { host: 'two', port: 7000 },
      ],
      name: 'main',
      db: 0,
      password: 'secret',
      sentinelPassword: 'other',
      tls: {},
      sentinelTLS: {},
      enableTLSForSentinelMode: true,
    });
  });

  it.each<[RedisAddress, RegExp]>([
    [{ urls: ['http://:secret@host'] }, /urls\[0\]/],
    [{ urls: ['redis://:secret@'] }, /urls\[0\]/],
    [{ urls: ['not a secret url'] }, /urls\[0\]/],
    [{ urls: ['redis://:secret@host?tls=secret'] }, /urls\[0\]/],
    [{ urls: ['redis://:secret@host/name'] }, /urls.*database/],
    [{ urls: ['redis://:secret%ff@host'] }, /urls.*percent/],
    [{ urls: ['redis://:secret@a', 'redis://b'] }, /urls.*topology/],
    [{ urls: ['redis://:secret@a', 'rediss://b'], topology: 'cluster' }, /urls.*all/],
    [{ urls: ['redis://:secret@a/1'], topology: 'cluster' }, /urls.*database/],
    [{ urls: [] as never }, /urls/],
    [{ urls: ['redis://a'], topology: 'sentinel' }, /group/],
    [{ urls: ['redis://a'], group: 'main' }, /group/],
    [{ urls: ['redis://a'], password: 'secret', passwordFile: '/secret' }, /password/],
    [{ urls: ['redis://:secret@a'], tls: {} }, /tls.*rediss/],
    [{ urls: ['rediss://:secret@a'], tls: { cert: 'secret' } }, /tls.*cert and key/],
  ])('is refused without a secret in the message: %#', async (address, message) => {
    const error = await connectionOf(address).catch((refusal: unknown) => refusal);
    expect(error).toMatchObject({ code: 'INVALID_OPTION' });
    expect(String(error)).toMatch(message);
    expect(inspect(error, { depth: 10 })).not.toContain('secret');
  });

  it('needs its file', async () => {
    await expect(connectionOf({ urls: ['redis://a'], passwordFile: join(folder, 'absent') })).rejects.toThrow('ENOENT');
  });
});
