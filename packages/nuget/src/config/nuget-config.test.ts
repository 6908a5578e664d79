import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { redactText } from '@granary/telemetry';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { configuredAuthenticator } from '../auth/configured-authenticator.js';
import { loadNuGetConfig } from './nuget-config.js';

let folder: string;
let home: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nuget-config-'));
  home = join(folder, 'home');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function write(path: string, ...sections: string[]): Promise<string> {
  const file = join(folder, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, `<?xml version="1.0"?>\n<configuration>\n${sections.join('\n')}\n</configuration>\n`);
  return file;
}

function load(directory = 'project', environment: Record<string, string> = {}) {
  return loadNuGetConfig({
    directory: join(folder, directory),
    platform: 'linux',
    environment: { HOME: home, NUGET_COMMON_APPLICATION_DATA: join(folder, 'etc'), ...environment },
  });
}

const sources = (...items: string[]) => `<packageSources>${items.join('')}</packageSources>`;
const add = (key: string, value: string, more = '') => `<add key="${key}" value="${value}" ${more} />`;
const USER = 'home/.nuget/NuGet/NuGet.Config';

describe('the files that count', () => {
  it('are those of the folder and above, the user, its config folder and the machine, nearest first', async () => {
    const expected = [
      await write('project/app/nuget.config'),
      await write('project/NuGet.Config'),
      await write(USER),
      await write('home/.nuget/NuGet/config/a.config'),
      await write('home/.nuget/NuGet/config/b.Config'),
      await write('etc/NuGet/Config/company.config'),
    ];
    await write('home/.nuget/NuGet/config/other.txt');
    await write('home/.nuget/NuGet/config/deep/c.config');
    const { files } = await load('project/app');
    expect(files.map(({ path }) => path)).toEqual(expected);
    expect(files.map(({ kind }) => kind)).toEqual(['folder', 'folder', 'user', 'additional', 'additional', 'machine']);
  });

  it('have the name nuget.config, else NuGet.config, else NuGet.Config', async () => {
    await write('project/NuGet.Config');
    await write('project/NuGet.config');
    const preferred = await write('project/nuget.config');
    const { files } = await load();
    expect(files.filter(({ kind }) => kind === 'folder').map(({ path }) => path)).toEqual([preferred]);
    await rm(preferred);
    expect((await load()).files[0]?.path).toBe(join(folder, 'project/NuGet.config'));
  });

  it('may be a folder, which is no file', async () => {
    await mkdir(join(folder, 'project/nuget.config'), { recursive: true });
    expect((await load()).files.map(({ kind }) => kind)).toEqual(['user']);
  });

  it('are one only when it is named, and it must be there', async () => {
    await write(USER);
    const file = await write('other/my.config', sources(add('mine', 'https://mine.example/')));
    const config = await loadNuGetConfig({ directory: join(folder, 'other'), configFile: 'my.config' });
    expect(config.files.map(({ path }) => path)).toEqual([file]);
    expect(config.sources.map(({ name }) => name)).toEqual(['mine']);
    await expect(loadNuGetConfig({ directory: folder, configFile: 'no.config' })).rejects.toMatchObject({
      code: 'INVALID_CONFIG',
      message: `${join(folder, 'no.config')} is not there`,
    });
  });

  it('lie where the platform has them', async () => {
    // Paths of Windows are names of files here, which is enough to see which ones are asked for.
    const config = await loadNuGetConfig({
      directory: folder,
      platform: 'win32',
      environment: { APPDATA: 'C:\\Users\\ann\\AppData', 'PROGRAMFILES(X86)': 'C:\\PF', USERPROFILE: 'C:\\Users\\ann' },
    });
    expect(config.files.find(({ kind }) => kind === 'user')?.path).toContain('C:\\Users\\ann\\AppData\\NuGet');
    expect(config.globalPackagesFolder).toBe('C:\\Users\\ann\\.nuget\\packages');
    expect(config.httpCacheFolder).toBe('C:\\Users\\ann\\AppData\\Local\\NuGet\\v3-cache');
    const without = await loadNuGetConfig({ directory: folder, platform: 'win32', environment: { HOMEDRIVE: 'C:' } });
    expect(without.files).toEqual([]);
  });

  it('are taken from the home of the .NET SDK where it has its own', async () => {
    await write('sdk/.nuget/NuGet/NuGet.Config', sources(add('sdk', 'https://sdk.example/')));
    const config = await load('project', { DOTNET_CLI_HOME: join(folder, 'sdk') });
    expect(config.sources.map(({ name }) => name)).toEqual(['sdk']);
    expect(config.globalPackagesFolder).toBe(join(folder, 'sdk/.nuget/packages'));
  });
});

