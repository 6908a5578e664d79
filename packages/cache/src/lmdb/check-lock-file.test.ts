import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { open } from 'lmdb';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkLockFile } from './check-lock-file.js';

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'check-lock-file-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

it('leaves a file that LMDB takes, and has nothing against the one that LMDB made', async () => {
  checkLockFile(directory);
  const root = open<string, string>({ path: directory, noSubdir: false });
  expect(readdirSync(directory).sort()).toEqual(['data.mdb', 'lock.mdb']);
  await root.put('key', 'value');
  await root.close();
  checkLockFile(directory);
});

it.skipIf(process.platform !== 'linux')('leaves a database that is open the locks that it has', async () => {
  const root = open<string, string>({ path: directory, noSubdir: false });
  const inode = `:${statSync(join(directory, 'lock.mdb')).ino} `;
  const locks = () => readFileSync('/proc/locks', 'latin1').match(new RegExp(inode, 'g'))?.length ?? 0;
  const before = locks();
  checkLockFile(directory);
  expect(before).toBeGreaterThan(0);
  expect(locks()).toBe(before);
  await root.close();
});

it('refuses what cannot be opened to be written', () => {
  mkdirSync(join(directory, 'lock.mdb'));
  expect(() => checkLockFile(directory)).toThrow('EISDIR');
});

it('refuses a folder in which it cannot be made', () => {
  expect(() => checkLockFile(join(directory, 'missing'))).toThrow('ENOENT');
});

describe.skipIf(process.platform === 'win32')('a process that is short of file descriptors', () => {
  it.each([
    [1, 'EMFILE'],
    [2, 'EMFILE'],
    [3, 'opened'],
  ])('has %i left: %s', (left, outcome) => {
    // What was built: a plain process can't load the sources.
    const script = `
      import { closeSync, openSync } from 'node:fs';
      import { open } from ${JSON.stringify(import.meta.resolve('lmdb'))};
      import { checkLockFile } from ${JSON.stringify(new URL('../../dist/lmdb/check-lock-file.js', import.meta.url).href)};
      const [directory, left] = process.argv.slice(1);
      const files = [];
      try {
        for (;;) files.push(openSync('/dev/null', 'r'));
      } catch {}
      for (const file of files.splice(0, Number(left))) closeSync(file);
      let outcome = 'opened';
      let root;
      try {
        checkLockFile(directory);
        root = open({ path: directory, noSubdir: false });
      } catch (error) {
        outcome = error.code;
      }
      for (const file of files) closeSync(file);
      await root?.close();
      console.log(outcome);`;
    const command = 'ulimit -n 500; exec "$0" "$@"';
    const words = [process.execPath, '--input-type=module', '--eval', script, directory, String(left)];
    const { stdout } = spawnSync('sh', ['-c', command, ...words], { encoding: 'utf8' });
    expect(stdout.trim()).toBe(outcome);
  });
});
