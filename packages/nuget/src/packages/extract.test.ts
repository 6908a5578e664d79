import { randomBytes } from 'node:crypto';
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { buildPackage, type PackageInit, writeZip, type ZipEntryInit } from '../testing/index.js';
import { extractPackage, isInstalledFile } from './extract.js';
import { NupkgReader } from './nupkg-reader.js';

let folder: string;
let target: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'extract-'));
  target = join(folder, 'a', '1.0.0');
});
afterEach(() => rm(folder, { recursive: true }));

const build = (extra: Partial<PackageInit> = {}) => buildPackage({ id: 'A.B', version: '1.0.0', files: {}, ...extra });

/** All that lies in a folder, by path. */
async function tree(root: string): Promise<string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .sort();
}

describe('extracting a package', () => {
  it('writes what the global packages folder has', async () => {
    const bytes = build({
      files: {
        'lib/net8.0/A.B.dll': 'code',
        'content/a b/ü.txt': 'text',
        'tools/.rels': '',
        'tools/x.psmdcp': '',
        'package/kept.txt': 'kept',
        'sub/other.nuspec': 'kept',
        'a.b.1.0.0.nupkg.sha512': 'not from the package',
        'old.nupkg': '',
        '.nupkg.metadata': '',
      },
      signature: Buffer.from('signed'),
      entries: [{ name: 'empty/' }],
    });
    const written = await extractPackage(bytes, target);
    expect(written).toEqual([
      'a.b.nuspec',
      'lib/net8.0/A.B.dll',
      'content/a b/ü.txt',
      'package/kept.txt',
      'sub/other.nuspec',
      '.signature.p7s',
    ]);
    expect(await tree(target)).toEqual([...written].sort());
    expect(await readFile(join(target, 'content/a b/ü.txt'), 'utf8')).toBe('text');
    expect(await readFile(join(target, 'a.b.nuspec'), 'utf8')).toContain('<id>A.B</id>');
  });

  it('passes over steps that lead nowhere, and takes no file of its own by them', async () => {
    const files = {
      'lib//net8.0/A.dll': 'first',
      './content/./x.txt': 'x',
      './.nupkg.metadata': 'no',
      './B.NUSPEC': 'no',
    };
    const bytes = build({ files, entries: [{ name: 'lib/net8.0/A.dll', data: 'second' }] });
    expect(await extractPackage(bytes, target)).toEqual(['a.b.nuspec', 'lib/net8.0/A.dll', 'content/x.txt']);
    expect(await tree(target)).toEqual(['a.b.nuspec', 'content/x.txt', 'lib/net8.0/A.dll']);
    expect(await readFile(join(target, 'lib/net8.0/A.dll'), 'utf8')).toBe('first');
  });

  it('writes what is asked for, by the name that is asked for', async () => {
    const reader = await NupkgReader.open(build({ files: { 'lib/a': '1', 'lib/b': '2' } }));
    const written = await extractPackage(reader, target, {
      include: (path) => path === 'lib/b',
      nuspecName: 'A.B.nuspec',
    });
    expect(written).toEqual(['A.B.nuspec', 'lib/b']);
    expect(reader.has('lib/a')).toBe(true);
  });

  it('keeps times that are past, and gives permissions as NuGet does', async () => {
    const modified = new Date('2021-02-03T04:05:06Z');
    await extractPackage(build({ files: { 'tools/run.sh': '#!' }, modified }), target, { mode: 0o744 });
    const file = await stat(join(target, 'tools/run.sh'));
    expect(file.mtime).toEqual(modified);
    expect(file.mode & 0o777).toBe(0o744 & ~process.umask());
    // What the package says of permissions doesn't count.
    const entries: ZipEntryInit[] = [
      { name: 'setuid', data: 'x', unixMode: 0o104777, modified: new Date('2100-01-01T00:00:00Z') },
    ];
    await extractPackage(build({ entries }), target, { mode: 0o600 });
    const other = await stat(join(target, 'setuid'));
    expect(other.mode & 0o7777).toBe(0o600 & ~process.umask());
    expect(other.mtimeMs).toBeLessThanOrEqual(Date.now() + 1000);
  });

  it('streams large files', async () => {
    const large = randomBytes(2 * 1024 * 1024);
    await extractPackage(build({ files: { large } }), target, { signal: new AbortController().signal });
    expect((await readFile(join(target, 'large'))).equals(large)).toBe(true);
    await extractPackage(build({ files: { large } }), target);
    expect(await tree(target)).toEqual(['a.b.nuspec', 'large']);
  });

  it('replaces files', async () => {
    await extractPackage(build({ files: { a: 'old' } }), target);
    await extractPackage(build({ files: { a: 'new' } }), target);
    expect(await readFile(join(target, 'a'), 'utf8')).toBe('new');
  });

  it('gives files, never links', async () => {
    await extractPackage(build({ entries: [{ name: 'link', data: '/etc/passwd', unixMode: 0o120777 }] }), target);
    expect((await lstat(join(target, 'link'))).isFile()).toBe(true);
    expect(await readFile(join(target, 'link'), 'utf8')).toBe('/etc/passwd');
  });

  it('can be given up', async () => {
    const reason = new Error('enough');
    await expect(extractPackage(build(), target, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const controller = new AbortController();
    const large = randomBytes(2 * 1024 * 1024);
    const bytes = build({ files: { large } });
    const source = {
      size: bytes.length,
      read: async (at: number, length: number) => {
        if (at > 512 * 1024 && at < 1024 * 1024) controller.abort(reason);
        return bytes.subarray(at, at + length);
      },
    };
    await expect(extractPackage(source, target, { signal: controller.signal })).rejects.toBe(reason);
    expect(await tree(target)).toEqual(['a.b.nuspec']);
  });
});

describe('a package that wants out', () => {
  it.each([
    '../evil',
    'lib/../../../evil',
    '..\\evil',
    '%2e%2e/evil',
    '..%2fevil',
    '//server/evil',
    '\\\\server\\share\\evil',
    'C:\\evil',
    'c:evil',
    'lib/nul',
    'lib/evil.',
    'lib/evil ',
    'lib/evil:stream',
    'lib/evil\u0000.dll',
    './/../evil',
  ])('by %j is refused before anything is written', async (name) => {
    const bytes = build({ files: { a: 'x' }, entries: [{ name, data: 'evil' }] });
    await expect(extractPackage(bytes, target)).rejects.toMatchObject({ code: 'INVALID_PACKAGE' });
    expect(await tree(folder)).toEqual([]);
  });

  it('by an absolute path stays in the folder', async () => {
    await extractPackage(build({ entries: [{ name: '/etc/evil', data: 'x' }] }), target);
    expect(await tree(folder)).toEqual(['a/1.0.0/a.b.nuspec', 'a/1.0.0/etc/evil']);
  });

  it('by a link to a folder is refused', async () => {
    const outside = join(folder, 'outside');
    await mkdir(outside);
    await mkdir(target, { recursive: true });
    await symlink(outside, join(target, 'lib'));
    await expect(extractPackage(build({ files: { 'lib/x/evil': 'x' } }), target)).rejects.toThrow(/"lib" is a link/);
    expect(await tree(outside)).toEqual([]);
  });

  it('by a link to a file replaces the link', async () => {
    const outside = join(folder, 'outside');
    await writeFile(outside, 'safe');
    await mkdir(target, { recursive: true });
    await symlink(outside, join(target, 'file'));
    await extractPackage(build({ files: { file: 'new' } }), target);
    expect(await readFile(outside, 'utf8')).toBe('safe');
    expect((await lstat(join(target, 'file'))).isFile()).toBe(true);
  });

  it('may go where the target itself is a link to', async () => {
    const real = join(folder, 'real');
    await mkdir(real);
    await symlink(real, join(folder, 'link'));
    await extractPackage(build({ files: { 'lib/x': 'x' } }), join(folder, 'link'));
    expect(await tree(real)).toEqual(['a.b.nuspec', 'lib/x']);
  });

  it('does not choose the name of its nuspec', async () => {
    await expect(extractPackage(build(), target, { nuspecName: '../x.nuspec' })).rejects.toMatchObject({
      code: 'INVALID_PACKAGE',
    });
  });
});

describe('a package that is broken', () => {
  it.each<[string, readonly ZipEntryInit[]]>([
    [
      'a file below a file',
      [
        { name: 'x', data: '1' },
        { name: 'x/y', data: '2' },
      ],
    ],
    [
      'a file in place of a folder',
      [
        { name: 'x/y', data: '2' },
        { name: 'x', data: '1' },
      ],
    ],
    [
      'a damaged file',
      [
        { name: 'x', data: '1' },
        { name: 'y', data: '2', crc32: 7 },
      ],
    ],
    [
      'a large damaged file',
      [
        { name: 'x', data: '1' },
        { name: 'y', data: randomBytes(300_000), crc32: 7 },
      ],
    ],
  ])('leaves whole files only: %s', async (_, entries) => {
    await expect(extractPackage(build({ entries }), target)).rejects.toMatchObject({ code: 'INVALID_PACKAGE' });
    expect(await tree(target)).toHaveLength(2);
    expect((await tree(target)).filter((path) => path.endsWith('.tmp'))).toEqual([]);
  });

  it('is kept within limits', async () => {
    const bytes = build({ files: { a: 'x'.repeat(1000) } });
    await expect(extractPackage(bytes, target, { limits: { maxEntryBytes: 999 } })).rejects.toMatchObject({
      code: 'LIMIT',
    });
    await expect(extractPackage(bytes, target, { limits: { maxEntries: 2 } })).rejects.toMatchObject({ code: 'LIMIT' });
    expect(await tree(folder)).toEqual([]);
  });

  it('is not extracted when it is no package', async () => {
    await expect(extractPackage(writeZip([{ name: 'a' }]), target)).rejects.toMatchObject({ code: 'INVALID_PACKAGE' });
  });

  it('does not hide what the file system says', async () => {
    await writeFile(join(folder, 'a'), 'a file where the folder should be');
    await expect(extractPackage(build(), target)).rejects.toMatchObject({ code: 'ENOTDIR' });
  });
});

describe('installed files', () => {
  it('are all but those of the archive itself', () => {
    expect(['lib/a.dll', '.signature.p7s', 'a.nupkg/x', 'readme.md'].every(isInstalledFile)).toBe(true);
    expect(
      ['_rels/.rels', '[Content_Types].xml', 'package/x.psmdcp', 'A.nuspec', 'x.NUPKG'].some(isInstalledFile),
    ).toBe(false);
  });
});
