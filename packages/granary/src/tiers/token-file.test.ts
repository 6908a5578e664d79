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

it('reads the token again after a minute, and not for every request', async () => {
  let now = 0;
  const path = join(folder, 'token');
  await writeFile(path, 'first\n');
  const file = new TokenFile(path, () => now);
  expect(await file.read()).toBe('first');
  await writeFile(path, 'second\n');
  now = 59_999;
  expect(await file.read()).toBe('first');
  now = 60_000;
  expect(await file.read()).toBe('second');
});

it('fails while there is no file, and works as soon as there is one', async () => {
  const path = join(folder, 'token');
  const file = new TokenFile(path, () => 0);
  await expect(file.read()).rejects.toThrow('ENOENT');
  await writeFile(path, 'token');
  expect(await file.read()).toBe('token');
});
