import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../testing/test-server.js';
import { filesOf } from './file-patterns.js';

let folder: string;
beforeAll(async () => {
  folder = await temporaryFolder();
  for (const name of [
    'a.nupkg',
    'b.1.0.nupkg',
    'b.snupkg',
    'x*.nupkg',
    'out/c.nupkg',
    'out/deep/d.nupkg',
    'other/e.txt',
  ]) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), '');
  }
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const found = async (...patterns: string[]) =>
  (await filesOf(patterns.map((pattern) => `${folder}/${pattern}`))).map((file) => relative(folder, file));

describe('a pattern for files', () => {
  it.each([
    ['*.nupkg', ['a.nupkg', 'b.1.0.nupkg', 'x*.nupkg']],
    ['?.nupkg', ['a.nupkg']],
    ['b.*.nupkg', ['b.1.0.nupkg']],
    ['*/*.nupkg', ['out/c.nupkg']],
    ['**/*.nupkg', ['a.nupkg', 'b.1.0.nupkg', 'out/c.nupkg', 'out/deep/d.nupkg', 'x*.nupkg']],
    ['out/**', ['out/c.nupkg', 'out/deep/d.nupkg']],
    ['o*/**/d.nupkg', ['out/deep/d.nupkg']],
    ['x*.nupkg', ['x*.nupkg']],
    ['not.there', ['not.there']],
  ])('%s means %j', async (pattern, expected) => {
    expect(await found(pattern)).toEqual(expected);
  });

  it('names each file once', async () => {
    expect(await found('a.nupkg', '*.nupkg', 'a.*')).toEqual(['a.nupkg', 'b.1.0.nupkg', 'x*.nupkg']);
  });

  it.each(['*.zip', 'nowhere/*.nupkg', '*/*/*/*.nupkg'])('that no file fits is an error: %s', async (pattern) => {
    await expect(found(pattern)).rejects.toThrow(`${pattern}: there is no such file`);
  });
});
