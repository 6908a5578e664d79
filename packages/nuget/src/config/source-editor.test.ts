import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadNuGetConfig } from './nuget-config.js';
import { SourceEditor } from './source-editor.js';

let folder: string;
let environment: Record<string, string>;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nuget-sources-'));
  environment = { HOME: join(folder, 'home'), NUGET_COMMON_APPLICATION_DATA: join(folder, 'etc') };
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const USER = 'home/.nuget/NuGet/NuGet.Config';

async function write(path: string, text: string | Buffer): Promise<string> {
  const file = join(folder, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text);
  return file;
}

const load = (configFile?: string) =>
  loadNuGetConfig({ directory: join(folder, 'project'), platform: 'linux', environment, configFile });

/** Loads, changes and saves, and answers with what was written. */
async function edit(change: (editor: SourceEditor) => void, configFile?: string): Promise<readonly string[]> {
  const editor = new SourceEditor(await load(configFile), environment);
  change(editor);
  return editor.save();
}

const read = (path: string) => readFile(join(folder, path), 'utf8');

const FILE = `<?xml version="1.0" encoding="utf-8"?>
<!-- Ours. -->
<configuration>
    <packageSources>
        <!-- Nothing from outside. -->
        <clear />
        <add key="one" value='https://one.example/'   protocolVersion = "3" /> <!-- the first -->
        <add key="Two" value="https://two.example/" />
    </packageSources>
    <config><add key="x" value="&lt;y&gt;"/></config>
    <packageSourceCredentials>
        <two>
            <add key="Username" value="ann" />
            <add key="ClearTextPassword" value="s3cret" />
        </two>
    </packageSourceCredentials>
</configuration>
`;

describe('a source that is added', () => {
  it('goes to the nearest file that clears its section, and changes nothing else in it', async () => {
    const file = await write('project/nuget.config', FILE);
    const written = await edit((editor) =>
      editor.add('A & "B"', { url: 'https://three.example/?a&b', protocolVersion: 3, allowInsecureConnections: true }),
    );
    expect(written).toEqual([file]);
    const line =
      '        <add key="A &amp; &quot;B&quot;" value="https://three.example/?a&amp;b" protocolVersion="3" ' +
      'allowInsecureConnections="true" />\n';
    expect(await read('project/nuget.config')).toBe(
      FILE.replace('    </packageSources>', `${line}    </packageSources>`),
    );
    expect((await load()).source('a & "b"')).toMatchObject({ url: 'https://three.example/?a&b', protocolVersion: 3 });
  });

  it("goes to the user's own file otherwise, which begins with nuget.org and is for its owner only", async () => {
    await write('project/nuget.config', '<configuration/>');
    expect(await edit((editor) => editor.add('mine', { url: 'https://mine.example/' }))).toEqual([join(folder, USER)]);
    expect(await read(USER)).toBe(`<?xml version="1.0" encoding="utf-8"?>
<configuration>
  <packageSources>
    <add key="nuget.org" value="https://api.nuget.org/v3/index.json" protocolVersion="3" />
    <add key="mine" value="https://mine.example/" />
  </packageSources>
</configuration>
`);
    expect((await stat(join(folder, USER))).mode & 0o777).toBe(0o600);
  });

  it.each([
    [
      '<configuration/>',
      '<configuration>\n  <packageSources>\n    <add key="x" value="https://x.example/" />\n  </packageSources>\n</configuration>',
    ],
    [
      '<configuration><packageSources></packageSources></configuration>',
      '<configuration><packageSources>\n  <add key="x" value="https://x.example/" />\n</packageSources></configuration>',
    ],
    [
      '<configuration>\r\n\t<packageSources />\r\n</configuration>',
      '<configuration>\r\n\t<packageSources>\r\n\t\t<add key="x" value="https://x.example/" />\r\n\t</packageSources>\r\n</configuration>',
    ],
  ])('makes the section where there is none: %#', async (before, after) => {
    const file = await write('my.config', before);
    expect(await edit((editor) => editor.add('x', { url: 'https://x.example/' }), file)).toEqual([file]);
    expect(await read('my.config')).toBe(after);
  });

  it('brings its credentials, with the name of a variable in place of the secret', async () => {
    const file = await write('my.config', '<configuration>\n</configuration>');
    const credentials = { username: 'a&b', password: { variable: 'TOKEN' }, validAuthenticationTypes: 'basic' };
    await edit((editor) => editor.add('my feed', { url: 'https://x.example/', credentials }), file);
    expect(await read('my.config')).toContain(`  <packageSourceCredentials>
    <my_x0020_feed>
      <add key="Username" value="a&amp;b" />
      <add key="ClearTextPassword" value="%TOKEN%" />
      <add key="ValidAuthenticationTypes" value="basic" />
    </my_x0020_feed>
  </packageSourceCredentials>
`);
    environment['TOKEN'] = 's3cret';
    expect((await load(file)).credentials('my feed')?.toCredentials()).toMatchObject({
      username: 'a&b',
      password: 's3cret',
    });
  });

  it('has no password that would be read as another one', async () => {
    const file = await write('my.config', '<configuration/>');
    const adding = (password: string) =>
      edit((editor) => editor.add('x', { url: 'https://x.example/', credentials: { username: 'u', password } }), file);
    environment['HOME'] = folder;
    await expect(adding('a%HOME%b')).rejects.toThrow('the password has the name of an environment variable');
    await adding('100%\t"<&>\'%NONE%');
    expect((await load(file)).credentials('x')?.toCredentials()).toMatchObject({ password: '100%\t"<&>\'%NONE%' });
  });

  it('takes folders from where it is added', async () => {
    const file = await write('my.config', '<configuration/>');
    await edit((editor) => {
      editor.add('a', { url: 'feed' });
      editor.add('b', { url: '/opt/feed' });
      editor.add('c', { url: 'file:///opt/feed' });
    }, file);
    expect((await load(file)).sources.map(({ url }) => url)).toEqual([
      join(process.cwd(), 'feed'),
      '/opt/feed',
      'file:///opt/feed',
    ]);
  });

  it.each([
    ['ONE', 'https://new.example/', 'the source one (https://one.example/) is there already, in '],
    ['new', 'https://one.example', 'the source one (https://one.example/) is there already'],
    [' ', 'https://new.example/', 'a source needs a name'],
    ['new', ' ', 'a source needs a URL'],
    ['new', 'https://', 'https:// is no URL'],
    ['new', 'https://ann:s3cret@new.example/', 'a source has no user and password in its URL'],
  ])('is refused: %s %s', async (name, url, message) => {
    await write('project/nuget.config', FILE);
    const failure = await edit((editor) => editor.add(name, { url })).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'INVALID_OPTION' });
    expect(String(failure)).toContain(message);
    expect(String(failure)).not.toContain('s3cret');
    expect(await read('project/nuget.config')).toBe(FILE);
  });
});

