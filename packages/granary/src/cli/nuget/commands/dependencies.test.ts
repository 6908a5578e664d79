import { access, readdir, rm, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buildPackage, type FeedServer, startFeedServer } from '@granary/nuget/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runGranary } from '../../../testing/run-granary.js';
import { temporaryFolder } from '../../../testing/test-server.js';
import type { CommandIo } from '../../io.js';

let folder: string;
let feed: FeedServer;
let config: string;
let environment: Record<string, string>;

const needing = (id: string, version: string, dependencies: readonly (readonly [id: string, version: string])[] = []) =>
  buildPackage({ id, version, dependencies: dependencies.map(([needed, range]) => ({ id: needed, version: range })) });

beforeEach(async () => {
  folder = await temporaryFolder();
  feed = await startFeedServer({
    packages: [
      needing('App', '1.0.0', [
        ['Logging', '2.0'],
        ['Json', '1.0'],
      ]),
      needing('App', '2.0.0-beta', [['Nobody', '1.0']]),
      needing('Logging', '2.0.0', [
        ['Json', '2.0'],
        ['Base', '1.0'],
      ]),
      needing('Json', '1.0.0', [['Base', '1.5']]),
      needing('Json', '2.0.0'),
      needing('Base', '1.0.0'),
      needing('Base', '1.5.0'),
      buildPackage({ id: 'Old', version: '1.0.0', files: { 'lib/net45/Old.dll': 'old' } }),
      buildPackage({ id: 'Phone', version: '1.0.0', files: { 'lib/wp8/Phone.dll': 'phone' } }),
    ],
    vulnerabilities: [
      { id: 'Base', severity: 2, url: 'https://advisories.test/7', versions: '(,2.0)' },
      { id: 'Json', severity: 0, url: 'https://advisories.test/8', versions: '(,2.0)' },
    ],
  });
  environment = {
    HOME: folder,
    NUGET_COMMON_APPLICATION_DATA: folder,
    NUGET_HTTP_CACHE_PATH: join(folder, 'http-cache'),
  };
  config = join(folder, 'nuget.config');
  await configure();
});
afterEach(async () => {
  await feed.close();
  await rm(folder, { recursive: true, force: true });
});

async function configure(more = ''): Promise<void> {
  const source = `<packageSources><clear/><add key="feed" value="${feed.v3Url}" /></packageSources>`;
  await writeFile(config, `<configuration>${source}${more}</configuration>`);
}

const nuget = (words: readonly string[], io: Partial<CommandIo> = {}) =>
  runGranary(['nuget', ...words, '--config-file', config], { environment, ...io });