describe('a file', () => {
  it.each([
    ['with a byte order mark', (text: string) => Buffer.from(`\ufeff${text}`)],
    ['in UTF-16', (text: string) => Buffer.from(`\ufeff${text}`, 'utf16le')],
    ['in UTF-16 the other way round', (text: string) => Buffer.from(`\ufeff${text}`, 'utf16le').swap16()],
    [
      'in an encoding that it declares',
      (text: string) => Buffer.from(`<?xml version="1.0" encoding="windows-1252"?>${text}`, 'latin1'),
    ],
  ])('%s is read', async (_, encode) => {
    const file = join(folder, 'a.config');
    await writeFile(file, encode(`<configuration>${sources(add('zoë', 'https://z.example/'))}</configuration>`));
    expect((await loadNuGetConfig({ configFile: file })).sources.map(({ name }) => name)).toEqual(['zoë']);
  });

  it.each([
    ['<configuration>\n<a>\n</configuration>', ':3: is not XML: '],
    ['', ': is not XML: '],
    ['<packages/>', ':1: found <packages>; allowed: <configuration>'],
    ['<!DOCTYPE x [<!ENTITY y "z">]>\n<configuration/>', ':1: is not XML: a document type is not allowed'],
    ['<configuration>&y;</configuration>', ':1: is not XML: undefined entity'],
    [`${'<a>'.repeat(40)}${'</a>'.repeat(40)}`, 'nested more than 32 deep'],
    [`<configuration>${'<a/>'.repeat(60_000)}</configuration>`, 'more than 50000 elements'],
    [
      `<configuration>\n<packageSources>\n<add key="x"/></packageSources></configuration>`,
      ':3: <add key="x"> needs a value',
    ],
    [`<configuration>\n<packageSources><add value="x"/></packageSources></configuration>`, ':2: <add> needs a key'],
    [
      `<configuration>\n<packageSources><add key="x" value=" "/></packageSources></configuration>`,
      ':2: the source x has no URL',
    ],
    [
      '<configuration><packageSourceMapping>\n<packageSource key="x"/></packageSourceMapping></configuration>',
      ':2: the source x is mapped without any <package>',
    ],
    [
      '<configuration><packageSourceMapping><packageSource key="x">\n<package/></packageSource></packageSourceMapping></configuration>',
      ':2: <package> needs a pattern',
    ],
    [
      `<configuration><packageSourceMapping><packageSource key="x">\n<package pattern="${'y'.repeat(101)}"/></packageSource></packageSourceMapping></configuration>`,
      ':2: a pattern has at most 100 characters',
    ],
    [
      `<configuration><packageSourceMapping><packageSource key="x"><package pattern="*"/></packageSource>\n<packageSource key="X"><package pattern="*"/></packageSource></packageSourceMapping></configuration>`,
      ':2: the source X is mapped twice',
    ],
  ])('that is wrong says where: %#', async (text, message) => {
    const file = join(folder, 'a.config');
    await writeFile(file, text);
    const failure = await loadNuGetConfig({ configFile: file }).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'INVALID_CONFIG' });
    expect(String(failure)).toContain(file);
    expect(String(failure)).toContain(message);
  });

  it('is no file when it is too large, or no text', async () => {
    const file = join(folder, 'a.config');
    await writeFile(file, Buffer.alloc(1024 * 1024 + 1, ' '));
    await expect(loadNuGetConfig({ configFile: file })).rejects.toThrow(`${file} has more than 1048576 bytes`);
    await writeFile(file, Buffer.from([0x3c, 0xff]));
    await expect(loadNuGetConfig({ configFile: file })).rejects.toThrow(`${file} is not valid utf-8`);
    await writeFile(file, Buffer.from('<?xml version="1.0" encoding="none"?><é/>', 'latin1'));
    await expect(loadNuGetConfig({ configFile: file })).rejects.toThrow('declares the encoding none');
  });
});