describe('a source that is changed', () => {
  it('is changed where it stands', async () => {
    await write('project/nuget.config', FILE);
    await edit((editor) =>
      editor.update('ONE', { url: 'https://1.example/', protocolVersion: 2, allowInsecureConnections: false }),
    );
    expect(await read('project/nuget.config')).toBe(
      FILE.replace(
        `value='https://one.example/'   protocolVersion = "3" />`,
        'value="https://1.example/"   protocolVersion = "2" allowInsecureConnections="false" />',
      ),
    );
  });

  it('gets other credentials where the old ones are', async () => {
    await write('project/nuget.config', FILE);
    await edit((editor) => editor.update('two', { credentials: { username: 'bob', password: 'new' } }));
    const text = await read('project/nuget.config');
    expect(text).not.toContain('s3cret');
    expect(text).toContain('        <Two>\n            <add key="Username" value="bob" />');
    expect((await load()).credentials('Two')?.toCredentials()).toMatchObject({ username: 'bob', password: 'new' });
  });

  it('must be there, in a file that may be written', async () => {
    await write(
      'etc/NuGet/Config/company.config',
      '<configuration><packageSources><add key="m" value="https://m.example/"/></packageSources></configuration>',
    );
    await expect(edit((editor) => editor.update('none', {}))).rejects.toThrow(
      'there is no source none; there is: nuget.org, m',
    );
    for (const change of [
      (editor: SourceEditor) => editor.update('m', { url: 'https://x.example/' }),
      (editor: SourceEditor) => editor.remove('m'),
    ]) {
      await expect(edit(change)).rejects.toThrow(
        /the source m stands in .*company.config, which is not changed from here/,
      );
    }
    expect(await edit((editor) => editor.disable('m'))).toEqual([join(folder, USER)]);
    expect((await load()).source('m')?.isEnabled).toBe(false);
  });
});

describe('a source that is removed', () => {
  it('goes from all files, with its credentials and sections that are empty then', async () => {
    await write('project/nuget.config', FILE);
    await write(
      USER,
      '<configuration>\n  <packageSources>\n    <add key="TWO" value="x"/>\n  </packageSources>\n  <disabledPackageSources><add key="Two" value="true"/></disabledPackageSources>\n</configuration>',
    );
    await edit((editor) => editor.remove('https://two.example'));
    const expected = FILE.replace('        <add key="Two" value="https://two.example/" />\n', '');
    const [head, tail] = [expected.split('    <packageSourceCredentials>')[0], '</configuration>\n'];
    expect(await read('project/nuget.config')).toBe(`${head}${tail}`);
    expect(await read(USER)).toBe('<configuration>\n</configuration>');
  });

  it('leaves a comment beside it', async () => {
    await write('project/nuget.config', FILE);
    await edit((editor) => editor.remove('one'));
    expect(await read('project/nuget.config')).toContain(
      '<clear />\n         <!-- the first -->\n        <add key="Two"',
    );
  });
});

