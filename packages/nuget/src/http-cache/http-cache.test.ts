import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { ManualTime } from '@granary/resilience/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { HttpCache } from './http-cache.js';
import { SmallFiles } from './small-files.js';

const SOURCE = 'https://api.nuget.org/v3/index.json';
const HOUR = 3_600_000;

let folder: string;
let time: ManualTime;
let cache: HttpCache;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'http-cache-'));
  time = new ManualTime(Date.UTC(2026, 0, 1));
  cache = new HttpCache({ folder, clock: time.clock });
});

afterEach(async () => {
  await cache.close();
  rmSync(folder, { recursive: true, force: true });
});

const read = async (key: string, maxAgeMs = HOUR): Promise<string | undefined> => {
  const stream = await cache.get(SOURCE, key, maxAgeMs);
  return stream && text(stream);
};
/** Everything that lies in the folder of the source. */
const names = (): string[] => readdirSync(dirname(cache.getCachePath(SOURCE, 'x'))).sort();

/** A file as another program leaves it. */
function foreign(key: string, content: string | Buffer, modifiedAt = time.clock()): string {
  const path = cache.getCachePath(SOURCE, key);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  utimesSync(path, modifiedAt / 1000, modifiedAt / 1000);
  return path;
}

describe.each([
  ['fast', true],
  ['slow', false],
])('on a disk that is %s', (_, areFast) => {
  beforeEach(() => {
    vi.spyOn(SmallFiles.prototype, 'areFast', 'get').mockReturnValue(areFast);
  });
  afterEach(() => {
    vi.restoreAllMocks();
  });

  describe('the HTTP cache', () => {
    it('gives what was written, from where NuGet.Client looks for it', async () => {
      await cache.set(SOURCE, 'list_a', Readable.from([Buffer.from('one'), Buffer.from(' two')]));
      expect(await read('list_a')).toBe('one two');
      expect(cache.getCachePath(SOURCE, 'list_a')).toBe(
        join(folder, basename(dirname(cache.getCachePath(SOURCE, 'x'))), 'list_a.dat'),
      );
      expect(readFileSync(cache.getCachePath(SOURCE, 'list_a'), 'utf8')).toBe('one two');
      expect(names()).toEqual(['list_a.dat']);
    });

    it.each(['..', '.', '../x'])('keeps what is called %j in the folder of its source', async (key) => {
      await cache.set(SOURCE, key, Buffer.from('one'));
      expect(await read(key)).toBe('one');
      expect(readdirSync(folder)).toHaveLength(1);
      expect(names()).toHaveLength(1);
      expect(await cache.delete(SOURCE, key)).toBe(true);
      expect(existsSync(dirname(cache.getCachePath(SOURCE, 'x')))).toBe(true);
    });

    it('takes a stream of texts as well', async () => {
      expect(await cache.set(SOURCE, 'list_a', Readable.from(['eins', ' zwölf']))).toBe(11);
      expect(await read('list_a')).toBe('eins zwölf');
    });

    it('gives what another program wrote', async () => {
      foreign('service_index', '{}');
      expect(await read('service_index')).toBe('{}');
    });

    it('has nothing of other keys and of other sources', async () => {
      await cache.set(SOURCE, 'list_a', Buffer.from('one'));
      expect(await read('list_b')).toBeUndefined();
      expect(await cache.get('https://other/index.json', 'list_a', HOUR)).toBeUndefined();
    });

    it('gives only what is younger than asked for', async () => {
      await cache.set(SOURCE, 'list_a', Buffer.from('one'));
      await time.advance(999);
      expect(await read('list_a', 1000)).toBe('one');
      await time.advance(1);
      expect(await read('list_a', 1000)).toBeUndefined();
      expect(await read('list_a', 0)).toBeUndefined();
      const file = await cache.open(SOURCE, 'list_a');
      expect(String(await file?.bytes())).toBe('one');
      // What is at hand was never open.
      const content = file?.content;
      expect(Buffer.isBuffer(content) || content?.fd).toBe(Buffer.isBuffer(content) || -1);
    });

    it('takes a file from the future for old, unless clocks may differ by so much', async () => {
      foreign('near', 'x', time.clock() + 30_000);
      foreign('far', 'x', time.clock() + HOUR);
      expect(await read('near')).toBe('x');
      expect(await read('far')).toBeUndefined();
    });

    it('makes a file young again when the source confirms it', async () => {
      await cache.set(SOURCE, 'list_a', Buffer.from('one'));
      await time.advance(2 * HOUR);
      await cache.renew(SOURCE, 'list_a', time.clock());
      expect(await read('list_a')).toBe('one');
      await cache.renew(SOURCE, 'gone', time.clock());
    });

    it('deletes one file, or all of a source', async () => {
      await cache.set(SOURCE, 'a', Buffer.from('1'), undefined, { validators: { url: 'u', etag: '"e"' } });
      await cache.set(SOURCE, 'b', Buffer.from('2'));
      await cache.set('https://other/', 'b', Buffer.from('3'));
      expect(await cache.delete(SOURCE, 'a')).toBe(true);
      expect(await cache.delete(SOURCE, 'a')).toBe(false);
      expect(names()).toEqual(['b.dat']);
      await cache.clear(SOURCE);
      await cache.clear('https://never.was/');
      expect(await read('b')).toBeUndefined();
      expect(await text((await cache.get('https://other/', 'b', HOUR)) as Readable)).toBe('3');
    });

    it('deletes what is kept under keys that begin alike, those included that are too long to be names', async () => {
      await cache.set(SOURCE, 'list_a', Buffer.from('1'), undefined, { validators: { url: 'u', etag: '"e"' } });
      await cache.set(SOURCE, `list_${'b'.repeat(300)}`, Buffer.from('2'));
      await cache.set(SOURCE, 'service_index', Buffer.from('3'));
      await cache.set('https://other/', 'list_a', Buffer.from('4'));
      await cache.deleteBeginning(SOURCE, 'list_');
      await cache.deleteBeginning('https://never.was/', 'list_');
      expect(names()).toEqual(['service_index.dat']);
      expect(await text((await cache.get('https://other/', 'list_a', HOUR)) as Readable)).toBe('4');
    });

    it.each([{ folder: '' }, { folder: 'x', maxBytes: 0 }, { folder: 'x', maxBytes: 1.5 }])('refuses %j', (options) => {
      expect(() => new HttpCache(options)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
    });

    it('takes a folder in the place of a file for nothing', async () => {
      mkdirSync(cache.getCachePath(SOURCE, 'a'), { recursive: true });
      expect(await read('a')).toBeUndefined();
    });
  });

  describe('a write', () => {
    it('that the validator refuses leaves the old file and nothing else', async () => {
      await cache.set(SOURCE, 'a', Buffer.from('old'));
      const refuse = (path: string) => {
        expect(readFileSync(path, 'utf8')).toBe('new');
        throw new Error('no');
      };
      await expect(cache.set(SOURCE, 'a', Buffer.from('new'), refuse)).rejects.toThrow('no');
      expect(await read('a')).toBe('old');
      expect(names()).toEqual(['a.dat']);
    });

    it('whose stream breaks leaves nothing', async () => {
      async function* broken() {
        yield Buffer.from('part');
        throw new Error('broke');
      }
      const stream = Readable.from(broken());
      await expect(cache.set(SOURCE, 'a', stream)).rejects.toThrow('broke');
      expect(stream.destroyed).toBe(true);
      expect(names()).toEqual([]);
    });

    it('that cannot begin ends its stream', async () => {
      writeFileSync(join(folder, 'file'), '');
      const blocked = new HttpCache({ folder: join(folder, 'file') });
      const stream = Readable.from([Buffer.from('x')]);
      await expect(blocked.set(SOURCE, 'a', stream)).rejects.toThrow();
      expect(stream.destroyed).toBe(true);
      await blocked.close();
    });

    it('lets who reads the old file go on reading it', async () => {
      await cache.set(SOURCE, 'a', Buffer.alloc(300_000, 'o'));
      const stream = (await cache.get(SOURCE, 'a', HOUR)) as Readable;
      await cache.set(SOURCE, 'a', Buffer.from('new'));
      expect((await buffer(stream)).equals(Buffer.alloc(300_000, 'o'))).toBe(true);
      expect(await read('a')).toBe('new');
    });

    it('of many to one key at once fails for none, and one of them wins', async () => {
      const writers = Array.from({ length: 20 }, (_, i) => Buffer.alloc(10_000, String.fromCharCode(97 + i)));
      await Promise.all(
        writers.map((body) =>
          cache.set(SOURCE, 'a', body, undefined, { validators: { url: 'u', etag: `"${body[0]}"` } }),
        ),
      );
      const found = Buffer.from((await read('a')) ?? '');
      expect(writers.some((body) => body.equals(found))).toBe(true);
      expect(names()).toEqual(['a.dat', 'a.etag']);
      const file = await cache.open(SOURCE, 'a');
      await file?.close();
    });

    it('goes on while another process removes the whole cache', async () => {
      await cache.set(SOURCE, 'a', Buffer.from('x'), () => rmSync(folder, { recursive: true }));
      expect(await read('a')).toBeUndefined();
      await cache.set(SOURCE, 'a', Buffer.from('x'));
      expect(await read('a')).toBe('x');
    });

    it('is waited for by close, and none begins afterwards', async () => {
      const written = cache.set(SOURCE, 'a', Readable.from([Buffer.alloc(100_000)]));
      await cache.close();
      expect(statSync(cache.getCachePath(SOURCE, 'a')).size).toBe(100_000);
      await written;
      await expect(cache.set(SOURCE, 'b', Buffer.from('x'))).rejects.toMatchObject({ code: 'CLOSED' });
    });
  });

  describe('validators', () => {
    const VALIDATORS = { url: 'https://x/1', etag: '"1"', lastModified: 'Thu, 01 Jan 2026 00:00:00 GMT' };
    const validators = () => cache.validators(SOURCE, 'a');
    const sha512 = createHash('sha512').update('one').digest('base64');

    it('lie beside the file, and come with it', async () => {
      await cache.set(SOURCE, 'a', Buffer.from('one'), undefined, { validators: VALIDATORS });
      expect(names()).toEqual(['a.dat', 'a.etag']);
      expect(await validators()).toEqual({ ...VALIDATORS, sha512 });
    });

    it('name the hash that the caller has, however long the content is', async () => {
      const known = { validators: VALIDATORS, sha512: 'known' };
      for (const body of [Buffer.from('one'), Buffer.alloc(300_000), Readable.from([Buffer.from('one')])]) {
        await cache.set(SOURCE, 'a', body, undefined, known);
        expect(await validators()).toEqual({ ...VALIDATORS, sha512: 'known' });
      }
    });

    it('are still there after the source confirmed the file', async () => {
      await cache.set(SOURCE, 'a', Buffer.from('one'), undefined, { validators: VALIDATORS });
      await time.advance(HOUR);
      await cache.renew(SOURCE, 'a', time.clock());
      expect(await validators()).toEqual({ ...VALIDATORS, sha512 });
      await cache.renew(SOURCE, 'a', time.clock(), { ...VALIDATORS, etag: '"2"', sha512 });
      expect(await validators()).toEqual({ ...VALIDATORS, etag: '"2"', sha512 });
    });

    it('go when what is written has none', async () => {
      await cache.set(SOURCE, 'a', Buffer.from('one'), undefined, { validators: VALIDATORS });
      await cache.set(SOURCE, 'a', Buffer.from('one'));
      expect(names()).toEqual(['a.dat']);
    });

    it.each(['', '{', '[]', 'null', '{"url":"u"}', 'x'.repeat(20_000)])(
      'that make no sense are none: %j',
      async (content) => {
        await cache.set(SOURCE, 'a', Buffer.from('one'));
        writeFileSync(cache.getCachePath(SOURCE, 'a').replace('.dat', '.etag'), content);
        expect(await validators()).toBeUndefined();
      },
    );
  });

  describe('the size of the cache', () => {
    const KB = 1024;
    const bounded = async (maxBytes: number) => {
      await cache.close();
      cache = new HttpCache({ folder, maxBytes, clock: time.clock });
    };
    const there = () =>
      names()
        .filter((name) => name.endsWith('.dat'))
        .join(' ');

    it('is kept by removing what was not used for longest, whoever wrote it', async () => {
      await bounded(100 * KB);
      for (let i = 0; i < 5; i++) foreign(`f${i}`, Buffer.alloc(30 * KB), time.clock() - (10 - i) * HOUR);
      expect(await cache.trim()).toEqual({ files: 3, bytes: 90 * KB, removedFiles: 2, removedBytes: 60 * KB });
      expect(there()).toBe('f2.dat f3.dat f4.dat');
      expect(cache.bytes).toBe(90 * KB);
    });

    it('counts a use as making young', async () => {
      await bounded(100 * KB);
      for (let i = 0; i < 4; i++) foreign(`f${i}`, Buffer.alloc(30 * KB), time.clock() - (10 - i) * HOUR);
      const path = cache.getCachePath(SOURCE, 'f0');
      utimesSync(path, time.clock() / 1000, statSync(path).mtimeMs / 1000);
      await cache.trim();
      expect(there()).toBe('f0.dat f2.dat f3.dat');
    });

    it('is watched in the background, by those who write', async () => {
      await bounded(100 * KB);
      foreign('old', Buffer.alloc(90 * KB), time.clock() - HOUR);
      await cache.set(SOURCE, 'new', Buffer.alloc(30 * KB));
      await cache.trim();
      expect(there()).toBe('new.dat');
      for (let i = 0; i < 10; i++) {
        await time.advance(1000);
        await cache.set(SOURCE, `n${i}`, Buffer.alloc(30 * KB));
      }
      await cache.close();
      await bounded(100 * KB);
      expect((await cache.trim()).bytes).toBeLessThanOrEqual(100 * KB);
      expect(there()).toContain('n9.dat');
    });

    it('is kept to when the cache is closed, however much was written just before', async () => {
      await bounded(100 * KB);
      for (let i = 0; i < 20; i++) await cache.set(SOURCE, `n${i}`, Buffer.alloc(30 * KB));
      await cache.close();
      expect(names().length).toBeLessThanOrEqual(3);
    });

    it('is kept to when nobody comes after what was written while it was looked at', async () => {
      await cache.close();
      let writes: Promise<number>[] | undefined;
      const clock = () => {
        // The second time that it is asked for, a file is looked at.
        if (asked++ === 1)
          writes = Array.from({ length: 20 }, (_, i) => cache.set(SOURCE, `n${i}`, Buffer.alloc(30 * KB)));
        return time.clock();
      };
      let asked = 0;
      foreign('a', 'x');
      cache = new HttpCache({ folder, maxBytes: 100 * KB, clock });
      await cache.trim();
      await Promise.all(writes ?? []);
      await vi.waitFor(() => expect(names().filter((name) => name.startsWith('n')).length).toBeLessThanOrEqual(3), {
        timeout: 20_000,
      });
    });

    it('is not told from files that are none of the cache', async () => {
      await bounded(KB);
      const foreigners = [join(folder, 'mine.dat'), join(folder, 'photos', 'me.dat')];
      mkdirSync(join(folder, 'photos'));
      for (const path of foreigners) writeFileSync(path, Buffer.alloc(10 * KB));
      const odd = join(dirname(foreign('a', Buffer.alloc(2 * KB), time.clock() - HOUR)), 'notes.txt');
      writeFileSync(odd, Buffer.alloc(10 * KB));
      expect(await cache.trim()).toMatchObject({ files: 0, bytes: 0, removedFiles: 1 });
      for (const path of [...foreigners, odd]) expect(existsSync(path)).toBe(true);
    });

    it('removes validators with their file, and those whose file is gone', async () => {
      await bounded(KB);
      await cache.set(SOURCE, 'a', Buffer.alloc(2 * KB), undefined, { validators: { url: 'u', etag: '"1"' } });
      await cache.set(SOURCE, 'b', Buffer.from('x'), undefined, { validators: { url: 'u', etag: '"1"' } });
      rmSync(cache.getCachePath(SOURCE, 'b'));
      utimesSync(cache.getCachePath(SOURCE, 'b').replace('.dat', '.etag'), 1, 1);
      await cache.trim();
      expect(names()).toEqual([]);
    });

    it('removes temporary files of processes that are gone, and of nobody else', async () => {
      const source = dirname(foreign('a', 'x'));
      const dead = spawnSync(process.execPath, ['-e', '']).pid;
      const host = createHash('sha256').update(hostname()).digest('hex').slice(0, 8);
      const left = [`.granary-${host}-${dead}-abc-1.tmp`, `.granary-${host}-${process.pid}-abc-1.tmp`, 'old.dat-new'];
      const inUse = [
        `.granary-${host}-${process.ppid}-abc-1.tmp`,
        `.granary-00000000-${dead}-abc-1.tmp`,
        'young.dat-new',
      ];
      for (const name of [...left, ...inUse]) writeFileSync(join(source, name), 'x');
      const now = time.clock() / 1000;
      for (const name of [...left, ...inUse]) utimesSync(join(source, name), now, now);
      utimesSync(join(source, 'old.dat-new'), 1, 1);
      const temporary = await cache.createTemporary(SOURCE);
      await temporary.handle.close();
      await cache.trim();
      expect(names()).toEqual([basename(temporary.path), ...inUse, 'a.dat'].sort());
    });

    it('is unknown until somebody looked', async () => {
      expect(cache.bytes).toBeUndefined();
      expect(await cache.trim()).toEqual({ files: 0, bytes: 0, removedFiles: 0, removedBytes: 0 });
      expect(cache.bytes).toBe(0);
      await cache.set(SOURCE, 'a', Buffer.alloc(5));
      expect(cache.bytes).toBe(5);
    });
  });
});
