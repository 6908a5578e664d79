import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { createServer as createProxy } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { basename, join } from 'node:path';
import { buildPackage, type FeedServer, startFeedServer } from '@granary/nuget/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runGranary } from '../../../testing/run-granary.js';
import { certificate, startTestServer, temporaryFolder } from '../../../testing/test-server.js';
import type { CommandIo } from '../../io.js';

let folder: string;
let feed: FeedServer;
let config: string;
let environment: Record<string, string>;

beforeEach(async () => {
  folder = await temporaryFolder();
  feed = await startFeedServer({
    packages: [
      { content: buildPackage({ id: 'My.Json', version: '1.0.0', description: 'Reads JSON.' }), downloads: 1234567 },
      buildPackage({
        id: 'My.Json',
        version: '2.0.0',
        description: 'Reads JSON \u009b31mfaster.',
        authors: 'Ann, Bob',
        license: { type: 'expression', value: 'MIT' },
        dependencyGroups: [{ targetFramework: 'net8.0', dependencies: [{ id: 'Other', version: '[1.0,2.0)' }] }],
      }),
      buildPackage({ id: 'My.Json', version: '3.0.0-beta.1' }),
      { content: buildPackage({ id: 'My.Json', version: '2.5.0' }), listed: false },
      buildPackage({ id: 'Other', version: '1.5.0' }),
      buildPackage({ id: 'Only.Beta', version: '0.1.0-alpha' }),
    ],
  });
  environment = {
    HOME: folder,
    NUGET_COMMON_APPLICATION_DATA: folder,
    NUGET_HTTP_CACHE_PATH: join(folder, 'http-cache'),
  };
  config = join(folder, 'nuget.config');
  await configure(`<add key="feed" value="${feed.v3Url}" />`);
});
afterEach(async () => {
  await feed.close();
  await rm(folder, { recursive: true, force: true });
});

async function configure(sources: string, more = ''): Promise<void> {
  await writeFile(config, `<configuration><packageSources><clear/>${sources}</packageSources>${more}</configuration>`);
}

const nuget = (words: readonly string[], io: Partial<CommandIo> = {}) =>
  runGranary(['nuget', ...words, '--config-file', config], { environment, ...io });

async function packageFile(name: string, init: Parameters<typeof buildPackage>[0]): Promise<string> {
  const file = join(folder, name);
  await writeFile(file, buildPackage(init));
  return file;
}

describe('granary nuget search', () => {
  it('shows what it finds, and nothing that commands a terminal', async () => {
    expect(await nuget(['search', 'json'])).toEqual({
      exitCode: 0,
      out: 'ID       VERSION  DOWNLOADS  DESCRIPTION\nMy.Json  2.0.0    1,234,567  Reads JSON 31mfaster.\n',
      err: '',
    });
    const { out } = await nuget(['search', 'json', '--prerelease'], { outColumns: 45 });
    expect(out.split('\n')[0]).toBe(
      '\u001b[1mID\u001b[22m       \u001b[1mVERSION\u001b[22m       \u001b[1mDOWNLOADS\u001b[22m  \u001b[1mDESCRIPTION\u001b[22m',
    );
    expect(out.split('\n')[1]).toBe('My.Json  3.0.0-beta.1  1,234,567  Package My.…');
    environment['NO_COLOR'] = '1';
    expect((await nuget(['search', 'json'], { outColumns: 80 })).out).not.toContain('\u001b');
  });

  it('prints JSON', async () => {
    const { out } = await nuget(['search', 'json', '--json', '--take', '1']);
    expect(JSON.parse(out)).toMatchObject({ total: 1, results: [{ id: 'My.Json', version: '2.0.0' }] });
  });

  it('asks for as many as it is told to', async () => {
    await nuget(['search', '--take', '3', '--skip', '2', '--package-type', 'DotnetTool']);
    const { query } = await feed.waitForRequest(/query/);
    expect(Object.fromEntries(query)).toMatchObject({ take: '3', skip: '2', packageType: 'DotnetTool' });
    const { exitCode, err } = await nuget(['search', '--take', '1001']);
    expect(exitCode).toBe(2);
    expect(err).toBe('granary: --take: found "1001"; allowed: a whole number from 0 to 1000\n');
    expect((await nuget(['search', '--skip', '2500'])).exitCode).toBe(0);
    expect((await feed.waitForRequest(/skip=2500/)).query.get('take')).toBe('20');
  });

  it('says when there is nothing', async () => {
    expect(await nuget(['search', 'nothing-like-this'])).toEqual({
      exitCode: 0,
      out: '',
      err: 'granary: nothing found; --prerelease looks for prereleases, too\n',
    });
  });
});

