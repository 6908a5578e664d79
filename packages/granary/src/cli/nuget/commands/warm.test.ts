import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { buildPackage, type FeedServer, startFeedServer } from '@granary/nuget/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { runGranary } from '../../../testing/run-granary.js';
import { temporaryFolder } from '../../../testing/test-server.js';
import type { CommandIo } from '../../io.js';

let folder: string;
let feed: FeedServer;
let environment: Record<string, string>;

const needing = (id: string, version: string, dependencies: readonly (readonly [id: string, range: string])[] = []) =>
  buildPackage({ id, version, dependencies: dependencies.map(([needed, range]) => ({ id: needed, version: range })) });

beforeEach(async () => {
  folder = await temporaryFolder();
  feed = await startFeedServer({
    packages: [
      needing('App', '1.0.0', [['Base', '1.0']]),
      needing('App', '1.1.0', [['Base', '1.5']]),
      needing('Base', '1.0.0'),
      needing('Base', '1.5.0'),
      needing('Beta', '1.0.0-rc.1'),
    ],
    vulnerabilities: [{ id: 'Base', severity: 2, url: 'https://advisories.test/7', versions: '(,1.2)' }],
  });
  environment = {
    HOME: folder,
    NUGET_COMMON_APPLICATION_DATA: folder,
    NUGET_HTTP_CACHE_PATH: join(folder, 'http-cache'),
  };
});
afterEach(async () => {
  vi.useRealTimers();
  await feed.close();
  await rm(folder, { recursive: true, force: true });
});

