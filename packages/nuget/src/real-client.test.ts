import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { clientPackages, NuGetClient, NuGetVersion, PackageInstaller } from './index.js';
import { buildPackage, type FeedServer, startFeedServer } from './testing/index.js';

/** NuGet 5.8, the first whose caches are as those of today, where it is installed along with mono. */
const NUGET = join(fileURLToPath(new URL('../../../node_modules', import.meta.url)), 'nuget-exe/nuget-5.8.0.exe');
const MONO = '/usr/bin/mono';

let folder: string;
let feed: FeedServer;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'nuget-real-'));
  feed = await startFeedServer({
    packages: [
      buildPackage({ id: 'Contoso.Json', version: '2.0.1' }),
      buildPackage({ id: 'Contoso.Web', version: '1.0.0', dependencies: [{ id: 'Contoso.Json', version: '2.0.1' }] }),
    ],
  });
});
afterEach(async () => {
  await feed.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Installs as NuGet does, with the folder for all that it keeps; answers with what it printed. */
async function nugetInstall(id: string): Promise<string> {
  const config = join(folder, 'nuget.config');
  writeFileSync(
    config,
    `<configuration><packageSources><clear /><add key="feed" value="${feed.v3Url}" /></packageSources></configuration>`,
  );
  const child = spawn(
    MONO,
    [NUGET, 'install', id, '-OutputDirectory', 'out', '-ConfigFile', config, '-NonInteractive'],
    {
      cwd: folder,
      env: { ...process.env, HOME: folder, NUGET_HTTP_CACHE_PATH: httpCache(), NUGET_PACKAGES: packages() },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const [out, error, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  expect([code, error]).toEqual([0, '']);
  return out;
}

const httpCache = () => join(folder, 'http-cache');
const packages = () => join(folder, 'packages');
const client = () =>
  new NuGetClient({
    sources: [{ name: 'feed', sourceUrl: feed.v3Url }],
    cacheDir: httpCache(),
    http: { proxy: false },
  });

describe.skipIf(!existsSync(NUGET) || !existsSync(MONO))('NuGet itself', { timeout: 120_000 }, () => {
  it('leaves documents that need not be asked for again', async () => {
    await nugetInstall('Contoso.Web');
    feed.requests.clear();
    await using nuget = client();
    expect((await nuget.listMetadata('contoso.web')).map(({ version }) => `${version}`)).toEqual(['1.0.0']);
    expect((await nuget.listMetadata('Contoso.Json')).map(({ version }) => `${version}`)).toEqual(['2.0.1']);
    expect(feed.requests.targets()).toEqual([]);
  });

  it('needs no request where documents are kept and packages are installed', async () => {
    await using nuget = client();
    const identities = [
      { id: 'Contoso.Web', version: NuGetVersion.parse('1.0.0') },
      { id: 'Contoso.Json', version: NuGetVersion.parse('2.0.1') },
    ];
    for (const { id } of identities) await nuget.listMetadata(id);
    await new PackageInstaller({ folder: packages(), packages: clientPackages(nuget) }).install(identities);
    feed.requests.clear();
    expect(await nugetInstall('Contoso.Web')).toContain("Successfully installed 'Contoso.Web 1.0.0'");
    expect(feed.requests.targets()).toEqual([]);
    expect(existsSync(join(folder, 'out/Contoso.Json.2.0.1/lib/netstandard2.0/Contoso.Json.dll'))).toBe(true);
  });

  it('installs what is installed here: the same files, with the same marker', async () => {
    await nugetInstall('Contoso.Json');
    const marker = (of: string) => JSON.parse(readFileSync(join(of, 'contoso.json/2.0.1/.nupkg.metadata'), 'utf8'));
    const theirs = marker(packages());
    await using nuget = client();
    const ours = join(folder, 'ours');
    const identity = { id: 'Contoso.Json', version: NuGetVersion.parse('2.0.1') };
    await new PackageInstaller({ folder: ours, packages: clientPackages(nuget) }).install([identity]);
    expect(marker(ours).contentHash).toBe(theirs.contentHash);
    for (const name of ['contoso.json.2.0.1.nupkg.sha512', 'contoso.json.nuspec', 'contoso.json.2.0.1.nupkg']) {
      const path = `contoso.json/2.0.1/${name}`;
      expect(readFileSync(join(ours, path)).equals(readFileSync(join(packages(), path)))).toBe(true);
    }
  });
});