describe('granary nuget versions', () => {
  it('lists versions one a line, prereleases when they are wanted', async () => {
    expect((await nuget(['versions', 'my.json'])).out).toBe('1.0.0\n2.0.0\n2.5.0\n');
    expect((await nuget(['versions', 'My.Json', '--prerelease', '--take', '2'])).out).toBe('2.5.0\n3.0.0-beta.1\n');
    expect(JSON.parse((await nuget(['versions', 'My.Json', '--json', '--take', '0'])).out)).toEqual({
      id: 'My.Json',
      versions: [],
    });
    expect(await nuget(['versions', 'Only.Beta'])).toEqual({
      exitCode: 0,
      out: '',
      err: 'granary: Only.Beta has prereleases only; --prerelease shows them\n',
    });
  });

  it('fails where there is no such package', async () => {
    expect(await nuget(['versions', 'Missing'])).toEqual({
      exitCode: 1,
      out: '',
      err: 'granary: Missing is not in feed; granary nuget sources shows which sources are asked, granary nuget search finds ids\n',
    });
    expect(await nuget(['versions', '../x'])).toMatchObject({ exitCode: 2, err: 'granary: "../x" is no package id\n' });
  });
});

describe('granary nuget info', () => {
  it('does not say of a package whose versions are all unlisted that it is not there', async () => {
    for (const version of ['0.9.0', '1.0.0'])
      await feed.packages.add({ content: buildPackage({ id: 'Hidden', version }), listed: false });
    const failed = {
      exitCode: 1,
      err: 'granary: all versions of Hidden in feed are unlisted: say which one, such as 1.0.0\n',
    };
    expect(await nuget(['info', 'Hidden'])).toMatchObject(failed);
    expect((await nuget(['info', 'Hidden', '1.0'])).exitCode).toBe(0);
  });

  it('shows the newest that is listed, else the one that is named', async () => {
    const { out } = await nuget(['info', 'My.Json']);
    expect(out).toContain('version      2.0.0\n');
    expect(out).toContain('authors      Ann, Bob\n');
    expect(out).toContain('license      MIT\n');
    expect(out).toContain('depends      net8.0: Other [1.0.0, 2.0.0)\n');
    expect((await nuget(['info', 'My.Json', '2.5.0'])).out).toContain('listed       no\n');
    expect((await nuget(['info', 'My.Json', '1.*'])).out).toContain('version      1.0.0\n');
    expect((await nuget(['info', 'My.Json', '--prerelease'])).out).toContain('version      3.0.0-beta.1\n');
    expect((await nuget(['info', 'Only.Beta'])).out).toContain('version      0.1.0-alpha\n');
    const json = JSON.parse((await nuget(['info', 'My.Json', 'latest', '--json'])).out);
    expect(json).toMatchObject({
      id: 'My.Json',
      version: '2.0.0',
      dependencyGroups: [{ targetFramework: 'net8.0', dependencies: [{ id: 'Other', range: '[1.0.0, 2.0.0)' }] }],
    });
    expect(json).not.toHaveProperty('page');
  });

  it('shows what the package says of itself where a source tells nothing of its packages', async () => {
    feed.settings.withoutResources = /^(?:Registrations|Search)/;
    const { exitCode, out } = await nuget(['info', 'My.Json', '2.0.0']);
    expect(exitCode).toBe(0);
    for (const said of ['Ann, Bob', 'MIT', 'net8.0: Other [1.0.0, 2.0.0)']) expect(out).toContain(said);
    expect((await nuget(['info', 'My.Json'])).out).toContain('2.5.0');
    expect(await nuget(['info', 'My.Json', '9.0'])).toMatchObject({ exitCode: 1 });
    expect(await nuget(['info', 'Nobody'])).toMatchObject({
      exitCode: 1,
      err: expect.stringContaining('is not in feed'),
    });
  });

  it('calls frameworks as folders of packages do, and by their full names where they have no other', async () => {
    const names = ['.NETFramework4.7.2', 'netstandard2.0', '.NETPortable,Version=v4.5,Profile=Profile999', undefined];
    const dependencyGroups = names.map((targetFramework) => ({ targetFramework }));
    const registration = { items: [{ items: [{ catalogEntry: { id: 'Many', version: '1.0.0', dependencyGroups } }] }] };
    feed.fault(/\/many\/index\.json$/, { kind: 'replace', body: JSON.stringify(registration) });
    await feed.packages.add(buildPackage({ id: 'Many', version: '1.0.0' }));
    const shown = ['net472', 'netstandard2.0', '.NETPortable,Version=v4.5,Profile=Profile999', 'any'];
    const json = JSON.parse((await nuget(['info', 'Many', '--json'])).out);
    expect(json.dependencyGroups.map((group: { targetFramework: string }) => group.targetFramework)).toEqual(shown);
    const { out } = await nuget(['info', 'Many']);
    expect(out.match(/(?<=depends +)\S+(?=: nothing)/g)).toEqual(shown);
    expect(JSON.parse((await nuget(['deps', 'Other', '-f', 'net48', '--json'])).out).framework).toBe('net48');
  });

  it.each([
    [['info', 'My.Json', '9.9'], 1, 'My.Json 9.9.0 is not in feed'],
    [['info', 'My.Json', '[9.0,)'], 1, 'My.Json [9.0,) is not in feed'],
    [['info', 'Missing'], 1, 'Missing is not in feed'],
    [['info', 'My.Json', 'new'], 2, 'found "new" as the version of My.Json; allowed: a version, a range'],
  ])('fails with %j', async (words, code, message) => {
    const { exitCode, err } = await nuget(words);
    expect(err).toContain(`granary: ${message}`);
    expect(exitCode).toBe(code);
  });
});

