import { mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runGranary } from '../../../testing/run-granary.js';
import { temporaryFolder } from '../../../testing/test-server.js';

let folder: string;
let environment: Record<string, string>;
beforeEach(async () => {
  folder = await temporaryFolder();
  environment = {
    HOME: folder,
    NUGET_COMMON_APPLICATION_DATA: folder,
    NUGET_HTTP_CACHE_PATH: join(folder, 'http'),
    NUGET_PACKAGES: join(folder, 'packages'),
  };
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function put(path: string, size: number): Promise<void> {
  await mkdir(dirname(join(folder, path)), { recursive: true });
  await writeFile(join(folder, path), Buffer.alloc(size));
}

const SOURCE = `${'0a'.repeat(20)}$ps:_api.nuget.org_v3_index.json`;
const cache = (...words: string[]) => runGranary(['nuget', 'cache', ...words], { environment });

async function fill(): Promise<void> {
  await put(`http/${SOURCE}/service_index.dat`, 1024);
  await put(`http/${SOURCE}/list_a.dat`, 1024);
  await put('http/notes.txt', 5);
  await put('packages/a/1.0.0/.nupkg.metadata', 100);
  await put('packages/a/1.0.0/lib/net8.0/a.dll', 400);
  await put('packages/b/2.0.0/b.2.0.0.nupkg.sha512', 12);
  await put('packages/mine/letters/letter.txt', 9);
  await symlink(join(folder, 'http'), join(folder, 'packages', 'link'));
}

describe('granary nuget cache', () => {
  it('shows the folders and how much is in them', async () => {
    await fill();
    expect((await cache()).out).toBe(
      `NAME             ENTRIES   SIZE  FOLDER\n` +
        `http-cache             1  2 KiB  ${join(folder, 'http')}\n` +
        `global-packages        2  512 B  ${join(folder, 'packages')}\n`,
    );
    expect(JSON.parse((await cache('list', '--json')).out)).toEqual({
      caches: [
        { name: 'http-cache', folder: join(folder, 'http'), entries: 1, bytes: 2048 },
        { name: 'global-packages', folder: join(folder, 'packages'), entries: 2, bytes: 512 },
      ],
    });
  });

  it('shows folders that are not there', async () => {
    expect((await cache()).out).toContain('http-cache             0   0 B');
    expect((await cache('clear', 'all')).exitCode).toBe(0);
  });

  it('prints one folder', async () => {
    expect(await cache('path', 'global-packages')).toEqual({
      exitCode: 0,
      out: `${join(folder, 'packages')}\n`,
      err: '',
    });
    expect(JSON.parse((await cache('path', 'http-cache', '--json')).out)).toEqual({
      name: 'http-cache',
      folder: join(folder, 'http'),
    });
  });

  it('empties what it is told to, and leaves what belongs to others', async () => {
    await fill();
    expect((await cache('clear', 'http-cache')).out).toBe(`http-cache: removed 1 entry from ${join(folder, 'http')}\n`);
    expect(await readdir(join(folder, 'http'))).toEqual(['notes.txt']);
    expect((await readdir(join(folder, 'packages'))).length).toBe(4);
    expect(JSON.parse((await cache('clear', 'all', '--json')).out)).toMatchObject({
      cleared: [
        { name: 'http-cache', removed: 0 },
        { name: 'global-packages', removed: 2 },
      ],
    });
    expect((await readdir(join(folder, 'packages'))).sort()).toEqual(['link', 'mine']);
    expect(await readdir(join(folder, 'http'))).toEqual(['notes.txt']);
  });

  it('removes what interrupted installs and restores have left, too', async () => {
    await put('packages/a/.granary~0123456789abcdef/a.1.0.0.nupkg', 100);
    await put('packages/b/1.0.0/b.nuspec', 20);
    await put('packages/b/1.0.0/lib/net8.0/b.dll', 30);
    await put('packages/mine/letters/letter.nuspec', 9);
    expect((await cache()).out).toMatch(/global-packages +2 +150 B/);
    expect((await cache('clear', 'global-packages')).out).toContain('removed 2 entries');
    expect(await readdir(join(folder, 'packages'))).toEqual(['mine']);
  });

  it('knows its names', async () => {
    for (const words of [
      ['clear', 'everything'],
      ['path', 'all'],
    ]) {
      const { exitCode, err } = await cache(...words);
      expect(exitCode).toBe(2);
      expect(err).toContain(`granary: found "${words[1]}"; allowed: http-cache, global-packages`);
    }
  });

  it('says which variable is wrong', async () => {
    environment['NUGET_PACKAGES'] = 'packages';
    const { exitCode, err } = await cache();
    expect({ exitCode, err }).toEqual({
      exitCode: 2,
      err: 'granary: NUGET_PACKAGES: found "packages"; allowed: an absolute path\n',
    });
  });
});
