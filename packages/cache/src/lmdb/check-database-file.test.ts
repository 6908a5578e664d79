import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { open } from 'lmdb';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { checkDatabaseFile } from './check-database-file.js';
import { createDatabase, DATABASE_FILE } from './create-database.js';

/** Where the first page of LMDB's file says how large pages are. */
const PAGE_BYTES_AT = 48;

let directory: string;
let file: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'check-database-file-'));
  file = join(directory, DATABASE_FILE);
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

it('has nothing against a file that is not there, is empty, or is a new database', async () => {
  checkDatabaseFile(file);
  writeFileSync(file, '');
  checkDatabaseFile(file);
  await createDatabase(directory);
  checkDatabaseFile(file);
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
    checkDatabaseFile(file);
  }
  await root.close();
  checkDatabaseFile(file);
  const { size } = statSync(file);
  const cut = join(directory, 'cut');
  expect(size).toBeGreaterThan(150 * 4096);
  for (const left of [30, 100, 4096, 3 * 4096, 8 * 4096, Math.floor(size / 2), size - 10 * 4096]) {
    copyFileSync(file, cut);
    truncateSync(cut, left);
    expect(() => checkDatabaseFile(cut), `${left} bytes of ${size}`).toThrow('is damaged');
  }
});

it('refuses a database that has no size of a page, or two', async () => {
  await createDatabase(directory);
  const bytes = readFileSync(file);
  const pageBytes = bytes.readUInt32LE(PAGE_BYTES_AT);
  for (const at of [PAGE_BYTES_AT, pageBytes + PAGE_BYTES_AT]) {
    for (const wrong of [0, 1, pageBytes * 2, 131_072, 0x1000_0000, 0xffff_ffff]) {
      const damaged = Buffer.from(bytes);
      damaged.writeUInt32LE(wrong, at);
      writeFileSync(file, damaged);
      expect(() => checkDatabaseFile(file), `${wrong} at ${at}`).toThrow('is damaged');
    }
  }
});

it('has nothing against a file that is shorter than LMDB counts, because it had no use for the last pages after all', async () => {
  await createDatabase(directory);
  const root = open<Buffer, string>({ path: directory, noSubdir: false, encoding: 'binary' });
  const values = root.openDB<Buffer, string>({ name: 'values', encoding: 'binary' });
  for (let round = 0; round < 10; round++) {
    values.transactionSync(() => {
      const keys = Array.from({ length: 100 }, (_, i) => `${round} ${i}`);
      for (const [i, key] of keys.entries()) values.putSync(key, Buffer.alloc(3000 + ((round * i * 37) % 9000)));
      for (const key of keys) values.removeSync(key);
    });
  }
  for (const key of ['a', 'b', 'c']) await values.put(key, Buffer.alloc(10));
  await root.close();
  const start = readFileSync(file);
  const pageBytes = start.readUInt32LE(24 + 24);
  expect(Number(start.readBigUInt64LE(24 + 120)) + 1).toBeGreaterThan(start.length / pageBytes);
  checkDatabaseFile(file);
});

it('has nothing against a database while another process writes it', async () => {
  await createDatabase(directory);
  const script = `
    import { open } from ${JSON.stringify(import.meta.resolve('lmdb'))};
    const root = open({ path: process.argv[1], noSubdir: false, encoding: 'binary' });
    const values = root.openDB({ name: 'values', encoding: 'binary' });
    process.send('began');
    for (let round = 0; ; round++) values.transactionSync(() => {
      for (let i = 0; i < 50; i++) {
        const key = String((round * 31 + i * i) % 3000);
        if ((round + i) % 3 === 0) values.removeSync(key);
        else values.putSync(key, Buffer.alloc((round * i) % 5000));
      }
    });`;
  const writer = spawn(process.execPath, ['--input-type=module', '--eval', script, directory], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  try {
    await once(writer, 'message');
    for (let look = 0; look < 500; look++) checkDatabaseFile(file);
    expect(writer.exitCode).toBeNull();
  } finally {
    writer.kill();
    await once(writer, 'exit');
  }
});
