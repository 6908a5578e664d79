import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { buildPackage, type FeedServer, startFeedServer } from '@granary/nuget/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCommand } from '../command.js';
import { dotnet, NuGetHome, type Source } from './nuget-clients.js';
import { NuGetProxy } from './proxy.js';

if (dotnet.missing) console.log(`Skipped: real ${dotnet.title}, because ${dotnet.missing}.`);

const ann = { username: 'ann', password: 'ann/s+token~0123456789==' };
const MAIN = new URL('../../packages/granary/dist/main.js', import.meta.url).pathname;

const library = (id: string, version: string, dependencies: Readonly<Record<string, string>> = {}) =>
  buildPackage({
    id,
    version,
    dependencies: Object.entries(dependencies).map(([needed, range]) => ({ id: needed, version: range })),
    files: { [`lib/netstandard2.0/${id}.dll`]: `${id} ${version}` },
  });

const project = (references: Readonly<Record<string, string>>) => {
  const items = Object.entries(references).map(
    ([id, version]) => `<PackageReference Include="${id}" Version="${version}" />`,
  );
  return `<Project Sdk="Microsoft.NET.Sdk">
  <PropertyGroup><TargetFramework>netstandard2.1</TargetFramework></PropertyGroup>
  <ItemGroup>${items.join('')}</ItemGroup>
</Project>`;
};

describe.skipIf(dotnet.missing)(dotnet.title, () => {
  let upstream: FeedServer;
  let proxy: NuGetProxy;
  let source: Source;

  beforeAll(async () => {
    const packages = [
      library('Acme.Web', '2.0.0', { 'Acme.Core': '1.0', 'Acme.Text': '[1.0,2.0)' }),
      library('Acme.Core', '1.0.0'),
      library('Acme.Core', '1.1.0'),
      library('Acme.Core', '2.0.0-beta'),
      library('Acme.Text', '1.5.0'),
    ];
    upstream = await startFeedServer({ packages, apiKey: 'upstream key' });
    const tokens = { ann: { token: ann.password, right: 'write' } } as const;
    // What is asked for again at each restore, unless upstream is gone.
    const nuget = { metadata_ttl: '0s', registrations_ttl: '0s' };
    proxy = await NuGetProxy.start({ upstream, apiKey: 'upstream key', tokens, nuget });
    source = { name: 'granary', url: proxy.v3, credentials: ann };
  });

  afterAll(async () => {
    await proxy?.stop();
    await upstream?.close();
  });

  it('restores cold, warm and with upstream gone', async () => {
    using home = new NuGetHome(dotnet, [source]);
    home.write('app.csproj', project({ 'Acme.Web': '2.0.0' }));
    const restored = ['acme.core.1.0.0.nupkg', 'acme.text.1.5.0.nupkg', 'acme.web.2.0.0.nupkg'];
    const restore = async () => {
      for (const folder of ['global', 'http', 'obj'])
        rmSync(join(home.directory, folder), { recursive: true, force: true });
      await home.succeed('restore');
      expect([...home.packages('global').keys()].sort()).toEqual(restored);
    };
    await restore();
    const cold = upstream.requests.targets();
    expect(cold.filter((target) => target.endsWith('.nupkg')).length).toBe(3);
    upstream.requests.clear();
    await restore();
    // Lists of versions are confirmed; packages never change.
    expect(upstream.requests.targets().filter((target) => target.endsWith('.nupkg'))).toEqual([]);

    await upstream.close();
    await restore();
    using other = new NuGetHome(dotnet, [source]);
    other.write('app.csproj', project({ 'Acme.Unseen': '1.0.0' }));
    expect((await other.fail('restore')).output).toContain('503');
  });
});

