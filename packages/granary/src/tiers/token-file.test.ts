import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { TokenFile } from './token-file.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'granary-token-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

it('reads the token again after a second, and not for every request, and goes on with it while there is no file', async () => {
  let now = 0;
  const path = join(folder, 'token');
  await writeFile(path, 'first\n');
  const file = new TokenFile(path, () => now);
  expect(await file.read()).toBe('first');
  await writeFile(path, 'second\n');
  now = 999;
  expect(await file.read()).toBe('first');
  now = 1000;
  expect(await file.read()).toBe('second');
  await rm(path);
  now = 2000;
  expect(await file.read()).toBe('second');
  await writeFile(path, 'third\n');
  now = 3000;
  expect(await file.read()).toBe('third');
});

it('fails while there is no file, and works as soon as there is one', async () => {
  const path = join(folder, 'token');
  const file = new TokenFile(path, () => 0);
  await expect(file.read()).rejects.toThrow('ENOENT');
  await writeFile(path, 'token');
  expect(await file.read()).toBe('token');
});