describe('granary nuget download', () => {
  const into = (...words: string[]) => nuget(['download', ...words, '-o', join(folder, 'out')]);

  it('writes packages under their names, and takes what is there already', async () => {
    const { exitCode, out } = await into('my.json', 'my.json@1.0.0', 'OTHER@[1.0,2.0)');
    expect(exitCode).toBe(0);
    expect(out).toContain(`My.Json 2.0.0 from feed, `);
    expect((await readdir(join(folder, 'out'))).sort()).toEqual([
      'My.Json.1.0.0.nupkg',
      'My.Json.2.0.0.nupkg',
      'Other.1.5.0.nupkg',
    ]);
    const content = await readFile(join(folder, 'out/Other.1.5.0.nupkg'));
    expect(content.equals(buildPackage({ id: 'Other', version: '1.5.0' }))).toBe(true);

    feed.requests.clear();
    const again = await into('other@1.5', 'my.json@1.0.0');
    expect(again.out).toContain(`other 1.5.0 is there already: ${join(folder, 'out/Other.1.5.0.nupkg')}\n`);
    expect(feed.requests.targets()).toEqual([]);
  });

  it('replaces what is there but not whole', async () => {
    await mkdir(join(folder, 'out'));
    const file = join(folder, 'out/Other.1.5.0.nupkg');
    await writeFile(file, buildPackage({ id: 'Other', version: '1.5.0' }).subarray(0, 100));
    const { out } = await into('other@1.5.0', '--json');
    expect(JSON.parse(out)).toMatchObject({
      packages: [{ id: 'Other', version: '1.5.0', status: 'downloaded', file, source: 'feed' }],
    });
    expect((await readFile(file)).equals(buildPackage({ id: 'Other', version: '1.5.0' }))).toBe(true);
    expect(await readdir(join(folder, 'out'))).toEqual(['Other.1.5.0.nupkg']);
  });

  it('goes on when one fails, and says which', async () => {
    feed.fault(/my\.json.*\.nupkg/, { kind: 'truncate' });
    const { exitCode, out, err } = await into('Missing@1.0.0', 'other', 'my.json@1.0.0');
    expect(exitCode).toBe(1);
    expect(out).toContain('Other 1.5.0 from feed');
    expect(err).toContain('granary: Missing: Missing 1.0.0 is not in feed');
    expect(err).toContain('granary: my.json: ');
    expect(err).not.toContain('Could not download');
    expect(await readdir(join(folder, 'out'))).toEqual(['Other.1.5.0.nupkg']);
  });

  it('tries again when its source stumbles for a moment over all that is under way', async () => {
    const ids = Array.from({ length: 8 }, (_, i) => `Part${i}`);
    for (const id of ids) {
      await feed.packages.add(buildPackage({ id, version: '1.0.0' }));
      feed.fault(new RegExp(`/${id.toLowerCase()}\\..*nupkg$`), { kind: 'status', status: 503 }, { times: 1 });
    }
    const specs = ids.map((id) => `${id}@1.0.0`);
    expect(await nuget(['download', ...specs, '-o', folder])).toMatchObject({ exitCode: 0, err: '' });
  });

  it('removes what one has left that was killed, and nothing that may be at work', async () => {
    await mkdir(join(folder, 'out'));
    const temporary = () => join(folder, 'out', `.${randomUUID()}.nupkg.tmp`);
    const [old, young, other] = [temporary(), temporary(), join(folder, 'out', '.mine.nupkg.tmp')];
    const longAgo = new Date(Date.now() - 25 * 3_600_000);
    for (const path of [old, young, other]) await writeFile(path, 'half');
    for (const path of [old, other]) await utimes(path, longAgo, longAgo);
    await into('other');
    const left = [young, other].map((path) => basename(path));
    expect((await readdir(join(folder, 'out'))).sort()).toEqual([...left, 'Other.1.5.0.nupkg'].sort());
  });

  it('shows progress on a terminal only', async () => {
    const { err } = await nuget(['download', 'other', '-o', join(folder, 'out')], { errColumns: 60 });
    expect(err).toContain('\r\u001b[2K[--------------------] 0/1 other');
    expect(err.endsWith('\r\u001b[2K')).toBe(true);
  });

  it('stops when it is interrupted, and leaves nothing unfinished', async () => {
    const caller = new AbortController();
    feed.fault(/\.nupkg/, { kind: 'delay', ms: 600_000 });
    const running = nuget(['download', 'my.json@1.0.0', 'other@1.5.0', '-o', join(folder, 'out')], {
      interrupted: caller.signal,
    });
    await feed.waitForRequest(/\.nupkg/, 2);
    caller.abort(new Error('SIGINT'));
    expect(await running).toEqual({
      exitCode: 1,
      out: '',
      err: 'granary: interrupted; what was not finished is put away\n',
    });
    expect(await readdir(join(folder, 'out'))).toEqual([]);
  });

  it.each([
    [['my.json', '--concurrency', '0'], '--concurrency: found "0"; allowed: a whole number from 1 to 64'],
    [['my.json@'], 'found "my.json@"; allowed: ID or ID@VERSION'],
    [['other', 'my.json@new'], 'found "new" as the version of my.json; allowed: a version, a range'],
    [['@1.0'], '"" is no package id'],
    [['my.json', '../x@1.0'], '"../x" is no package id'],
    [[], "error: missing required argument 'id[@version]'"],
  ])('wants to be called rightly: %j', async (words, message) => {
    const { exitCode, err } = await into(...words);
    expect(exitCode).toBe(2);
    expect(err).toContain(message);
  });
});