describe('sources', () => {
  it('are nuget.org alone where nobody has configured any', async () => {
    expect((await load()).sources).toMatchObject([
      { name: 'nuget.org', url: 'https://api.nuget.org/v3/index.json', protocolVersion: 3, isEnabled: true },
    ]);
  });

  it('of the nearest file come first, and replace those with the same name', async () => {
    await write('etc/NuGet/Config/m.config', sources(add('machine', 'https://m.example/')));
    await write(USER, sources(add('a', 'https://user-a.example/'), add('b', 'https://user-b.example/')));
    await write('project/nuget.config', sources(add('c', 'https://c.example/'), add('a', 'https://a.example/')));
    const config = await load();
    expect(config.sources.map(({ name, url }) => [name, url])).toEqual([
      ['c', 'https://c.example/'],
      ['a', 'https://a.example/'],
      ['b', 'https://user-b.example/'],
      ['machine', 'https://m.example/'],
    ]);
    expect(config.sources.map(({ isMachineWide }) => isMachineWide)).toEqual([false, false, false, true]);
    expect(config.source('MACHINE')?.name).toBe('machine');
    expect(config.source('HTTPS://c.example')?.name).toBe('c');
    expect(config.source('d')).toBeUndefined();
  });

  it('go with <clear />, in the file itself and farther ones', async () => {
    await write(USER, sources(add('far', 'https://far.example/')));
    await write(
      'project/nuget.config',
      sources(add('before', 'https://b.example/'), '<CLEAR/>', add('after', 'https://a.example/')),
    );
    expect((await load()).sources.map(({ name }) => name)).toEqual(['after']);
  });

  it('with the same name in another case are one, the nearest', async () => {
    await write(USER, sources(add('Feed', 'https://far.example/')));
    await write('project/nuget.config', sources(add('feed', 'https://near.example/')));
    expect((await load()).sources.map(({ url }) => url)).toEqual(['https://near.example/']);
  });

  it('for several protocol versions are the one with the highest that there is', async () => {
    await write(USER, sources(add('feed', 'https://3.example/', 'protocolVersion="3"')));
    await write('project/nuget.config', sources(add('Feed', 'https://2.example/', 'protocolVersion="2"')));
    await write('project/app/nuget.config', sources(add('FEED', 'https://9.example/', 'protocolVersion="x"')));
    const config = await load('project/app');
    expect(config.sources.map(({ url }) => url)).toEqual(['https://3.example/']);
    await write(USER, sources(add('feed', 'https://4.example/', 'protocolVersion="4"')));
    expect((await load('project/app')).sources.map(({ url }) => url)).toEqual(['https://9.example/']);
    // Without a word it is the second.
    await write(USER, sources(add('feed', 'https://any.example/')));
    await write('project/nuget.config', sources(add('Feed', 'https://1.example/', 'protocolVersion="1"')));
    expect((await load()).sources.map(({ url }) => url)).toEqual(['https://any.example/']);
  });

  it('that are there twice in one file are the first one where it is the farthest, else the last', async () => {
    const file = await write('a.config', sources(add('x', 'https://1.example/'), add('x', 'https://2.example/')));
    expect((await loadNuGetConfig({ configFile: file })).sources.map(({ url }) => url)).toEqual(['https://1.example/']);
    await write('project/nuget.config', sources(add('x', 'https://1.example/'), add('x', 'https://2.example/')));
    expect((await load()).source('x')?.url).toBe('https://2.example/');
  });

  it('have their attributes whatever the case, with environment variables in them', async () => {
    await write(
      'project/nuget.config',
      sources(
        '<clear/>',
        `<Add KEY="a" Value="https://%HOST%/%MISSING%/x" ProtocolVersion="%V%" AllowInsecureConnections="True"
          DisableTLSCertificateValidation="true" />`,
      ),
    );
    expect((await load('project', { HOST: 'h.example', V: '3' })).sources).toEqual([
      {
        name: 'a',
        url: 'https://h.example/%MISSING%/x',
        isEnabled: true,
        protocolVersion: 3,
        allowInsecureConnections: true,
        disableTlsCertificateValidation: true,
        file: join(folder, 'project/nuget.config'),
        isMachineWide: false,
      },
    ]);
  });

  it('that are there twice with the same attributes are one', async () => {
    await write('project/nuget.config', sources(add('a', 'https://a.example/'), add('A', 'https://a.example/')));
    const { sources: found } = await load();
    expect(found.filter(({ url }) => url === 'https://a.example/').map(({ name }) => name)).toEqual(['a']);
  });

  it.each(['allowInsecureConnections', 'disableTLSCertificateValidation'])(
    'say %s as .NET writes it, in any case',
    async (attribute) => {
      const said = ['True', 'true', 'False', 'yes'];
      const items = said.map((text, i) => add(`s${i}`, `http://s${i}.example/`, `${attribute}="${text}"`));
      await write('project/nuget.config', sources('<clear />', ...items));
      const found = (await load()).sources.map((source) =>
        attribute === 'allowInsecureConnections'
          ? [source.allowInsecureConnections, source.disableTlsCertificateValidation]
          : [source.disableTlsCertificateValidation, source.allowInsecureConnections],
      );
      expect(found).toEqual([
        [true, false],
        [true, false],
        [false, false],
        [false, false],
      ]);
    },
  );

  it('may have white space around their URL', async () => {
    await write('project/nuget.config', sources('<clear/>', add('a', '\n http://a/v3/index.json ')));
    expect((await load()).sources.map(({ url }) => url)).toEqual(['http://a/v3/index.json']);
  });

  it('that are folders count from the folder of their file', async () => {
    await write(
      'project/nuget.config',
      sources('<clear/>', add('a', '../feed'), add('b', '/opt/feed'), add('c', 'file:///x'), add('d', '\\\\share\\x')),
    );
    expect((await load()).sources.map(({ url }) => url)).toEqual([
      join(folder, 'feed'),
      '/opt/feed',
      'file:///x',
      '\\\\share\\x',
    ]);
  });

  it('are disabled by any entry with their very name', async () => {
    await write(USER, `<disabledPackageSources>${add('b', 'true')}</disabledPackageSources>`);
    await write(
      'project/nuget.config',
      sources(
        '<clear/>',
        add('a', 'https://a.example/'),
        add('b', 'https://b.example/'),
        add('C', 'https://c.example/'),
      ),
      `<disabledPackageSources>${add('a', 'false')}${add('c', 'true')}</disabledPackageSources>`,
    );
    const config = await load();
    expect(config.enabledSources.map(({ name }) => name)).toEqual(['C']);
    await write('project/nuget.config', '<disabledPackageSources><clear/></disabledPackageSources>');
    await write('project/x/nuget.config', sources(add('b', 'https://b.example/')));
    expect((await load('project/x')).enabledSources.map(({ name }) => name)).toEqual(['b']);
  });

  it('in sections with another case, or a second section, are none', async () => {
    await write(
      'project/nuget.config',
      sources('<clear/>', add('a', 'https://a.example/')),
      sources(add('b', 'https://b.example/')),
      `<PackageSources>${add('c', 'https://c.example/')}</PackageSources>`,
    );
    expect((await load()).sources.map(({ name }) => name)).toEqual(['a']);
  });
});

