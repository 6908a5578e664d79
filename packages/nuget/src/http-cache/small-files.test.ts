import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { SmallFiles, WHOLE_BYTES } from './small-files.js';

let folder: string;
let now: number;
let files: SmallFiles;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'small-files-'));
  now = 1000;
  vi.spyOn(performance, 'now').mockImplementation(() => now);
  files = new SmallFiles();
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

const modified = (path: string) => statSync(path).mtimeMs;

it('are written in place of what is there, as old as they should be', () => {
  const path = join(folder, 'a');
  files.write(folder, path, Buffer.from('one'), 5000);
  files.write(folder, path, Buffer.from('two'), 7000);
  expect(readFileSync(path, 'utf8')).toBe('two');
  expect(modified(path)).toBe(7000);
  expect(readdirSync(folder)).toEqual(['a']);
  expect([files.stat(path)?.size, files.stat(join(folder, 'b'))]).toEqual([3, undefined]);
});

it('may be longer, and still come into place as a whole', async () => {
  const bytes = Buffer.alloc(200_000, 'granary');
  const path = join(folder, 'a');
  files.write(folder, path, Buffer.from('one'), 5000);
  const written = files.write(folder, path, bytes, 7000);
  expect(readFileSync(path, 'utf8')).toBe('one');
  await written;
  expect(readFileSync(path).equals(bytes)).toBe(true);
  expect(modified(path)).toBe(7000);
  mkdirSync(join(folder, 'b'));
  await expect(files.write(folder, join(folder, 'b'), bytes)).rejects.toThrow(/EISDIR|EPERM|EEXIST/);
  expect(readdirSync(folder)).toEqual(['a', 'b']);
});

it('are overwritten where they are, and no byte of what was longer stays', () => {
  const path = join(folder, 'a');
  files.overwrite(path, Buffer.from('something'));
  files.overwrite(path, Buffer.from('else'));
  expect(readFileSync(path, 'utf8')).toBe('else');
  expect(readdirSync(folder)).toEqual(['a']);
});

it('leave nothing behind that could not be moved into place', () => {
  mkdirSync(join(folder, 'a'));
  expect(() => files.write(folder, join(folder, 'a'), Buffer.from('x'))).toThrow(/EISDIR|EPERM|EEXIST/);
  expect(() => files.write(join(folder, 'gone'), join(folder, 'b'), Buffer.from('x'))).toThrow(/ENOENT/);
  expect(readdirSync(folder)).toEqual(['a']);
});

it('are read whole, and longer ones are told apart from none', () => {
  const path = join(folder, 'a');
  files.write(folder, path, Buffer.from('granary'), 5000);
  expect(files.read(path)).toMatchObject({ bytes: Buffer.from('granary'), stats: { mtimeMs: 5000 } });
  writeFileSync(path, Buffer.alloc(WHOLE_BYTES + 1));
  expect([files.read(path), files.read(join(folder, 'b')), files.read(folder)]).toEqual(['long', undefined, undefined]);
});

it('grow by chunks, and are read in parts while they are open', async () => {
  const handle = await open(join(folder, 'a'), 'wx+');
  files.append(handle, [Buffer.from('gran')]);
  files.append(handle, [Buffer.alloc(0), Buffer.from('a'), Buffer.from('ry')]);
  const part = Buffer.alloc(5, '.');
  expect(files.readPart(handle, part, 4)).toBe(3);
  expect(part.toString()).toBe('ary..');
  await handle.close();
  expect(readFileSync(join(folder, 'a'), 'utf8')).toBe('granary');
});

it('may be moved, whatever their length', async () => {
  const path = join(folder, 'temporary');
  const handle = await open(path, 'wx+');
  await handle.write(Buffer.alloc(100_000));
  files.move({ path, handle }, join(folder, 'a'), 5000);
  await handle.close();
  expect(modified(join(folder, 'a'))).toBe(5000);
  expect(readdirSync(folder)).toEqual(['a']);
});

it('are left to others for 10 s when steps take longer than 3 ms on average', () => {
  const step = (ms: number) => {
    const [before, after] = [now, now + ms];
    vi.mocked(performance.now).mockReturnValueOnce(before).mockReturnValueOnce(after);
    now = after;
    files.stat(folder);
  };
  for (let i = 0; i < 100; i++) step(2.9);
  for (let i = 0; i < 100; i++) step(0.05);
  step(20);
  expect(files.areFast).toBe(true);
  for (let i = 0; i < 100 && files.areFast; i++) step(4);
  expect(files.areFast).toBe(false);
  now += 9999;
  expect(files.areFast).toBe(false);
  now += 1;
  expect(files.areFast).toBe(true);
  step(20);
  expect(files.areFast).toBe(true);
});
