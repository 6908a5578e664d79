import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type FeedServer, startFeedServer } from '@granary/nuget/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Ended, runCommand } from '../command.js';
import { NuGetHome, nuget5 } from './nuget-clients.js';
import { hashes, hashesOf, PACKAGES, WEB } from './packages.js';

if (nuget5.missing) console.log(`Skipped: a cache shared with ${nuget5.title}, because ${nuget5.missing}.`);

const MAIN = new URL('../../packages/granary/dist/main.js', import.meta.url).pathname;

describe.skipIf(nuget5.missing)(`a cache that is shared with ${nuget5.title}`, () => {
  let feed: FeedServer;

  beforeAll(async () => {
    feed = await startFeedServer({ packages: [...PACKAGES.values()] });
  });
  afterAll(() => feed?.close());

  const newHome = () => new NuGetHome(nuget5, [{ name: 'feed', url: feed.v3Url }]);

  function granary(home: NuGetHome, ...args: string[]): Promise<Ended> {
    const env = { HOME: home.directory, NUGET_HTTP_CACHE_PATH: join(home.directory, 'http') };
    return runCommand(process.execPath, [MAIN, 'nuget', ...args, '--source', feed.v3Url], { cwd: home.directory, env });
  }

  const filesIn = (home: NuGetHome) =>
    readdirSync(join(home.directory, 'http'), { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.endsWith('.dat'),
    );

  // Its installs take packages from their source each time; documents are what both keep.
  it('has what the client fetched, for Granary', async () => {
    using home = newHome();
    await home.succeed('install', 'Acme.Web', '-OutputDirectory', 'installed');
    expect(filesIn(home)).toContainEqual(expect.stringMatching(/[/]list_acme\.web_index\.dat$/));
    feed.requests.clear();
    const told = await granary(home, 'info', 'Acme.Web', '2.0.0');
    expect(told).toMatchObject({ exitCode: 0, output: expect.stringContaining('Acme.Core') });
    expect(feed.requests.targets()).toEqual([]);
  });

  it('has what Granary fetched, for the client', async () => {
    using home = newHome();
    for (const id of ['Acme.Web', 'Acme.Core', 'Newtonsoft.Json']) {
      expect(await granary(home, 'info', id)).toMatchObject({ exitCode: 0 });
    }
    feed.requests.clear();
    await home.succeed('install', 'Acme.Web', '-OutputDirectory', 'installed');
    expect(hashes(home.packages('installed'))).toEqual(hashesOf(WEB));
    expect(feed.requests.targets().filter((target) => !target.endsWith('.nupkg'))).toEqual([]);
  });

  it('has packages that Granary installed, for the client, and needs no feed then', async () => {
    using home = newHome();
    const installed = await granary(
      home,
      'install',
      'Acme.Web',
      '-f',
      'net472',
      '--packages',
      join(home.directory, 'global'),
    );
    expect(installed).toMatchObject({ exitCode: 0, output: expect.stringContaining('3 installed') });
    for (const id of ['Acme.Web', 'Acme.Core', 'Newtonsoft.Json']) {
      expect(await granary(home, 'info', id)).toMatchObject({ exitCode: 0 });
    }
    feed.requests.clear();
    await home.succeed('install', 'Acme.Web', '-OutputDirectory', 'installed');
    expect(feed.requests.targets()).toEqual([]);
    expect(hashes(home.packages('installed'))).toEqual(hashesOf(WEB));
  });

  it('is installed as the client does it: the same files with the same marker', async () => {
    using home = newHome();
    await home.succeed('install', 'Acme.Core', '-OutputDirectory', 'installed');
    await granary(home, 'install', 'Acme.Core', '1.1.0', '-f', 'net472', '--packages', join(home.directory, 'ours'));
    const read = (folder: string, name: string) => readFileSync(join(home.directory, folder, 'acme.core/1.1.0', name));
    const hashIn = (folder: string) => JSON.parse(read(folder, '.nupkg.metadata').toString()).contentHash;
    expect(hashIn('ours')).toBe(hashIn('global'));
    for (const name of [
      'acme.core.1.1.0.nupkg',
      'acme.core.1.1.0.nupkg.sha512',
      'acme.core.nuspec',
      'lib/net40/Acme.Core.dll',
    ])
      expect(read('ours', name).equals(read('global', name)), name).toBe(true);
  });
});