describe('credentials of sources', () => {
  const section = (...items: string[]) => `<packageSourceCredentials>${items.join('')}</packageSourceCredentials>`;
  const plain = (user: string, password: string) => add('Username', user) + add('cleartextpassword', password);

  it('stand under the name as an element', async () => {
    await write(
      'project/nuget.config',
      section(
        `<My_x0020_Feed>${plain('ann', '%TOKEN%')}</My_x0020_Feed>`,
        `<_x0031_a_x005F_x0041_>${plain('bob', 'x&amp;y')}</_x0031_a_x005F_x0041_>`,
      ),
    );
    const config = await load('project', { TOKEN: 's3cret' });
    expect(config.credentials('My Feed')?.toCredentials()).toMatchObject({ username: 'ann', password: 's3cret' });
    expect(config.credentials('1a_x0041_')?.toCredentials()).toMatchObject({ username: 'bob', password: 'x&y' });
    expect(config.credentials('my feed')).toBeUndefined();
  });

  it('of the nearest file win, and those of the environment before all', async () => {
    await write(USER, section(`<feed>${plain('far', '1')}</feed>`));
    await write('project/nuget.config', section(`<feed>${plain('near', '2')}</feed>`));
    expect((await load()).credentials('feed')?.username).toBe('near');
    const config = await load('project', {
      NuGetPackageSourceCredentials_feed: ' username=env; Password=a;b=c;ValidAuthenticationTypes=Basic, ntlm ',
    });
    const credentials = config.credentials('feed');
    expect(credentials?.toCredentials()).toMatchObject({ username: 'env', password: 'a;b=c' });
    expect(credentials?.validAuthenticationTypes).toEqual(['basic', 'ntlm']);
    expect(JSON.stringify(credentials)).not.toContain('a;b=c');
    const wrong = await load('project', { NuGetPackageSourceCredentials_feed: 'Password=a' });
    expect(wrong.credentials('feed')?.username).toBe('near');
  });

  it('that are encrypted fail when they are needed, and say what to do', async () => {
    const file = await write(
      'project/nuget.config',
      section(`<feed>${add('Username', 'ann')}${add('Password', 'AQAAANCMnd8BFdERjHoAwE==')}</feed>`),
    );
    const config = await load();
    expect(config.credentials('feed')?.username).toBe('ann');
    const auth = configuredAuthenticator(config, { name: 'feed', url: 'https://feed.example/' });
    expect(() => auth.headers('https://feed.example/x')).toThrow(
      `${file}:3: credentials of feed: the password is encrypted for a user of Windows, and nobody else can read it; ` +
        'use ClearTextPassword with %VARIABLE% as its value, or the environment variable NuGetPackageSourceCredentials_feed',
    );
  });

  it('for schemes that there are not here fail when they are needed', async () => {
    await write(
      'project/nuget.config',
      section(`<feed>${plain('ann', 'x')}${add('ValidAuthenticationTypes', 'negotiate, NTLM')}</feed>`),
    );
    const credentials = (await load()).credentials('feed');
    const needed = () => credentials?.toCredentials();
    expect(needed).toThrow('they are for negotiate, ntlm only');
    expect(needed).toThrow(expect.toSatisfy(({ message }: Error) => redactText(message) === message));
  });

  it.each([
    [add('Username', 'ann'), 'credentials of the source feed need Username, and Password or ClearTextPassword'],
    [add('ClearTextPassword', 's3cret'), 'need Username'],
    [plain('ann', 's3cret') + add('username', 'bob'), 'the source feed has Username twice'],
    [plain('ann', 's3cret') + add('Password', 's3cret'), 'has both Password and ClearTextPassword'],
  ])('that are incomplete say so: %#', async (items, message) => {
    await write('project/nuget.config', section(`<feed>${items}</feed>`));
    const config = await load();
    expect(() => config.credentials('feed')).toThrow(message);
    expect(() => config.credentials('feed')).not.toThrow('s3cret');
  });

  it('go to their source, and to the provider after a 401', async () => {
    await write('project/nuget.config', section(`<feed>${plain('ann', 's3cret')}</feed>`));
    const url = 'https://feed.example/index.json';
    const auth = configuredAuthenticator(await load(), { name: 'feed', url });
    expect(auth.headers(url)).toEqual({ authorization: `Basic ${btoa('ann:s3cret')}` });

    const endpoints = JSON.stringify({ endpointCredentials: [{ endpoint: url, username: 'env', password: 'e' }] });
    const asked: string[] = [];
    const both = configuredAuthenticator(
      await load(),
      { name: 'other', url },
      {
        environment: { VSS_NUGET_EXTERNAL_FEED_ENDPOINTS: endpoints },
        provider: async ({ source, isRetry }) => {
          asked.push(`${source} ${isRetry}`);
          return { type: 'bearer', token: 't' };
        },
      },
    );
    expect(both.headers(url)).toBeUndefined();
    expect(await both.challenged({ url, sent: undefined, challenge: undefined })).toBe(true);
    expect(both.headers(url)).toEqual({ authorization: `Basic ${btoa('env:e')}` });
    expect(await both.challenged({ url, sent: both.headers(url), challenge: undefined })).toBe(true);
    expect(both.headers(url)).toEqual({ authorization: 'Bearer t' });
    expect(asked).toEqual(['other true']);
  });

  it('are those of the provider where a build server has none', async () => {
    const url = 'https://feed.example/index.json';
    const provider = async () => ({ type: 'bearer', token: 't' }) as const;
    const auth = configuredAuthenticator(await load(), { name: 'feed', url }, { environment: {}, provider });
    expect(await auth.challenged({ url, sent: undefined, challenge: undefined })).toBe(true);
    expect(auth.headers(url)).toEqual({ authorization: 'Bearer t' });
  });

  it('of a build server count where those of a file were refused', async () => {
    await write('project/nuget.config', section(`<feed>${plain('ann', 'ended')}</feed>`));
    const url = 'https://feed.example/index.json';
    const endpoints = JSON.stringify({ endpointCredentials: [{ endpoint: url, username: 'env', password: 'e' }] });
    const environment = { VSS_NUGET_EXTERNAL_FEED_ENDPOINTS: endpoints };
    const auth = configuredAuthenticator(await load(), { name: 'feed', url }, { environment });
    expect(await auth.challenged({ url, sent: auth.headers(url), challenge: undefined })).toBe(true);
    expect(auth.headers(url)).toEqual({ authorization: `Basic ${btoa('env:e')}` });
    expect(await auth.challenged({ url, sent: auth.headers(url), challenge: undefined })).toBe(false);
  });
});