describe('granary nuget push', () => {
  it('pushes with the key that it finds, and shows where to', async () => {
    feed.settings.apiKey = 'k3y';
    const file = await packageFile('new.nupkg', { id: 'New', version: '1.0.0' });
    await configure(
      `<add key="feed" value="${feed.v3Url}" />`,
      '<config><add key="defaultPushSource" value="feed"/></config>',
    );
    const without = await nuget(['push', file]);
    expect(without.exitCode).toBe(1);
    expect(without.err).toMatch(/^granary: .*new\.nupkg: feed: .*credentials.*API key, too\n$/);
    const wrong = await nuget(['push', file, '--api-key', 'wrong']);
    expect(wrong.err).toContain('an API key may be wrong');
    expect(wrong.err).not.toContain('k3y');
    environment['NUGET_API_KEY'] = 'wrong';
    environment['GRANARY_NUGET_API_KEY'] = 'k3y';
    expect(await nuget(['push', file])).toEqual({ exitCode: 0, out: 'New 1.0.0 is pushed to feed\n', err: '' });
    expect((await nuget(['versions', 'New', '--no-cache'])).out).toBe('1.0.0\n');
  });

  it('takes the key of nuget.config', async () => {
    feed.settings.apiKey = 'k3y';
    await configure(
      `<add key="feed" value="${feed.v3Url}" />`,
      `<apikeys><add key="${feed.v3Url}" value="k3y"/></apikeys>`,
    );
    const file = await packageFile('new.nupkg', { id: 'New', version: '1.0.0' });
    expect((await nuget(['push', file, '--source', 'FEED'])).exitCode).toBe(0);
  });

  it('passes over what is there when it is told to, and stops at the first failure otherwise', async () => {
    const old = await packageFile('old.nupkg', { id: 'Other', version: '1.5.0' });
    const file = await packageFile('new.nupkg', { id: 'New', version: '1.0.0' });
    const stopped = await nuget(['push', old, file, '--source', 'feed']);
    expect(stopped.exitCode).toBe(1);
    expect(stopped.err).toContain('--skip-duplicate passes over what is there already');
    const { exitCode, out } = await nuget(['push', old, file, '--source', 'feed', '--skip-duplicate']);
    expect({ exitCode, out }).toEqual({
      exitCode: 0,
      out: 'Other 1.5.0 is in feed already\nNew 1.0.0 is pushed to feed\n',
    });
    const again = await nuget(['push', old, '--source', 'feed', '--skip-duplicate', '--json']);
    expect(JSON.parse(again.out)).toEqual({
      source: 'feed',
      packages: [{ file: old, id: 'Other', version: '1.5.0', status: 'duplicate' }],
    });
  });

  it('finds the files that a pattern means, in whatever shell', async () => {
    await packageFile('one.nupkg', { id: 'One', version: '1.0.0' });
    await packageFile('two.nupkg', { id: 'Two', version: '1.0.0' });
    expect(await nuget(['push', join(folder, '*.nupkg'), '--source', 'feed'])).toEqual({
      exitCode: 0,
      out: 'One 1.0.0 is pushed to feed\nTwo 1.0.0 is pushed to feed\n',
      err: '',
    });
    const { exitCode, err } = await nuget(['push', join(folder, '*.zip'), '--source', 'feed']);
    expect([exitCode, err]).toEqual([1, `granary: ${join(folder, '*.zip')}: there is no such file\n`]);
  });

  it('looks at all files before it pushes any', async () => {
    const file = await packageFile('new.nupkg', { id: 'New', version: '1.0.0' });
    const broken = join(folder, 'broken.nupkg');
    await writeFile(broken, 'no package');
    const { exitCode, err } = await nuget(['push', file, broken, '--source', 'feed']);
    expect(exitCode).toBe(1);
    expect(err).toMatch(/^granary: .+\n$/);
    expect(err).toContain(`${broken}: the package is no whole ZIP archive`);
    const { out } = await nuget(['push', file, broken, '--source', 'feed', '--json']);
    expect(JSON.parse(out)).toMatchObject({ source: 'feed', packages: [{ file: broken, status: 'failed' }] });
    expect(feed.requests.all(({ method }) => method === 'PUT')).toEqual([]);
  });

  it.each([
    [['--source', 'feed', '--source', 'https://other.example/'], '--source: there can be one only'],
    [[], 'say where with --source, or with defaultPushSource in nuget.config'],
    [['--source', 'none'], '--source: found "none"; allowed: a URL, or the name of a source: feed'],
    [['--source', '/opt/feed'], '--source: found "/opt/feed"; allowed: a URL'],
    [['--source', 'feed', '--timeout', '0'], '--timeout: found "0"; allowed: seconds from 1 to 86400'],
  ])('wants one source: %j', async (words, message) => {
    const file = await packageFile('new.nupkg', { id: 'New', version: '1.0.0' });
    const { exitCode, err } = await nuget(['push', file, ...words]);
    expect(err).toContain(message);
    expect(exitCode).toBe(2);
  });
});