describe('granary nuget deps', () => {
  it('says once of a source that it fails, however many packages it is asked for', async () => {
    const wrong = `${feed.url}/nothing/index.json`;
    const from = ['--source', feed.v3Url, '--source', wrong];
    const { exitCode, err } = await nuget(['deps', 'App', '1.0', '-f', 'net472', ...from]);
    expect(exitCode).toBe(0);
    expect(err.split('\n').filter((line) => line.includes('A source of several failed'))).toHaveLength(1);
  });

  it('marks words on the stream that is a terminal', async () => {
    const words = ['deps', 'Nobody', '1.0', '-f', 'net8.0'];
    const onOut = await nuget(words, { outColumns: 80 });
    expect([onOut.out, onOut.err].map((text) => text.includes('\u001b'))).toEqual([true, false]);
    const onErr = await nuget(words, { errColumns: 80 });
    expect([onErr.out, onErr.err].map((text) => text.includes('\u001b'))).toEqual([false, true]);
  });

  it('shows the tree, and what is wrong with it on the other stream', async () => {
    expect(await nuget(['deps', 'app', '1.0', '--framework', 'net8.0'])).toEqual({
      exitCode: 0,
      out: `App 1.0.0
├─ Logging 2.0.0
│  ├─ Json 1.0.0 (downgraded: wants (>= 2.0.0))
│  └─ Base 1.5.0 (1.0.0 would do; another branch needs more)
└─ Json 1.0.0
   └─ Base 1.5.0
4 packages for net8.0
`,
      err: `warning NU1605: Logging 2.0.0 needs Json (>= 2.0.0), but something nearer asks for Json 1.0.0: a downgrade
  App 1.0.0 -> Logging 2.0.0 -> Json (>= 2.0.0)
  App 1.0.0 -> Json 1.0.0
`,
    });
  });

  it('takes the newest that is listed where no version is named, and fails with what is missing', async () => {
    expect((await nuget(['deps', 'App', '-f', 'net8.0'])).out).toContain('App 1.0.0');
    expect(await nuget(['deps', 'App', '-f', 'net8.0', '--prerelease'])).toEqual({
      exitCode: 1,
      out: 'App 2.0.0-beta\n└─ Nobody (missing: wants (>= 1.0.0))\n1 package for net8.0\n',
      err: 'error NU1101: there is no package Nobody in feed\n  App 2.0.0-beta -> Nobody (>= 1.0.0)\n',
    });
    expect((await nuget(['deps', 'App', '*-*', '-f', 'net8.0'])).exitCode).toBe(1);
    expect((await nuget(['deps', 'App', '[0.1,0.5]', '-f', 'net8.0'])).err).toContain('NU1102');
    expect((await nuget(['deps', 'Nobody', '-f', 'net8.0'])).exitCode).toBe(1);
  });

  it('reads nuspecs where a source tells nothing of its packages, beside one of protocol 2, too', async () => {
    const { out } = await nuget(['deps', 'App', '1.0', '-f', 'net8.0']);
    feed.settings.withoutResources = /^(?:Registrations|Search)/;
    const other = await startFeedServer({ packages: [needing('Unrelated', '1.0.0', [['App', '1.0']])] });
    try {
      const alone = await nuget(['deps', 'App', '-f', 'net8.0', '--no-cache']);
      expect(alone).toMatchObject({ exitCode: 0, out });
      const both = ['--source', feed.v3Url, '--source', other.v2Url, '--no-cache'];
      const merged = await nuget(['deps', 'Unrelated', '-f', 'net8.0', ...both]);
      expect(merged.exitCode).toBe(0);
      expect(merged.out).toContain('Json 1.0.0');
    } finally {
      await other.close();
    }
  });

  it('shows what cannot be: cycles, versions that exclude each other, and those above what is wanted', async () => {
    for (const pkg of [
      needing('Round', '1.0.0', [['About', '1.0']]),
      needing('About', '1.0.0', [['Round', '1.0']]),
      needing('Split', '1.0.0', [
        ['Low', '1.0'],
        ['High', '1.0'],
      ]),
      needing('Low', '1.0.0', [['Base', '[1.0.0]']]),
      needing('High', '1.0.0', [['Base', '[1.5.0]']]),
      needing('Above', '1.0.0', [
        ['Low', '1.0'],
        ['Base', '1.5'],
      ]),
    ]) {
      await feed.packages.add(pkg);
    }
    const round = await nuget(['deps', 'Round', '1.0', '-f', 'net8.0']);
    expect(round).toMatchObject({ exitCode: 1, err: expect.stringContaining('error NU1108') });
    expect(round.out).toContain('Round (cycle)');
    const split = await nuget(['deps', 'Split', '1.0', '-f', 'net8.0']);
    expect(split).toMatchObject({ exitCode: 1, err: expect.stringContaining('error NU1107') });
    expect(split.out).toContain('(conflict: wants (= 1.0.0))');
    const above = await nuget(['deps', 'Above', '1.0', '-f', 'net8.0']);
    expect(above).toMatchObject({ exitCode: 0, err: expect.stringContaining('warning NU1608') });
    expect(above.out).toContain('(too high: wants (= 1.0.0))');
  });

  it('takes a platform without a version for what the SDK takes it for', async () => {
    const group = { targetFramework: 'net6.0-windows7.0', dependencies: [{ id: 'Base', version: '1.0' }] };
    await feed.packages.add(buildPackage({ id: 'Forms', version: '1.0.0', dependencyGroups: [group] }));
    const { out, exitCode } = await nuget(['deps', 'Forms', '-f', 'net8.0-windows']);
    expect([exitCode, out]).toEqual([0, 'Forms 1.0.0\n└─ Base 1.0.0\n2 packages for net8.0-windows7.0\n']);
  });

  it('prints JSON', async () => {
    const { out, exitCode } = await nuget(['deps', 'App', '1.0', '-f', 'net8.0', '--json']);
    expect(exitCode).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      framework: 'net8.0',
      success: true,
      packages: [{ id: 'App', version: '1.0.0', isDirect: true }, { id: 'Logging' }, { id: 'Json' }, { id: 'Base' }],
      roots: [{ id: 'App', outcome: 'chosen', range: '[1.0.0, )', children: [{ id: 'Logging' }, { id: 'Json' }] }],
      diagnostics: [{ code: 'NU1605', level: 'warning', id: 'Json', version: '1.0.0' }],
    });
  });

  it('warns of known vulnerabilities when it is told to', async () => {
    const codes = async (...words: string[]) =>
      (await nuget(['deps', 'App', '1.0', '-f', 'net8.0', ...words])).err.match(/NU19\d\d: \w+/g);
    expect(await codes()).toBe(null);
    expect(await codes('--audit')).toEqual(['NU1901: Json', 'NU1903: Base']);
    expect(await codes('--audit', 'moderate')).toEqual(['NU1903: Base']);
    expect(await nuget(['deps', 'App', '-f', 'net8.0', '--audit', 'awful'])).toMatchObject({ exitCode: 2 });
  });

  it('has no package that the mapping leaves without a source, unless the source is named', async () => {
    const mapping = '<package pattern="App" /><package pattern="Logging" /><package pattern="Json" />';
    await configure(
      `<packageSourceMapping><packageSource key="feed">${mapping}</packageSource></packageSourceMapping>`,
    );
    const { err, exitCode } = await nuget(['deps', 'App', '1.0', '-f', 'net8.0']);
    expect(exitCode).toBe(1);
    expect(err).toContain('error NU1100: Base (>= 1.5.0)');
    expect(await nuget(['deps', 'App', '1.0', '-f', 'net8.0', '--source', 'feed'])).toMatchObject({ exitCode: 0 });
  });

  it.each([
    [['deps', 'App'], '--framework'],
    [['deps', 'App', '-f', 'nonsense9'], 'net8.0, netstandard2.0, net472'],
    [['deps', 'App', '[2.0,1.0]', '-f', 'net8.0'], 'as the version of App'],
    [['install', 'App', '-f', 'net8.0', '--concurrency', '0'], 'a whole number'],
  ])('refuses %j as usage', async (words, expected) => {
    const { exitCode, err } = await nuget(words);
    expect(exitCode).toBe(2);
    expect(err).toContain(expected);
  });
});

