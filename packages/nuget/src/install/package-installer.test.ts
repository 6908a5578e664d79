import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, truncate, unlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NuGetFramework } from '../frameworks/nuget-framework.js';
import type { PackageIdentity } from '../package-identity.js';
import { resolveDependencies } from '../resolver/resolve-dependencies.js';
import { buildPackage, type PackageInit } from '../testing/index.js';
import { NuGetVersion } from '../versions/nuget-version.js';
import { VersionRange } from '../versions/version-range.js';
import { assetFit } from './asset-fit.js';
import { installedDependencies } from './installed-dependencies.js';
import { type InstallEvent, PackageInstaller, type PackageInstallerOptions } from './package-installer.js';
import type { OpenedPackage, PackageOpener } from './package-opener.js';

const SOURCE = 'https://feed.test/v3/index.json';

const identity = (id: string, version: string): PackageIdentity => ({ id, version: NuGetVersion.parse(version) });

class Packages implements PackageOpener {
  readonly opened: string[] = [];
  readonly #bytes = new Map<string, Buffer>();

  add(init: PackageInit, bytes = buildPackage(init)): PackageIdentity {
    this.#bytes.set(`${init.id} ${NuGetVersion.parse(init.version).toNormalizedString()}`.toLowerCase(), bytes);
    return identity(init.id, init.version);
  }

  async open({ id, version }: PackageIdentity): Promise<OpenedPackage | undefined> {
    const name = `${id} ${version.toNormalizedString()}`.toLowerCase();
    this.opened.push(name);
    const bytes = this.#bytes.get(name);
    return bytes && { body: Readable.from([bytes]), length: bytes.length, source: SOURCE };
  }
}

let folder: string;
let packages: Packages;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'granary-install-'));
  packages = new Packages();
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const installer = (options: Partial<PackageInstallerOptions> = {}) =>
  new PackageInstaller({ folder, packages, patienceMs: 60_000, ...options });