describe.skipIf(dotnet.missing)(`${dotnet.title}, with what was fetched ahead`, () => {
  // Acme.Core 1.0.0 loses, and a restore reads it nevertheless.
  const packages = [
    library('Acme.Web', '2.0.0', { 'Acme.Core': '1.0' }),
    library('Acme.Text', '1.5.0', { 'Acme.Core': '1.1' }),
    library('Acme.Core', '1.0.0'),
    library('Acme.Core', '1.1.0'),
  ];

  it.each(['app.csproj', 'obj/project.assets.json', 'packages.lock.json'])(
    'restores what %s asks for',
    async (file) => {
      const upstream = await startFeedServer({ packages });
      const proxy = await NuGetProxy.start({ upstream });
      try {
        using home = new NuGetHome(dotnet, [{ name: 'upstream', url: upstream.v3Url }]);
        home.write('app.csproj', project({ 'Acme.Web': '2.0.0', 'Acme.Text': '1.5.0' }));
        if (file === 'obj/project.assets.json') await home.succeed('restore');
        if (file === 'packages.lock.json') await home.succeed('restore', '--use-lock-file');

        const args = ['nuget', 'warm', file, '--source', proxy.v3];
        const env = { HOME: home.directory, NUGET_HTTP_CACHE_PATH: join(home.directory, 'http') };
        const warmed = await runCommand(process.execPath, [MAIN, ...args], { cwd: home.directory, env });
        expect(warmed).toMatchObject({ exitCode: 0, output: expect.stringContaining('packages fetched') });
        await upstream.close();

        for (const folder of ['global', 'http']) rmSync(join(home.directory, folder), { recursive: true, force: true });
        await home.succeed('restore', '--force', '--source', proxy.v3);
        const restored = [...home.packages('global').keys()];
        expect(restored).toContain('acme.core.1.1.0.nupkg');
        expect(restored.includes('acme.core.1.0.0.nupkg')).toBe(file !== 'packages.lock.json');
      } finally {
        await proxy.stop();
        await upstream.close();
      }
    },
  );
});

describe.skipIf(dotnet.missing)(`${dotnet.title}, with packages of its own`, () => {
  let upstream: FeedServer;
  let proxy: NuGetProxy;
  let source: Source;

  beforeAll(async () => {
    const packages = [library('Acme.Core', '1.0.0'), library('Acme.Core', '1.1.0')];
    upstream = await startFeedServer({ packages, apiKey: 'upstream key' });
    const tokens = { ann: { token: ann.password, right: 'write' } } as const;
    proxy = await NuGetProxy.start({ upstream, apiKey: 'upstream key', tokens });
    source = { name: 'granary', url: proxy.v3, credentials: ann };
  });

  afterAll(async () => {
    await proxy?.stop();
    await upstream?.close();
  });

  it('pushes, finds the newest, adds and deletes', async () => {
    using home = new NuGetHome(dotnet, [source]);
    home.write('Acme.New.1.0.0.nupkg', library('Acme.New', '1.0.0'));
    const push = ['nuget', 'push', 'Acme.New.1.0.0.nupkg', '-s', 'granary', '-k', 'mine'];
    await home.succeed(...push);
    expect((await home.fail(...push)).output).toContain('409');
    await home.succeed(...push, '--skip-duplicate');

    home.write('app.csproj', project({ 'Acme.Core': '1.0.0', 'Acme.New': '1.0.0' }));
    await home.succeed('restore');
    expect((await home.succeed('list', 'package', '--outdated')).output).toMatch(
      /Acme\.Core\s+1\.0\.0\s+1\.0\.0\s+1\.1\.0/,
    );
    await home.succeed('nuget', 'delete', 'Acme.New', '1.0.0', '-s', 'granary', '-k', 'mine', '--non-interactive');
    expect(upstream.packages.find('Acme.New', '1.0.0')?.listed).toBe(false);
  });

  it('takes what granary nuget install has put into the folder of packages, without asking for it', async () => {
    using home = new NuGetHome(dotnet, [source]);
    const folder = join(home.directory, 'global');
    const args = ['nuget', 'install', 'Acme.Core', '1.1.0', '-f', 'netstandard2.1', '--packages', folder];
    const url = proxy.v3.replace('http://', `http://${ann.username}:${encodeURIComponent(ann.password)}@`);
    const env = { HOME: home.directory, NUGET_HTTP_CACHE_PATH: join(home.directory, 'http') };
    const installed = await runCommand(process.execPath, [MAIN, ...args, '--source', url], {
      cwd: home.directory,
      env,
    });
    expect(installed).toMatchObject({ exitCode: 0, output: expect.stringContaining('1 installed') });

    using offline = new NuGetHome(dotnet, [{ name: 'nowhere', url: 'http://127.0.0.1:9/index.json' }]);
    offline.write('app.csproj', project({ 'Acme.Core': '1.1.0' }));
    await offline.succeed('restore', '--packages', folder);
  });
});