async function write(name: string, content: string | object): Promise<string> {
  const path = join(folder, name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

const warm = (words: readonly string[], io: Partial<CommandIo> = {}) =>
  runGranary(['nuget', 'warm', '--source', feed.v3Url, ...words], { environment, ...io });

const lock = (packages: Readonly<Record<string, string>>) => ({
  version: 1,
  dependencies: {
    'net8.0': Object.fromEntries(
      Object.entries(packages).map(([id, resolved]) => [id, { type: 'Direct', resolved, contentHash: '' }]),
    ),
  },
});

const project = (references: string) =>
  `<Project><PropertyGroup><TargetFramework>net8.0</TargetFramework></PropertyGroup><ItemGroup>${references}</ItemGroup></Project>`;

/** Packages that were downloaded, in order of their names. */
const downloaded = () =>
  feed.requests
    .targets()
    .flatMap((target) => /([^/]+)\.nupkg$/.exec(target)?.[1] ?? [])
    .sort();

describe('granary nuget warm', () => {
  it('asks for all that a restore of a lock file asks for, and keeps nothing of it', async () => {
    const file = await write('packages.lock.json', lock({ App: '1.0.0', base: '1.0.0', Beta: '1.0.0-rc.1' }));
    const { exitCode, out, err } = await warm([file]);
    expect({ exitCode, err }).toEqual({ exitCode: 0, err: '' });
    expect(out).toMatch(/^3 of 3 packages fetched, [\d.]+ \w+\n$/);
    expect(downloaded()).toEqual(['app.1.0.0', 'base.1.0.0', 'beta.1.0.0-rc.1']);
    const targets = feed.requests.targets();
    for (const id of ['app', 'base', 'beta']) {
      expect(targets).toContainEqual(expect.stringMatching(new RegExp(`/flat[^/]*/${id}/index\\.json$`)));
      expect(targets).toContainEqual(expect.stringMatching(new RegExp(`/registration[^/]*/${id}/index\\.json$`)));
    }
    expect(targets).toContainEqual(expect.stringContaining('vulnerab'));
    const left = await readdir(folder, { recursive: true, withFileTypes: true });
    const files = left.filter((entry) => entry.isFile()).map(({ name }) => name);
    expect(files.filter((name) => !name.startsWith('service_index'))).toEqual(['packages.lock.json']);
  });

  it('asks again the next time, since the proxy may have forgotten', async () => {
    const file = await write('packages.lock.json', lock({ Base: '1.0.0' }));
    await warm([file]);
    feed.requests.clear();
    await warm([file]);
    expect(downloaded()).toEqual(['base.1.0.0']);
  });

  it('resolves what projects refer to as a restore does, and fetches each package once', async () => {
    const a = await write('a/a.csproj', project('<PackageReference Include="App" Version="1.0"/>'));
    const b = await write('b/b.csproj', project('<PackageReference Include="App" Version="1.*"/>'));
    const config = await write('packages.config', '<packages><package id="BASE" version="1.0" /></packages>');
    const { exitCode, out } = await warm([a, b, config, '--json']);
    expect(exitCode).toBe(0);
    const { packages, problems } = JSON.parse(out);
    expect(problems).toEqual([]);
    const names = packages.map(({ id, version }: { id: string; version: string }) => `${id.toLowerCase()} ${version}`);
    expect(names.sort()).toEqual(['app 1.0.0', 'app 1.1.0', 'base 1.0.0', 'base 1.5.0']);
    expect(new Set(downloaded())).toEqual(new Set(['app.1.0.0', 'app.1.1.0', 'base.1.0.0', 'base.1.5.0']));
  });

  it('fetches what is pinned in place of what packages ask for', async () => {
    await write(
      'Directory.Packages.props',
      `<Project><PropertyGroup><ManagePackageVersionsCentrally>true</ManagePackageVersionsCentrally>
      <CentralPackageTransitivePinningEnabled>true</CentralPackageTransitivePinningEnabled></PropertyGroup><ItemGroup>
      <PackageVersion Include="App" Version="1.0" /><PackageVersion Include="base" Version="[1.5]" /></ItemGroup></Project>`,
    );
    const { exitCode } = await warm([await write('p.csproj', project('<PackageReference Include="App"/>'))]);
    expect(exitCode).toBe(0);
    expect(downloaded()).toEqual(['app.1.0.0', 'base.1.5.0']);
  });

  it('fetches what loses against others, too, since restores read it on their way', async () => {
    const references =
      '<PackageReference Include="App" Version="1.0"/><PackageReference Include="Other" Version="1.0"/>';
    await feed.packages.add(needing('Other', '1.0.0', [['Base', '1.2']]));
    const { exitCode, out } = await warm([await write('p.csproj', project(references))]);
    expect(exitCode).toBe(0);
    expect(out).toMatch(/^4 of 4 packages fetched, /);
    const all = ['app.1.0.0', 'base.1.0.0', 'base.1.5.0', 'other.1.0.0'];
    expect(downloaded()).toEqual(all);

    const wish = { target: 'Package', version: '[1.0.0, )' };
    const assets = {
      libraries: Object.fromEntries(
        ['App/1.0.0', 'Base/1.5.0', 'Other/1.0.0'].map((name) => [name, { type: 'package' }]),
      ),
      project: { frameworks: { 'net8.0': { dependencies: { App: wish, Other: wish } } } },
    };
    feed.requests.clear();
    expect((await warm([await write('obj/project.assets.json', assets)])).exitCode).toBe(0);
    expect(downloaded()).toEqual(all);
  });

  it('takes it from an assets file that references do not contradict each other', async () => {
    const assets = {
      libraries: { 'App/1.0.0': { type: 'package' }, 'Base/1.0.0': { type: 'package' } },
      targets: { 'net8.0': { 'Our/1.0.0': { type: 'project', dependencies: { Gone: '1.0' } } } },
      project: { frameworks: { 'net8.0': { dependencies: { App: { target: 'Package', version: '[1.0.0, )' } } } } },
    };
    const { exitCode, err } = await warm([await write('project.assets.json', assets)]);
    expect({ exitCode, err }).toEqual({ exitCode: 0, err: '' });
    expect(downloaded()).toEqual(['app.1.0.0', 'base.1.0.0']);
  });

  it('goes on when one fails, and says which', async () => {
    feed.fault(/base\.1\.0\.0\.nupkg/, { kind: 'truncate' });
    const file = await write('packages.lock.json', lock({ App: '1.0.0', Base: '1.0.0', Gone: '1.0.0' }));
    const { exitCode, out, err } = await warm([file]);
    expect(exitCode).toBe(1);
    expect(out).toMatch(/^1 of 3 packages fetched, /);
    expect(err).toContain('granary: Base 1.0.0: ');
    expect(err).toContain('granary: Gone 1.0.0: Gone 1.0.0 is not in 127.0.0.1');
    expect(downloaded()).toContain('app.1.0.0');
  });

  it('fetches what a proxy can give, however long it says of others that it can not', async () => {
    vi.useFakeTimers({ toFake: ['Date', 'hrtime'] });
    const isOutOfReach = ({ target }: { readonly target: string }) => {
      if (!/base|beta/.test(target)) return false;
      vi.advanceTimersByTime(10_000);
      return true;
    };
    feed.fault(isOutOfReach, { kind: 'status', status: 503, headers: { 'retry-after': '0' } });
    const file = await write('packages.lock.json', lock({ Base: '1.0.0', Beta: '1.0.0-rc.1', App: '1.0.0' }));
    const { exitCode, out, err } = await warm([file, '--concurrency', '1']);
    expect(exitCode).toBe(1);
    expect(out).toMatch(/^1 of 3 packages fetched, /);
    expect(err).toMatch(/granary: Base 1\.0\.0: .* answered 503/);
    expect(err).not.toContain('circuit');
  });

  it('does without the metadata of a proxy whose sources have none', async () => {
    feed.fault(/\/registration/, { kind: 'status', status: 501 });
    const file = await write('packages.lock.json', lock({ Base: '1.0.0', App: '1.0.0' }));
    const { exitCode, out, err } = await warm([file]);
    expect({ exitCode, err }).toEqual({ exitCode: 0, err: '' });
    expect(out).toMatch(/^2 of 2 packages fetched, /);
  });

  it('fails with the codes of a restore where references lead nowhere, and fetches the rest', async () => {
    const references =
      '<PackageReference Include="App" Version="1.0"/><PackageReference Include="Gone" Version="1.0"/>';
    const { exitCode, out, err } = await warm([await write('p.csproj', project(references)), '--json']);
    expect(exitCode).toBe(1);
    expect(err).toContain('error NU1101');
    expect(JSON.parse(out)).toMatchObject({
      problems: [],
      diagnostics: [{ code: 'NU1101', level: 'error', id: 'Gone' }],
    });
    expect(downloaded()).toContain('app.1.0.0');
  });

  it('leaves no command to the terminal in what it says of a project', async () => {
    const file = await write('p.csproj', project('<PackageReference Include="App" Version="&#x9b;31m&#x85;"/>'));
    const { exitCode, err } = await warm([file]);
    expect(exitCode).toBe(1);
    expect(err).toContain('31m');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
    expect(err).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
  });

  it('fails where a project says something that it does not understand', async () => {
    const file = await write('p.csproj', project('<PackageReference Include="App"/>'));
    const { exitCode, out, err } = await warm([file]);
    expect(exitCode).toBe(1);
    expect(err).toBe(`granary: ${file}: the version of App can't be told\n`);
    expect(out).toBe('0 of 0 packages fetched, 0 B\n');
  });

  it('shows how far it is on a terminal', async () => {
    const file = await write('packages.lock.json', lock({ Base: '1.0.0' }));
    const { err } = await warm([file], { errColumns: 80 });
    expect(err).toContain('0/2');
    expect(err.endsWith('\r\u001b[2K')).toBe(true);
  });

  it.each([
    [['readme.md'], 1, 'allowed: a packages.lock.json, project.assets.json or packages.config'],
    [['gone.csproj'], 1, "gone.csproj can't be read"],
    [['x.json', '--concurrency', '0'], 2, '--concurrency: found "0"; allowed: a whole number from 1 to 64'],
  ])('refuses %j', async (words, code, message) => {
    const { exitCode, err } = await warm(words);
    expect(err).toContain(message);
    expect(exitCode).toBe(code);
  });

  it('asks the proxy of this machine where nobody says another', async () => {
    const { out } = await runGranary(['nuget', 'warm', '--help'], { environment });
    expect(out.replaceAll(/\s+/g, ' ')).toContain('or its name in nuget.config (default: the one on port 8080 here)');
  });

  it('says once that nobody answers, and what to do', async () => {
    const file = await write('packages.lock.json', lock({ App: '1.0.0', Base: '1.0.0' }));
    const nobody = await runGranary(['nuget', 'warm', file, '--source', 'http://127.0.0.1:1/nuget/v3/index.json'], {
      environment,
    });
    expect(nobody).toMatchObject({ exitCode: 1, out: '' });
    expect(nobody.err).toMatch(/^granary: [^\n]*; is granary serve running there\? --source names another proxy\n$/);
  });
});