const filesBelow = async (path: string) =>
  (await readdir(path, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(path.length + 1))
    .sort();

const sha512 = (data: Buffer) => createHash('sha512').update(data).digest('base64');
const old = new Date(Date.now() - 3_600_000);

describe('a package that is installed', () => {
  const init: PackageInit = {
    id: 'Some.Package',
    version: '1.0.0.0-Beta+build',
    files: {
      'lib/net8.0/Some.Package.dll': 'code',
      'lib/net8.0/Some.Package.xml': 'docs',
      'tools/run.sh': '#!/bin/sh\n',
    },
  };

  it('lies where restores look for it, with everything that they expect', async () => {
    const bytes = buildPackage(init);
    const [result] = await installer().install([packages.add(init, bytes)]);
    const target = join(folder, 'some.package', '1.0.0-beta');
    expect(result).toMatchObject({ outcome: 'installed', folder: target, source: SOURCE });
    expect(await filesBelow(folder)).toEqual(
      [
        '.nupkg.metadata',
        'lib/net8.0/Some.Package.dll',
        'lib/net8.0/Some.Package.xml',
        'some.package.1.0.0-beta.nupkg',
        'some.package.1.0.0-beta.nupkg.sha512',
        'some.package.nuspec',
        'tools/run.sh',
      ].map((path) => join('some.package', '1.0.0-beta', path)),
    );
    expect(await readFile(join(target, 'some.package.1.0.0-beta.nupkg'))).toEqual(bytes);
    expect(await readFile(join(target, 'some.package.1.0.0-beta.nupkg.sha512'), 'utf8')).toBe(sha512(bytes));
    expect(JSON.parse(await readFile(join(target, '.nupkg.metadata'), 'utf8'))).toEqual({
      version: 2,
      contentHash: sha512(bytes),
      source: SOURCE,
    });
    expect(await readFile(join(target, 'some.package.nuspec'), 'utf8')).toContain('<id>Some.Package</id>');
    expect((await stat(join(target, 'tools/run.sh'))).mode & 0o100).toBe(0o100);
  });

  it('has the hash of what was signed where it has a signature', async () => {
    const [result] = await installer().install([packages.add({ ...init, signature: Buffer.from('signature') })]);
    const marker = JSON.parse(await readFile(join(result!.folder, '.nupkg.metadata'), 'utf8'));
    const hash = await readFile(join(result!.folder, 'some.package.1.0.0-beta.nupkg.sha512'), 'utf8');
    expect(marker.contentHash).toBe(sha512(buildPackage(init)));
    expect(marker.contentHash).not.toBe(hash);
  });

  it('is left alone the next time', async () => {
    const wanted = packages.add(init);
    await installer().install([wanted]);
    const before = await stat(join(folder, 'some.package', '1.0.0-beta'));
    const [again] = await installer().install([wanted]);
    expect(again).toMatchObject({ outcome: 'present', source: SOURCE });
    expect(again!.files).toContain('lib/net8.0/Some.Package.dll');
    expect(packages.opened).toHaveLength(1);
    expect((await stat(join(folder, 'some.package', '1.0.0-beta'))).mtimeMs).toBe(before.mtimeMs);
  });

  it.each([
    ['a file is missing', (target: string) => unlink(join(target, 'lib/net8.0/Some.Package.dll'))],
    ['a file was cut off', (target: string) => truncate(join(target, 'tools/run.sh'), 3)],
    ['the nuspec is missing', (target: string) => unlink(join(target, 'some.package.nuspec'))],
    ['the nupkg was cut off', (target: string) => truncate(join(target, 'some.package.1.0.0-beta.nupkg'), 100)],
    [
      'the marker says nothing',
      async (target: string) => {
        await writeFile(join(target, '.nupkg.metadata'), '{');
        for (const path of [target, ...(await filesBelow(target)).map((name) => join(target, name))]) {
          await utimes(path, old, old);
        }
      },
    ],
  ])('is installed anew when %s', async (_, damage) => {
    const wanted = packages.add(init);
    const [first] = await installer().install([wanted]);
    await damage(first!.folder);
    const [again] = await installer({ patienceMs: 1000 }).install([wanted]);
    expect(again).toMatchObject({ outcome: 'installed' });
    expect(await filesBelow(first!.folder)).toHaveLength(7);
    expect(await readdir(join(folder, 'some.package'))).toEqual(['1.0.0-beta']);
  });

  it.each([
    ['the documentation', 'lib/net8.0/Some.Package.xml'],
    ['the nupkg', 'some.package.1.0.0-beta.nupkg'],
  ])('is left alone when only %s is missing, which restores may leave out', async (_, path) => {
    const wanted = packages.add(init);
    const [first] = await installer().install([wanted]);
    await unlink(join(first!.folder, path));
    expect(await installer().install([wanted])).toMatchObject([{ outcome: 'present' }]);
  });
});

describe('what an interrupted install has left', () => {
  const init: PackageInit = { id: 'A', version: '1.0.0', files: { 'lib/net8.0/A.dll': 'A' } };

  it('is replaced once it has been still for long enough', async () => {
    const target = join(folder, 'a', '1.0.0');
    await mkdir(target, { recursive: true });
    await writeFile(join(target, 'half.tmp'), 'half');
    for (const path of [join(target, 'half.tmp'), target]) await utimes(path, old, old);
    const [result] = await installer().install([packages.add(init)]);
    expect(result).toMatchObject({ outcome: 'installed' });
    expect(await filesBelow(target)).not.toContain('half.tmp');
    expect(await readdir(join(folder, 'a'))).toEqual(['1.0.0']);
  });

  it('is waited for while somebody is at it, whose package then counts', async () => {
    const other = join(folder, 'other');
    const wanted = packages.add(init);
    await new PackageInstaller({ folder: other, packages }).install([wanted]);
    const target = join(folder, 'a', '1.0.0');
    await mkdir(target, { recursive: true });
    await writeFile(join(target, 'a.1.0.0.nupkg'), await readFile(join(other, 'a/1.0.0/a.1.0.0.nupkg')));

    const onEvent = ({ kind }: InstallEvent) => {
      if (kind !== 'extracting') return;
      void (async () => {
        for (const name of await filesBelow(join(other, 'a/1.0.0'))) {
          if (name === '.nupkg.metadata') continue;
          await mkdir(join(target, name, '..'), { recursive: true });
          await writeFile(join(target, name), await readFile(join(other, 'a/1.0.0', name)));
        }
        await writeFile(join(target, '.nupkg.metadata'), '{"version":2,"contentHash":"x","source":"theirs"}');
      })();
    };
    const [result] = await installer().install([wanted], { onEvent });
    expect(result).toMatchObject({ outcome: 'present', source: 'theirs' });
  });

  it('is cleared away beside packages when it is a day old, and not before', async () => {
    const [stale, fresh] = [join(folder, 'a', '.granary~stale'), join(folder, 'a', '.granary~fresh')];
    for (const path of [stale, fresh]) await mkdir(path, { recursive: true });
    const longAgo = new Date(Date.now() - 3 * 24 * 3_600_000);
    await utimes(stale, longAgo, longAgo);
    await installer().install([packages.add(init)]);
    expect((await readdir(join(folder, 'a'))).sort()).toEqual(['.granary~fresh', '1.0.0']);
  });
});

describe('installers on one folder', () => {
  it('never fail each other, and leave one whole package each', async () => {
    const wanted = ['A', 'B', 'C'].map((id) => packages.add({ id, version: '1.0.0' }));
    const all = await Promise.all(Array.from({ length: 6 }, () => installer().install(wanted)));
    const outcomes = all.flat().map(({ outcome }) => outcome);
    expect(outcomes.filter((outcome) => outcome === 'installed')).toHaveLength(3);
    expect(outcomes.filter((outcome) => outcome === 'present')).toHaveLength(15);
    expect((await readdir(folder)).sort()).toEqual(['a', 'b', 'c']);
    for (const id of ['a', 'b', 'c']) expect(await readdir(join(folder, id))).toEqual(['1.0.0']);
  });

  it('never move away the whole package that one of them has put in the place of a damaged one', async () => {
    const wanted = packages.add({ id: 'A', version: '1.0.0' });
    await installer().install([wanted]);
    for (let round = 0; round < 10; round++) {
      await truncate(join(folder, 'a', '1.0.0', 'a.1.0.0.nupkg'), 10);
      const all = await Promise.all(Array.from({ length: 6 }, () => installer().install([wanted])));
      const outcomes = all.flat().map(({ outcome }) => outcome);
      expect(outcomes.sort()).toEqual(['installed', ...Array(5).fill('present')]);
      expect(await readdir(join(folder, 'a'))).toEqual(['1.0.0']);
    }
  });

  it('take the place of one that was killed while it moved a damaged package away', async () => {
    const wanted = packages.add({ id: 'A', version: '1.0.0' });
    await installer().install([wanted]);
    await truncate(join(folder, 'a', '1.0.0', 'a.1.0.0.nupkg'), 10);
    const claim = join(folder, 'a', '.granary~1.0.0');
    await mkdir(claim);
    await utimes(claim, 0, 0);
    expect(await installer().install([wanted])).toMatchObject([{ outcome: 'installed' }]);
    expect(await readdir(join(folder, 'a'))).toEqual(['1.0.0']);
  });

  it('leave a damaged package to one that is moving it away', async () => {
    const wanted = packages.add({ id: 'A', version: '1.0.0' });
    await installer().install([wanted]);
    const nupkg = join(folder, 'a', '1.0.0', 'a.1.0.0.nupkg');
    await truncate(nupkg, 10);
    await mkdir(join(folder, 'a', '.granary~1.0.0'));
    const gone = new AbortController();
    const installing = installer().install([wanted], { signal: gone.signal });
    // From then on it has a package to put there.
    await expect.poll(() => packages.opened).toHaveLength(2);
    setTimeout(() => gone.abort(), 100);
    await expect(installing).rejects.toThrow();
    expect((await stat(nupkg)).size).toBe(10);
    expect(await readdir(join(folder, 'a'))).toEqual(['.granary~1.0.0', '1.0.0']);
  });

  it('ask for a package that is named twice once', async () => {
    packages.add({ id: 'A', version: '1.0.0' });
    const results = await installer().install([identity('A', '1.0'), identity('a', '1.0.0.0')]);
    expect(results.map(({ outcome }) => outcome)).toEqual(['installed', 'installed']);
    expect(packages.opened).toEqual(['a 1.0.0']);
  });
});

describe("a package that can't be installed", () => {
  it.each([
    ['no source has it', () => identity('Nobody', '1.0.0'), 'PACKAGE_NOT_FOUND'],
    [
      'it is another one',
      () => packages.add({ id: 'A', version: '1.0.0' }, buildPackage({ id: 'B', version: '1.0.0' })),
      'INVALID_PACKAGE',
    ],
    [
      'it is cut off',
      () => packages.add({ id: 'A', version: '1.0.0' }, buildPackage({ id: 'A', version: '1.0.0' }).subarray(0, 300)),
      'INVALID_PACKAGE',
    ],
    [
      'it leaves its folder',
      () => packages.add({ id: 'A', version: '1.0.0', entries: [{ name: '../../evil.txt', data: 'x' }] }),
      'INVALID_PACKAGE',
    ],
  ])('is told of when %s, and leaves nothing behind', async (_, add, code) => {
    const good = packages.add({ id: 'Good', version: '1.0.0' });
    const [bad, other] = await installer().install([add(), good]);
    expect(bad).toMatchObject({ outcome: 'failed', error: { code } });
    expect(other).toMatchObject({ outcome: 'installed' });
    expect((await filesBelow(folder)).every((path) => path.startsWith('good'))).toBe(true);
  });

  it('is told of when something that is no folder is in its place', async () => {
    await mkdir(join(folder, 'a'));
    await writeFile(join(folder, 'a', '1.0.0'), 'a file');
    const [result] = await installer().install([packages.add({ id: 'A', version: '1.0.0' })]);
    expect(result).toMatchObject({ outcome: 'failed' });
    expect(await readdir(join(folder, 'a'))).toEqual(['1.0.0']);
  });

  it('is told of when it is larger than it may be', async () => {
    const [result] = await installer({ maxPackageBytes: 100 }).install([packages.add({ id: 'A', version: '1.0.0' })]);
    expect(result).toMatchObject({ outcome: 'failed', error: { code: 'LIMIT' } });
  });

  it('leaves nothing behind when the caller goes away', async () => {
    const abort = new AbortController();
    const wanted = packages.add({ id: 'A', version: '1.0.0' });
    const onEvent = () => abort.abort(new Error('gone'));
    await expect(installer().install([wanted], { signal: abort.signal, onEvent })).rejects.toThrow('gone');
    expect(await filesBelow(folder)).toEqual([]);
    expect(await installer().install([wanted])).toMatchObject([{ outcome: 'installed' }]);
  });
});

describe('what installed packages need', () => {
  const framework = NuGetFramework.parse('net8.0');
  const asked: string[] = [];
  const provider = () =>
    installedDependencies(folder, {
      listVersions: async () => [NuGetVersion.parse('1.0.0')],
      sources: () => ['feed'],
      triesLowest: (id) => id === 'A',
      dependencies: async ({ id }) => {
        asked.push(id);
        return { id, dependencies: [], fit: 'compatible' };
      },
    });
  const ask = (wanted: PackageIdentity) =>
    provider().dependencies(wanted, framework, { signal: new AbortController().signal, fallbacks: [] });

  it('is read where they are, and asked for where they are damaged or are not', async () => {
    const wanted = packages.add({ id: 'A', version: '1.0.0', dependencies: [{ id: 'B', version: '2.0' }] });
    const [result] = await installer().install([wanted]);
    expect(await ask(wanted)).toMatchObject({ id: 'A', dependencies: [{ id: 'B' }], fit: 'compatible' });
    expect(asked).toEqual([]);
    await writeFile(join(result!.folder, 'a.nuspec'), '<package>');
    await ask(wanted);
    await ask(identity('Nobody', '1.0.0'));
    expect(asked).toEqual(['A', 'Nobody']);
    expect(provider().sources?.('A')).toEqual(['feed']);
    const version = NuGetVersion.parse('1.0.0');
    const tried = ['A', 'B'].map((id) => provider().triesLowest?.(id, version));
    expect(await Promise.all(tried)).toEqual([true, false]);
  });

  it('needs no source where all that is wanted is there', async () => {
    const wanted = packages.add({ id: 'A', version: '1.0.0', dependencies: [{ id: 'B', version: '2.0' }] });
    await installer().install([wanted, packages.add({ id: 'B', version: '2.0.0' })]);
    const down = async () => Promise.reject(new Error('feeds are down'));
    const graph = await resolveDependencies({
      provider: installedDependencies(folder, { listVersions: down, dependencies: down }),
      dependencies: [{ id: 'A', range: VersionRange.parse('1.0') }],
      framework,
    });
    expect(graph.packages.map(({ id }) => id)).toEqual(['A', 'B']);
    expect(graph.diagnostics).toEqual([]);
  });
});

it('tells how far a download is, and of each end, to listeners that may throw', async () => {
  const events: string[] = [];
  const onEvent = (event: InstallEvent) => {
    events.push(event.kind === 'downloading' ? `${event.kind} ${event.bytes === event.length}` : event.kind);
    throw new Error('a bad listener');
  };
  await installer().install([packages.add({ id: 'A', version: '1.0.0' })], { onEvent });
  expect(events).toEqual(['downloading true', 'extracting', 'done']);
});

describe('the assemblies of a package', () => {
  const net8 = NuGetFramework.parse('net8.0');
  const net472 = NuGetFramework.parse('net472');

  it.each([
    ['compatible', ['lib/netstandard2.0/A.dll']],
    ['compatible', ['lib/net472/A.dll', 'ref/netstandard1.0/A.dll']],
    ['compatible', ['tools/net472/A.exe', 'content/a.txt', 'build/A.targets']],
    ['compatible', ['lib/net6.0/_._']],
    ['compatible', ['lib/net6.0/de/A.resources.dll']],
    ['compatible', ['LIB/NET6.0/A.DLL']],
    ['compatible', ['lib/wp8/A.dll', 'contentFiles/any/any/a.txt']],
    ['compatible', ['lib/wp8/A.dll', 'contentFiles/cs/netstandard1.0/a.cs']],
    ['compatible', ['lib/wp8/A.dll', 'build/A.props']],
    ['compatible', ['lib/wp8/A.dll', 'buildTransitive/net6.0/A.targets']],
    ['compatible', ['lib/wp8/A.dll', 'buildMultiTargeting/A.targets']],
    ['compatible', ['lib/wp8/A.dll', 'embed/net5.0/A.dll']],
    ['compatible', ['lib/wp8/A.dll', 'ref/netstandard2.0/_._', 'lib/net6.0/A.xml']],
    ['fallback', ['lib/net45/A.dll']],
    ['fallback', ['lib/any/A.dll']],
    ['fallback', ['lib/A.dll']],
    ['fallback', ['build/net45/A.targets']],
    ['fallback', ['lib/wp8/A.dll', 'buildTransitive/net45/A.targets']],
    ['compatible', ['build/net45/A.targets', 'build/net6.0/A.targets']],
    ['compatible', ['build/wp8/A.targets', 'contentFiles/any/net45/a.txt']],
    ['incompatible', ['lib/uap10.0/A.winmd']],
    ['incompatible', ['lib/portable-win+net-cf/A.dll']],
    ['incompatible', ['lib/native/A.lib', 'build/native/A.targets']],
    ['incompatible', ['lib/net6.0/plugins/A.dll', 'lib/net6.0/A.xml']],
    ['incompatible', ['lib/monoandroid9.0/de/A.resources.dll']],
    ['incompatible', ['ref/A.dll', 'ref/_._']],
    ['incompatible', ['lib/net5.0/A.dll', 'lib/net8.0/A.xml', 'lib/net472/A.xml']],
    ['incompatible', ['lib/wp8/A.dll', 'buildMultiTargeting/net8.0/A.targets']],
    ['incompatible', ['lib/wp8/A.dll', 'contentFiles/any/net45/a.txt']],
    ['incompatible', ['lib/wp8/A.dll', 'build/wp8/A.props', 'contentFiles/any/wp8/a.txt', 'build/net6.0/other.txt']],
  ])('are %s: %s', (fit, files) => {
    expect(assetFit({ id: 'A', files }, net8, [net472])).toBe(fit);
  });

  it.each([
    ['incompatible', ['lib/wp8/A.dll', 'build/Other.targets']],
    ['incompatible', ['lib/wp8/A.dll', 'buildMultiTargeting/Other.props']],
    ['incompatible', ['lib/wp8/A.dll', 'build/netstandard2.0/Other.props', 'build/netstandard1.0/A.props']],
    ['fallback', ['lib/net45/A.dll', 'buildTransitive/Other.targets']],
    ['compatible', ['build/net45/Other.targets']],
    ['compatible', ['lib/wp8/A.dll', 'build/Other.targets', 'build/a.TARGETS']],
    ['compatible', ['lib/wp8/A.dll', 'build/_._']],
  ])('are %s with %s: builds import what is named after the package', (fit, files) => {
    expect(assetFit({ id: 'A', files }, net8, [net472])).toBe(fit);
  });

  it.each([
    ['compatible', 'net8.0', 'frameworkReferences', ['net6.0']],
    ['compatible', 'net8.0', 'frameworkReferences', ['netstandard2.0', 'net472']],
    ['compatible', 'net472', 'frameworkReferences', ['any']],
    ['incompatible', 'net8.0', 'frameworkReferences', ['net9.0', 'net472']],
    ['compatible', 'net472', 'frameworkAssemblies', ['net45']],
    ['incompatible', 'net472', 'frameworkAssemblies', ['net48']],
    ['incompatible', 'net8.0', 'frameworkAssemblies', ['any', 'net45']],
  ])('are %s where %s has what the nuspec names in %s for %s', (fit, target, kind, frameworks) => {
    const groups = frameworks.map((each) => ({ targetFramework: NuGetFramework.parse(each), items: ['Contoso.Web'] }));
    const assets = { id: 'A', files: ['lib/sl5/A.dll'], [kind]: groups };
    expect(assetFit(assets, NuGetFramework.parse(target), [NuGetFramework.parse('net481')])).toBe(fit);
  });

  it('are for others where the nuspec names nothing of the nearest framework', () => {
    const none = { targetFramework: NuGetFramework.parse('net7.0'), items: [] };
    const frameworkReferences = [{ targetFramework: NuGetFramework.parse('net6.0'), items: ['Contoso.Web'] }, none];
    expect(assetFit({ id: 'A', files: ['lib/sl5/A.dll'], frameworkReferences }, net8)).toBe('incompatible');
  });
});
