import { existsSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { withLock } from './lock.mjs';

/** Above every system's highest process number. */
const NO_PROCESS = 2 ** 30;

let folder;
let lock;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'granary-lock-'));
  lock = join(folder, 'inner/setup.lock');
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('the set-up lock', () => {
  it('lets one in at a time, and everyone in the end', async () => {
    let inside = 0;
    let most = 0;
    const work = async () => {
      most = Math.max(most, ++inside);
      await new Promise((resolve) => setImmediate(resolve));
      inside--;
    };
    await Promise.all(Array.from({ length: 5 }, () => withLock(lock, work)));
    expect(most).toBe(1);
    expect(existsSync(lock)).toBe(false);
  });

  it('is free again after work that failed', async () => {
    const failing = withLock(lock, () => {
      throw new Error('no network');
    });
    await expect(failing).rejects.toThrow('no network');
    expect(await withLock(lock, () => 'done')).toBe('done');
  });

  it('is taken over from a process that is gone', async () => {
    await withLock(lock, () => {});
    writeFileSync(lock, String(NO_PROCESS));
    expect(await Promise.all([1, 2, 3].map((n) => withLock(lock, () => n)))).toEqual([1, 2, 3]);
    expect(readdirSync(join(folder, 'inner'))).toEqual([]);
  });

  it('is taken over when it is too old, whatever runs under its process number now', async () => {
    await withLock(lock, () => {});
    writeFileSync(lock, String(process.pid));
    utimesSync(lock, 1, 1);
    expect(await withLock(lock, () => 'done')).toBe('done');
  });
});
