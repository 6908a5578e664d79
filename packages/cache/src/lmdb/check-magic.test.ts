import { copyFileSync, mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { open } from 'lmdb';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { checkMagic } from './check-magic.js';
import { createDatabase, DATABASE_FILE } from './create-database.js';

let directory: string;
let file: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'check-magic-'));
  file = join(directory, DATABASE_FILE);
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

it('has nothing against a file that is not there, is empty, or is a new database', async () => {
  checkMagic(file);
  writeFileSync(file, '');
  checkMagic(file);
  await createDatabase(directory);
  checkMagic(file);
});

it('has nothing against a database at any moment, and refuses one that was cut off', async () => {
  await createDatabase(directory);
  const root = open<string, string>({ path: directory, noSubdir: false });
  const names = root.openDB<string, string>({ name: 'names' });
  for (let round = 0; round < 60; round++) {
    names.transactionSync(() => {
      for (let i = 0; i < 30; i++) {
        const key = `key ${(round * 7 + i * i) % 200}`;
        if (i % 3 === 0) names.remove(key);
        else names.put(key, 'v'.repeat((round * i * 37) % 9000));
      }
      if (round % 25 === 24) names.clearSync();
    });
    checkMagic(file);
  }
  await root.close();
  checkMagic(file);
  const { size } = statSync(file);
  const cut = join(directory, 'cut');
  expect(size).toBeGreaterThan(150 * 4096);
  for (const left of [30, 100, 4096, 3 * 4096, 8 * 4096, Math.floor(size / 2), size - 10 * 4096]) {
    copyFileSync(file, cut);
    truncateSync(cut, left);
    expect(() => checkMagic(cut), `${left} bytes of ${size}`).toThrow('is damaged');
  }
});
