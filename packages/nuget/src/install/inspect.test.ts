import { mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { buildPackage } from '../testing/index.js';
import { NuGetVersion } from '../versions/nuget-version.js';
import { inspect } from './inspect.js';
import { PackageInstaller } from './package-installer.js';
import { PackagesFolder } from './packages-folder.js';

const IDENTITY = { id: 'A', version: NuGetVersion.parse('1.0.0') };
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'granary-inspect-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('a look at where a package is installed', () => {
  it('tells what is there', async () => {
    const paths = new PackagesFolder(folder).locate(IDENTITY);
    expect((await inspect(paths)).kind).toBe('absent');
    mkdirSync(paths.folder, { recursive: true });
    expect((await inspect(paths)).kind).toBe('unfinished');
  });

  it('takes what is moved there meanwhile for whole', async () => {
    const body = buildPackage({ id: 'A', version: '1.0.0' });
    const open = async () => ({ body: Readable.from([body]), length: body.length, source: 'https://feed.test/' });
    await new PackageInstaller({ folder, packages: { open } }).install([IDENTITY]);
    const paths = new PackagesFolder(folder).locate(IDENTITY);
    const staged = join(folder, 'staged');
    renameSync(paths.folder, staged);
    let isMoved = false;
    const moving = {
      ...paths,
      /** Asked for when there was no marker. */
      get folder() {
        if (!isMoved) renameSync(staged, paths.folder);
        isMoved = true;
        return paths.folder;
      },
    };
    expect((await inspect(moving)).kind).toBe('whole');
    expect(isMoved).toBe(true);
  });
});