describe('a source that is switched', () => {
  it('off and on again leaves the file as it was', async () => {
    await write('project/nuget.config', FILE);
    await write(USER, '<configuration>\n</configuration>\n');
    await edit((editor) => editor.disable('one'));
    expect((await load()).source('one')?.isEnabled).toBe(false);
    expect(await edit((editor) => editor.disable('one'))).toEqual([]);
    await edit((editor) => editor.enable('one'));
    expect((await load()).source('one')?.isEnabled).toBe(true);
    expect(await edit((editor) => editor.enable('one'))).toEqual([]);
    expect(await read(USER)).toBe('<configuration>\n</configuration>\n');
  });

  it('off by a file of the machine stays off', async () => {
    await write(
      'etc/NuGet/Config/company.config',
      '<configuration><disabledPackageSources><add key="nuget.org" value="true"/></disabledPackageSources></configuration>',
    );
    await expect(edit((editor) => editor.enable('nuget.org'))).rejects.toThrow('is not changed from here');
  });
});

describe('files that are written', () => {
  it.each(['utf8', 'utf16le'] as const)(
    'stay %s with their byte order mark, their mode and their link',
    async (encoding) => {
      const text = '\ufeff<configuration>\n  <packageSources />\n</configuration>';
      const target = await write('shared/company.config', Buffer.from(text, encoding));
      await chmod(target, 0o640);
      const link = join(folder, 'link.config');
      await symlink(target, link);
      await edit((editor) => editor.add('zoë', { url: 'https://z.example/' }), link);
      const after = (await readFile(target)).toString(encoding);
      expect(after.startsWith('\ufeff<configuration>')).toBe(true);
      expect(after).toContain('key="zoë"');
      expect((await stat(target)).mode & 0o777).toBe(0o640);
      expect((await load(link)).sources).toHaveLength(1);
    },
  );

  it('are UTF-8 from then on when they were in an encoding that is not written, and say so', async () => {
    const text = '<?xml version="1.0" encoding="iso-8859-1"?>\n<!-- für uns -->\n<configuration />';
    const file = await write('my.config', Buffer.from(text, 'latin1'));
    await edit((editor) => editor.add('zoë', { url: 'https://z.example/' }), file);
    expect(await read('my.config')).toContain(
      '<?xml version="1.0" encoding="utf-8"?>\n<!-- für uns -->\n<configuration>',
    );
    expect((await load(file)).sources.map(({ name }) => name)).toEqual(['zoë']);
  });

  it('are left alone when somebody else has changed them meanwhile', async () => {
    const file = await write('my.config', '<configuration/>');
    const editor = new SourceEditor(await load(file), environment);
    editor.add('x', { url: 'https://x.example/' });
    await write('my.config', '<configuration />');
    await expect(editor.save()).rejects.toThrow(`${file} has been changed meanwhile; try again`);
    expect(await read('my.config')).toBe('<configuration />');
  });

  it('take one change of several that are made at the same time, and say so of the others', async () => {
    const file = await write('my.config', '<configuration/>');
    const names = ['one', 'two', 'three', 'four'];
    const editors = await Promise.all(names.map(async () => new SourceEditor(await load(file), environment)));
    const saved = await Promise.allSettled(
      editors.map((editor, i) => {
        editor.add(names[i]!, { url: `https://${names[i]}.example/` });
        return editor.save();
      }),
    );
    const made = names.filter((_, i) => saved[i]?.status === 'fulfilled');
    expect((await load(file)).sources.map(({ name }) => name)).toEqual(made);
    for (const each of saved) if (each.status === 'rejected') expect(each.reason).toMatchObject({ code: 'CONFLICT' });
    expect(await readdir(folder)).toEqual(['my.config']);
  });

  it('are left alone while somebody else writes them', async () => {
    const file = await write('my.config', '<configuration/>');
    await write('my.config.lock', '');
    const adding = edit((editor) => editor.add('x', { url: 'https://x.example/' }), file);
    await expect(adding).rejects.toThrow(
      `${file} is being changed by somebody else; try again, or remove ${file}.lock`,
    );
    expect(await read('my.config')).toBe('<configuration/>');
  });

  it('are written where somebody has ended in the middle of it', async () => {
    const file = await write('my.config', '<configuration/>');
    const lock = await write('my.config.lock', '<configur');
    const longAgo = new Date(Date.now() - 3_600_000);
    await utimes(lock, longAgo, longAgo);
    await edit((editor) => editor.add('x', { url: 'https://x.example/' }), file);
    expect((await load(file)).sources.map(({ name }) => name)).toEqual(['x']);
    expect(await readdir(folder)).toEqual(['my.config']);
  });

  it('say why they can not be written', async () => {
    await write('home/.nuget', 'a file');
    await expect(edit((editor) => editor.add('x', { url: 'https://x.example/' }))).rejects.toMatchObject({
      code: 'INVALID_CONFIG',
      message: expect.stringContaining("NuGet.Config can't be written: "),
    });
  });

  it('are none on a platform without any', async () => {
    const config = await loadNuGetConfig({ directory: folder, platform: 'win32', environment: {} });
    expect(() => new SourceEditor(config).add('x', { url: 'https://x.example/' })).toThrow(
      'there is no nuget.config that may be written',
    );
  });
});