describe('granary nuget install', () => {
  const installed = async (path = join(folder, '.nuget/packages')) =>
    (
      await Promise.all((await readdir(path)).map(async (id) => `${id} ${(await readdir(join(path, id))).join()}`))
    ).sort();

  it('installs a package with all that it needs where restores look, and the second time nothing', async () => {
    const first = await nuget(['install', 'App', '1.0', '--framework', 'net8.0']);
    const place = join(folder, '.nuget/packages');
    expect(first).toMatchObject({ exitCode: 0, err: expect.stringContaining('NU1605') });
    expect(first.out).toBe(
      `App 1.0.0 ${place}/app/1.0.0\nLogging 2.0.0 ${place}/logging/2.0.0\nJson 1.0.0 ${place}/json/1.0.0\n` +
        `Base 1.5.0 ${place}/base/1.5.0\n4 installed, 0 there already: ${place}\n`,
    );
    expect(await installed()).toEqual(['app 1.0.0', 'base 1.5.0', 'json 1.0.0', 'logging 2.0.0']);
    for (const name of ['.nupkg.metadata', 'app.1.0.0.nupkg', 'app.1.0.0.nupkg.sha512', 'app.nuspec']) {
      await access(join(place, 'app/1.0.0', name));
    }
    feed.requests.clear();
    await rm(join(folder, 'http-cache'), { recursive: true });
    const again = await nuget(['install', 'App', '1.0', '--framework', 'net8.0']);
    expect(again.out).toBe(`0 installed, 4 there already: ${place}\n`);
    // The one that lost isn't installed, and is looked at again.
    const asked = feed.requests.all().filter(({ path }) => path.endsWith('.nupkg'));
    expect(asked.map(({ path }) => path)).toEqual(['/v3/flat/base/1.0.0/base.1.0.0.nupkg']);
  });

  it.each(['--packages', '--output'])('installs elsewhere with %s, and what is missing there only', async (flag) => {
    const place = join(folder, 'elsewhere');
    await nuget(['install', 'Json', '1.0.0', '-f', 'net8.0', flag, place]);
    await unlink(join(place, 'base/1.5.0/.nupkg.metadata'));
    await rm(join(place, 'base'), { recursive: true });
    const { out } = await nuget(['install', 'Json', '1.0.0', '-f', 'net8.0', flag, place, '--json', '--no-cache']);
    expect(JSON.parse(out)).toMatchObject({
      folder: place,
      packages: [
        { id: 'Json', outcome: 'present' },
        { id: 'Base', outcome: 'installed', source: feed.v3Url },
      ],
    });
    expect(await installed(place)).toEqual(['base 1.5.0', 'json 1.0.0']);
  });

  it('installs nothing of a graph with errors', async () => {
    const { exitCode, err, out } = await nuget(['install', 'App', '2.0.0-beta', '-f', 'net8.0']);
    expect({ exitCode, out }).toEqual({ exitCode: 1, out: '' });
    expect(err).toContain('NU1101');
    expect(err).toContain('nothing was installed');
    await expect(installed()).rejects.toMatchObject({ code: 'ENOENT' });
    const json = await nuget(['install', 'App', '2.0.0-beta', '-f', 'net8.0', '--json']);
    expect(JSON.parse(json.out)).toMatchObject({ packages: [], diagnostics: [{ code: 'NU1101' }] });
  });

  it('tells which packages have no assemblies for the framework', async () => {
    expect(await nuget(['install', 'Old', '1.0.0', '-f', 'net8.0'])).toMatchObject({
      exitCode: 0,
      err: expect.stringContaining('warning NU1701: Old 1.0.0'),
    });
    expect(await nuget(['install', 'Phone', '1.0.0', '-f', 'net8.0'])).toMatchObject({
      exitCode: 1,
      err: expect.stringContaining('error NU1202: Phone 1.0.0'),
    });
  });

  it('finds nothing wrong with a package that names what comes with the framework', async () => {
    const frameworkReferences = [{ targetFramework: 'net6.0', names: ['Microsoft.AspNetCore.App'] }];
    const files = { 'lib/wp8/Web.dll': 'web' };
    await feed.packages.add(buildPackage({ id: 'Web', version: '1.0.0', files, frameworkReferences }));
    for (const _ of ['installed', 'there already']) {
      expect(await nuget(['install', 'Web', '1.0.0', '-f', 'net8.0'])).toMatchObject({ exitCode: 0, err: '' });
    }
  });

  it('says of each package that fails why, and has the others', async () => {
    await nuget(['deps', 'Json', '1.0.0', '-f', 'net8.0']);
    const end = feed.fault(({ path }) => path.endsWith('base.1.5.0.nupkg'), { kind: 'status', status: 403 });
    const { exitCode, err, out } = await nuget(['install', 'Json', '1.0.0', '-f', 'net8.0', '--no-cache']);
    end();
    expect(exitCode).toBe(1);
    expect(err).toContain('granary: Base 1.5.0: ');
    expect(out).toContain('1 installed, 0 there already, 1 failed');
    expect(await nuget(['install', 'Json', '1.0.0', '-f', 'net8.0'])).toMatchObject({ exitCode: 0 });
    expect(await installed()).toEqual(['base 1.5.0', 'json 1.0.0']);
  });

  it('shows on a terminal how far it is', async () => {
    const { err } = await nuget(['install', 'Json', '1.0.0', '-f', 'net8.0'], { errColumns: 60 });
    expect(err).toMatch(/\[-+\] 0\/2 .*(?:Json 1\.0\.0|Base 1\.5\.0)/);
    expect(err.endsWith('\r\u001b[2K')).toBe(true);
    environment['TERM'] = 'dumb';
    expect((await nuget(['install', 'Old', '1.0.0', '-f', 'net472'], { errColumns: 60 })).err).toBe('');
  });

  it('shows that packages are on their way before it knows all of them', async () => {
    const base = ({ path }: { path: string }) => path.endsWith('base.1.5.0.nupkg');
    feed.fault(base, { kind: 'delay', ms: 600_000 });
    const abort = new AbortController();
    const running = nuget(['install', 'Json', '1.0.0', '-f', 'net8.0'], { errColumns: 60, interrupted: abort.signal });
    await feed.waitForRequest(base);
    abort.abort(new Error('interrupted'));
    const { err } = await running;
    expect(err).toContain('\r\u001b[2K[--------------------] 0/1 Json 1.0.0');
    expect(err.endsWith('\r\u001b[2Kgranary: interrupted; what was not finished is put away\n')).toBe(true);
  });

  it('leaves nothing half when it is interrupted', async () => {
    const abort = new AbortController();
    feed.fault(({ path }) => path.endsWith('base.1.5.0.nupkg'), { kind: 'delay', ms: 600_000 });
    const running = nuget(['install', 'Json', '1.0.0', '-f', 'net8.0'], { interrupted: abort.signal });
    await feed.waitForRequest(({ path }) => path.endsWith('base.1.5.0.nupkg'));
    abort.abort(new Error('interrupted'));
    expect(await running).toMatchObject({ exitCode: 1, err: expect.stringContaining('interrupted') });
    feed.clearFaults();
    expect(await nuget(['install', 'Json', '1.0.0', '-f', 'net8.0'])).toMatchObject({ exitCode: 0 });
  });
});