describe('granary nuget delete', () => {
  it('hides a version', async () => {
    const { exitCode, out } = await nuget(['delete', 'Other', '1.5.0', '--source', 'feed']);
    expect({ exitCode, out }).toEqual({ exitCode: 0, out: 'Other 1.5.0 is deleted from feed, or hidden there\n' });
    expect((await nuget(['search', 'Other'])).out).toBe('');
    expect(JSON.parse((await nuget(['delete', 'my.json', '1.0', '--source', 'feed', '--json'])).out)).toEqual({
      source: 'feed',
      id: 'my.json',
      version: '1.0.0',
    });
  });

  it('fails where there is none, or no version', async () => {
    expect((await nuget(['delete', 'Missing', '1.0.0', '--source', 'feed'])).err).toContain(
      'Missing 1.0.0 is not in feed',
    );
    expect((await nuget(['delete', 'Other', 'x', '--source', 'feed'])).exitCode).toBe(2);
  });
});

describe('the sources that are asked', () => {
  it('are those of nuget.config that are enabled, servers only', async () => {
    await configure(
      `<add key="feed" value="${feed.v3Url}"/><add key="folder" value="./packages"/><add key="off" value="http://127.0.0.1:1/"/>`,
      '<disabledPackageSources><add key="off" value="true"/></disabledPackageSources>',
    );
    const { exitCode, err } = await nuget(['versions', 'Other']);
    expect(exitCode).toBe(0);
    expect(err).toBe(
      `granary: the source folder (${join(folder, 'packages')}) is left out: it is a folder, not a server\n`,
    );
    expect((await nuget(['versions', 'Other', '--source', 'folder'])).err).toContain('is no http or https URL');
    await configure(`<add key="feed" value="${feed.v3Url}"/><add key="odd" value="ftp://ann:s3cret@feed.example/"/>`);
    expect((await nuget(['versions', 'Other'])).err).toBe(
      'granary: the source odd (ftp://[redacted]@feed.example/) is left out: it is no http or https URL\n',
    );
    await configure('');
    expect((await nuget(['versions', 'Other'])).err).toContain('nuget.config has no source that is enabled');
  });

  it('do not have what they are not asked for', async () => {
    const mapping =
      '<packageSourceMapping><packageSource key="feed"><package pattern="My.*"/></packageSource></packageSourceMapping>';
    await configure(`<add key="feed" value="${feed.v3Url}"/>`, mapping);
    const err = /^granary: Other( 1\.5\.0)? is not in any source that the package source mapping gives it; /;
    for (const words of [
      ['versions', 'Other'],
      ['info', 'Other'],
      ['info', 'Other', '1.5.0'],
    ])
      expect(await nuget(words)).toMatchObject({ exitCode: 1, err: expect.stringMatching(err) });
    expect((await nuget(['versions', 'My.Missing'])).err).toContain('My.Missing is not in feed;');
  });

  it('may be any URL, of protocol 2 too, and the mapping is for those of nuget.config', async () => {
    await configure(
      `<add key="feed" value="${feed.v3Url}"/>`,
      '<packageSourceMapping><packageSource key="feed"><package pattern="My.*"/></packageSource></packageSourceMapping>',
    );
    expect((await nuget(['versions', 'Other'])).exitCode).toBe(1);
    expect((await nuget(['versions', 'My.Json'])).exitCode).toBe(0);
    expect((await nuget(['versions', 'Other', '--source', feed.v2Url])).out).toBe('1.5.0\n');
  });

  it('may be the first page of a server that leads clients of NuGet to its feed', async () => {
    const host = createProxy(({ headers, url }, response) => {
      const isClient = url === '/' && headers['user-agent']?.split(/[/ ]/)[0]?.includes('nuget');
      if (isClient) response.writeHead(302, { location: `${feed.v2Url}/` }).end();
      else response.writeHead(url === '/' ? 200 : 404, { 'content-type': 'text/html' }).end('<html></html>');
    }).listen(0, '127.0.0.1');
    await once(host, 'listening');
    try {
      const url = `http://127.0.0.1:${(host.address() as AddressInfo).port}/`;
      expect((await nuget(['versions', 'Other', '--source', url])).out).toBe('1.5.0\n');
      await using server = await startTestServer({ 'nuget.sources': [{ name: 'up', url }] });
      const proxied = `http://${server.address('listen.http')}/nuget/v3/index.json`;
      expect((await nuget(['versions', 'Other', '--source', proxied])).out).toBe('1.5.0\n');
    } finally {
      host.close();
      host.closeAllConnections();
    }
  });

  it('get the credentials that are configured for them, and the user is told how when there are none', async () => {
    feed.settings.credentials = { username: 'ann', password: 's3cret' };
    const refused = await nuget(['versions', 'Other']);
    expect(refused).toMatchObject({ exitCode: 1, out: '' });
    expect(refused.err).toContain('NuGetPackageSourceCredentials_feed');
    environment['NuGetPackageSourceCredentials_feed'] = 'Username=ann;Password=s3cret';
    expect((await nuget(['versions', 'Other'])).out).toBe('1.5.0\n');
    const url = feed.v3Url.replace('http://', 'http://ann:s3cret@');
    const named = await nuget(['versions', 'Missing', '--source', url]);
    expect(named.err).toContain(`Missing is not in ${new URL(feed.url).host}`);
    expect(named.err).not.toContain('s3cret');
    environment['NuGetPackageSourceCredentials_feed'] = 'Username=ann;Password=wr0ng';
    const wrong = await nuget(['versions', 'Other', '--no-cache']);
    expect(wrong.err).toContain('feed: it refuses the credentials that it was given');
    expect(wrong.err).not.toContain('wr0ng');
  });

  it('are warned of when they are asked in the clear, and one that fails is told beside what others say', async () => {
    await configure(
      `<add key="feed" value="${feed.v3Url}"/><add key="far" value="http://feed.invalid/v3/index.json"/>`,
    );
    const interrupted = AbortSignal.abort(new Error('only what is said before'));
    const { err } = await nuget(['versions', 'Other'], { interrupted });
    expect(err).toContain('granary: the source far is asked over plain http');
    await configure(`<add key="far" value="http://feed.invalid/v3/index.json" allowInsecureConnections="true"/>`);
    expect((await nuget(['versions', 'Other'], { interrupted })).err).not.toContain('plain http');
  });

  it('may be several on one host, of which one may fail', async () => {
    const wrong = `${feed.url}/nothing/index.json`;
    const both = await nuget(['versions', 'Other', '--source', feed.v2Url, '--source', wrong, '--source', feed.v2Url]);
    expect(both.out).toBe('1.5.0\n');
    expect(both.err).toMatch(new RegExp(`^granary: A source of several failed: ${wrong}: .*\n$`));
  });

  it('are asked by way of the proxy that nuget.config names', async () => {
    const hosts = new Set<string | undefined>();
    const proxy = createProxy(async (request, response) => {
      hosts.add(request.headers.host);
      const { pathname, search } = new URL(request.url ?? '');
      const answer = await fetch(`${feed.url}${pathname}${search}`);
      const text = (await answer.text()).replaceAll(feed.url, 'http://feed.invalid');
      response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? '' }).end(text);
    });
    proxy.listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    try {
      const { port } = proxy.address() as AddressInfo;
      await configure(
        '<add key="far" value="http://feed.invalid/v3/index.json" allowInsecureConnections="true"/>',
        `<config><add key="http_proxy" value="http://127.0.0.1:${port}"/></config>`,
      );
      expect(await nuget(['versions', 'Other'])).toEqual({ exitCode: 0, out: '1.5.0\n', err: '' });
      expect([...hosts]).toEqual(['feed.invalid']);
    } finally {
      proxy.closeAllConnections();
      proxy.close();
    }
  });

  it('must have a certificate that is trusted, unless nuget.config says otherwise', async () => {
    const server = createServer(
      { cert: await readFile(certificate('server.pem')), key: await readFile(certificate('server.key')) },
      async (request, response) => {
        const answer = await fetch(`${feed.url}${request.url}`);
        response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? '' });
        response.end(Buffer.from(await answer.arrayBuffer()));
      },
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/api/v2`;
      await configure(`<add key="tls" value="${url}"/>`);
      const refused = await nuget(['versions', 'Other']);
      expect(refused).toMatchObject({ exitCode: 1, out: '' });
      expect(refused.err).toMatch(/^granary: tls: .*certificate.*; check its URL.*\n$/);
      await configure(`<add key="tls" value="${url}" disableTLSCertificateValidation="true"/>`);
      expect((await nuget(['versions', 'Other'])).out).toBe('1.5.0\n');
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  it('answer from the cache until they are asked anew', async () => {
    await nuget(['versions', 'Other']);
    const before = feed.requests.length;
    await nuget(['versions', 'Other']);
    expect(feed.requests.length).toBe(before);
    await nuget(['versions', 'Other', '--no-cache']);
    expect(feed.requests.length).toBeGreaterThan(before);
  });
});

describe('granary nuget', () => {
  it('helps with each of its commands', async () => {
    const { exitCode, out } = await runGranary(['nuget', '--help']);
    expect(exitCode).toBe(0);
    for (const name of ['search', 'versions', 'info', 'download', 'push', 'delete', 'verify', 'sources', 'cache']) {
      expect(out).toContain(`  ${name}`);
      expect((await runGranary(['nuget', name, '--help'])).exitCode).toBe(0);
    }
    expect((await runGranary(['nuget'])).exitCode).toBe(2);
    for (const name of ['push', 'delete']) {
      expect((await runGranary(['nuget', name, '--help'])).out).toMatch(
        /--source <source>\s+name or URL of the one source/,
      );
    }
    const unknown = await runGranary(['nuget', 'serch']);
    expect(unknown.exitCode).toBe(2);
    expect(unknown.err).toContain('Did you mean search?');
  });
});
