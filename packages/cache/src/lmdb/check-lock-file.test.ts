import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { open } from 'lmdb';
import { afterEach, beforeEach, expect, it } from 'vitest';
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

it('refuses what cannot be opened to be written', () => {
  mkdirSync(join(directory, 'lock.mdb'));
  expect(() => checkLockFile(directory)).toThrow('EISDIR');
});

it('refuses a folder in which it cannot be made', () => {
  expect(() => checkLockFile(join(directory, 'missing'))).toThrow('ENOENT');
});