describe('API keys', () => {
  const section = (...items: string[]) => `<apikeys>${items.join('')}</apikeys>`;

  it('belong to the URL of a source, whatever its case and last slash', async () => {
    await write('project/nuget.config', section(add('https://Feed.example/push/', '%KEY%')));
    const config = await load('project', { KEY: 'k' });
    expect(config.apiKey('https://x.example/', 'https://feed.example/push')).toBe('k');
    expect(config.apiKey('https://feed.example/')).toBeUndefined();
  });

  it('of the gallery are for nuget.org', async () => {
    await write('project/nuget.config', section(add('https://www.nuget.org', 'k')));
    const config = await load();
    expect(config.apiKey('https://api.nuget.org/v3/index.json')).toBe('k');
    expect(config.apiKey('https://nuget.org.evil.example/')).toBeUndefined();
  });

  it('that are encrypted fail when they are needed', async () => {
    const file = await write('project/nuget.config', section(add('https://x.example/', 'AQAAANCMnd8BFdERjHoAwEx')));
    const config = await load();
    expect(() => config.apiKey('https://x.example/')).toThrow(
      `${file}:3: the API key of https://x.example/ is encrypted`,
    );
  });
});

describe('the section config', () => {
  const section = (...items: string[]) => `<config>${items.join('')}</config>`;

  it('says where packages and caches are, after the environment', async () => {
    await write(
      'project/nuget.config',
      section(add('GLOBALPACKAGESFOLDER', 'my/%X%'), add('maxHttpRequestsPerSource', '8')),
    );
    const config = await load('project', { X: 'packages' });
    expect(config.globalPackagesFolder).toBe(join(folder, 'project/my/packages'));
    expect(config.value('globalpackagesfolder')).toBe('my/packages');
    expect(config.maxHttpRequestsPerSource).toBe(8);
    expect(config.httpCacheFolder).toBe(join(home, '.local/share/NuGet/http-cache'));
    const other = await load('project', {
      NUGET_PACKAGES: '/p/',
      NUGET_HTTP_CACHE_PATH: '/c',
      XDG_DATA_HOME: '/data',
      NUGET_FALLBACK_PACKAGES: '/f;;/g',
    });
    expect([other.globalPackagesFolder, other.httpCacheFolder, other.fallbackFolders]).toEqual([
      '/p',
      '/c',
      ['/f', '/g'],
    ]);
    expect((await load('project', { XDG_DATA_HOME: '/data' })).httpCacheFolder).toBe('/data/NuGet/http-cache');
    expect((await load('home')).globalPackagesFolder).toBe(join(home, '.nuget/packages'));
    expect((await load('home')).maxHttpRequestsPerSource).toBeUndefined();
  });

  it('allows absolute folders only in the environment', async () => {
    const config = await load('project', {
      NUGET_PACKAGES: 'p',
      NUGET_HTTP_CACHE_PATH: 'c',
      NUGET_FALLBACK_PACKAGES: 'f',
    });
    expect(() => config.globalPackagesFolder).toThrow('NUGET_PACKAGES: found "p"; allowed: an absolute path');
    expect(() => config.httpCacheFolder).toThrow('NUGET_HTTP_CACHE_PATH');
    expect(() => config.fallbackFolders).toThrow('NUGET_FALLBACK_PACKAGES');
  });

  it('names the fallback folders of the nearest file first', async () => {
    await write(USER, `<fallbackPackageFolders>${add('a', '/far')}</fallbackPackageFolders>`);
    await write('project/nuget.config', `<fallbackPackageFolders>${add('b', 'near')}</fallbackPackageFolders>`);
    expect((await load()).fallbackFolders).toEqual([join(folder, 'project/near'), '/far']);
  });

  it('says where to push: the name of a source, a URL or a folder', async () => {
    const pushTo = async (value: string) => {
      await write('project/nuget.config', section(add('DefaultPushSource', value)));
      return (await load()).defaultPushSource;
    };
    expect(await pushTo('NuGet.org')).toBe('NuGet.org');
    expect(await pushTo('https://push.example/')).toBe('https://push.example/');
    expect(await pushTo('feed')).toBe(join(folder, 'project/feed'));
    expect(await pushTo('')).toBeUndefined();
    expect((await load('home')).defaultPushSource).toBeUndefined();
  });

  it('names a proxy', async () => {
    await write(
      'project/nuget.config',
      section(
        add('http_proxy', 'http://proxy.example:3128'),
        add('http_proxy.user', 'a@b'),
        add('http_proxy.password', '%P%'),
        add('no_proxy', 'a.example'),
      ),
    );
    expect((await load('project', { P: 'p:q' })).proxy).toEqual({
      httpProxy: 'http://a%40b:p%3Aq@proxy.example:3128/',
      httpsProxy: 'http://a%40b:p%3Aq@proxy.example:3128/',
      noProxy: 'a.example',
    });
    const encrypted = await load('project', { P: 'AQAAANCMnd8BFdERjHoAwEx' });
    expect(() => encrypted.proxy).toThrow('nuget.config:3: http_proxy.password is encrypted');
    expect((await load('home')).proxy).toBeUndefined();
    await write('project/nuget.config', section(add('http_proxy', 'http://')));
    const wrong = await load();
    expect(() => wrong.proxy).toThrow('nuget.config:3: http_proxy is no URL');
  });

  it.each(['proxy', 'proxy:3128', '10.0.0.1:3128'])(
    'names a proxy without a scheme, and its user: %s',
    async (proxy) => {
      await write('project/nuget.config', section(add('http_proxy', proxy), add('http_proxy.user', 'ann')));
      expect((await load()).proxy).toMatchObject({
        httpProxy: `http://ann@${proxy}/`,
        httpsProxy: `http://ann@${proxy}/`,
      });
    },
  );
});

describe('the mapping of packages to sources', () => {
  const mapped = (key: string, ...patterns: string[]) =>
    `<packageSource key="${key}">${patterns.map((pattern) => `<package pattern="${pattern}"/>`).join('')}</packageSource>`;
  const section = (...items: string[]) => `<packageSourceMapping>${items.join('')}</packageSourceMapping>`;

  it('is put together of all files: a source of a nearer one replaces the same of farther ones', async () => {
    await write(USER, section(mapped('a', 'Far.*'), mapped('b', '*')));
    await write('project/nuget.config', section(mapped('A', 'Near.*')));
    const { mapping } = await load();
    expect(mapping.sourcesFor('Near.x')).toEqual(['A']);
    expect(mapping.sourcesFor('Far.x')).toEqual(['b']);
    await write('project/nuget.config', section('<clear/>', mapped('a', 'Near.*')));
    expect((await load()).mapping.sourcesFor('Far.x')).toEqual([]);
  });

  it('is not there without the section', async () => {
    expect((await load()).mapping.isEnabled).toBe(false);
  });
});
