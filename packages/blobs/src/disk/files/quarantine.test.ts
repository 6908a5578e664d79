import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FaultyFileSystem } from '../../testing/faulty-file-system.js';
import { Quarantine } from './quarantine.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'granary-quarantine-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('a quarantine', () => {
  it('keeps what was put aside last, however long ago that was written', async () => {
    const directory = join(folder, 'quarantine');
    await mkdir(directory);
    let now = 1000;
    const quarantine = new Quarantine(directory, new FaultyFileSystem(), () => now);
    for (; now < 1064; now++) await quarantine.keepBytes(Buffer.from('damaged'), 'sha256-00');
    const old = join(folder, 'old');
    await writeFile(old, 'damaged long ago');
    await utimes(old, 1, 1);
    await quarantine.moveFile(old, 'sha256-ff');
    const kept = (await readdir(directory)).toSorted();
    expect(kept).toHaveLength(64);
    expect([kept[0], kept.at(-1)]).toEqual(['sha256-00-1001', 'sha256-ff-1064']);
  });

  it('takes no more room than 256 MiB, for whatever is in it', async () => {
    const MIB = 1024 * 1024;
    const fileSystem = new FaultyFileSystem();
    fileSystem.status = async (path) => ({ size: (path.includes('huge') ? 257 : 100) * MIB, mtimeMs: 0 });
    let now = 1;
    const quarantine = new Quarantine(folder, fileSystem, () => now);
    for (; now < 5; now++) await quarantine.keepBytes(Buffer.from('large'), 'large');
    expect((await readdir(folder)).toSorted()).toEqual(['large-3', 'large-4']);
    const huge = join(folder, 'huge');
    await writeFile(huge, 'alone over it');
    await quarantine.moveFile(huge, 'huge');
    expect((await readdir(folder)).toSorted()).toEqual(['large-3', 'large-4']);
  });
});
