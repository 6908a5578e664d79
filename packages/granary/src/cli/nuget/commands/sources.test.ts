import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runGranary } from '../../../testing/run-granary.js';
import { temporaryFolder } from '../../../testing/test-server.js';

let folder: string;
let file: string;
beforeEach(async () => {
  folder = await temporaryFolder();
  file = join(folder, 'nuget.config');
  await writeFile(file, '<configuration>\n</configuration>\n');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const sources = (words: readonly string[], io = {}) => runGranary(['nuget', 'sources', ...words], io);

describe('granary nuget sources', () => {
  it('adds, shows, changes, switches and removes a source', async () => {
    const config = ['--config-file', file];
    expect(await sources(['add', 'mine', 'https://mine.example/v3/index.json', ...config])).toEqual({
      exitCode: 0,
      out: `Added mine in ${file}.\n`,
      err: '',
    });
    const listed = await sources(config);
    expect(listed.out).toBe(
      `NAME  STATE    URL                                 FROM\nmine  enabled  https://mine.example/v3/index.json  ${file}\n`,
    );
    expect((await sources(['disable', 'MINE', ...config])).out).toBe(`Disabled MINE in ${file}.\n`);
    expect((await sources(['disable', 'mine', ...config])).out).toBe('Nothing had to be changed.\n');
    expect((await sources(['list', ...config])).out).toContain('mine  disabled');
    expect((await sources(['enable', 'mine', ...config])).exitCode).toBe(0);
    await sources(['update', 'mine', '--url', 'https://other.example/', '--protocol-version', '2', ...config]);
    expect(JSON.parse((await sources(['list', '--json', ...config])).out)).toMatchObject({
      sources: [{ name: 'mine', url: 'https://other.example/', protocolVersion: 2, isEnabled: true }],
    });
    expect(JSON.parse((await sources(['remove', 'mine', '--json', ...config])).out)).toEqual({ files: [file] });
    expect((await sources(config)).out).toContain('There are no sources');
    expect(await readFile(file, 'utf8')).toBe('<configuration>\n</configuration>\n');
  });

  it('makes all changes that are made at the same time', async () => {
    const names = Array.from({ length: 8 }, (_, index) => `s${index}`);
    const added = await Promise.all(
      names.map((name) => sources(['add', name, `https://${name}.example/`, '--config-file', file])),
    );
    expect(added.map(({ exitCode, err }) => `${exitCode}${err}`)).toEqual(names.map(() => '0'));
    const listed = JSON.parse((await sources(['list', '--json', '--config-file', file])).out);
    expect(listed.sources.map(({ name }: { name: string }) => name).sort()).toEqual(names);
  });

  it('says so when somebody else changes the file all the time', async () => {
    await writeFile(`${file}.lock`, '');
    const { exitCode, err } = await sources(['add', 'x', 'https://x.example/', '--config-file', file]);
    expect([exitCode, err]).toEqual([
      1,
      `granary: ${file} is being changed by somebody else; try again, or remove ${file}.lock where nobody does that\n`,
    ]);
  });

  it('refuses a URL without its colon, which would be a folder, and shows no password that is in it', async () => {
    const { exitCode, err } = await sources(['add', 'x', 'https//ann:s3cret@x.example/v3', '--config-file', file]);
    expect([exitCode, err]).toEqual([2, 'granary: https//[redacted]@x.example/v3 is no URL\n']);
  });

  it('keeps a password in an environment variable, or takes it from standard input', async () => {
    const add = ['add', 'mine', 'https://mine.example/', '--config-file', file, '--username', 'ann'];
    await sources([...add, '--password-env', 'TOKEN', '--valid-authentication-types', 'basic']);
    expect(await readFile(file, 'utf8')).toContain('<add key="ClearTextPassword" value="%TOKEN%" />');
    const update = ['update', 'mine', '--config-file', file, '--username', 'bob', '--password-stdin'];
    const { out, err } = await sources(update, { readInput: async () => 's3cret\r\n' });
    expect(out + err).not.toContain('s3cret');
    expect(await readFile(file, 'utf8')).toContain('<add key="ClearTextPassword" value="s3cret" />');
  });

  it.each([
    [['add', 'x', 'https://x.example/', '--protocol-version', '4'], '--protocol-version: found "4"; allowed: 2, 3'],
    [
      ['add', 'x', 'https://x.example/', '--username', 'ann'],
      '--username needs either --password-env or --password-stdin',
    ],
    [
      ['add', 'x', 'https://x.example/', '--username', 'a', '--password-env', 'A', '--password-stdin'],
      '--username needs either',
    ],
    [
      ['add', 'x', 'https://x.example/', '--username', 'a', '--password-env', 'A=b'],
      '--password-env: allowed: the name',
    ],
    [
      ['add', 'x', 'https://x.example/', '--username', 'a', '--password-stdin'],
      'there is no password on standard input',
    ],
    [['add', 'x', 'https://x.example/', '--password-env', 'A'], 'credentials need --username, too'],
    [['add', 'x', 'https://'], 'https:// is no URL'],
    [['update', 'x'], 'say what to change: --url'],
    [['remove', 'x'], 'there is no source x; there is: none'],
    [['list', '--unknown'], "error: unknown option '--unknown'"],
    [['add', 'x'], "error: missing required argument 'url'"],
  ])('says what is wrong with %j', async (words, message) => {
    const { exitCode, out, err } = await sources([...words, '--config-file', file]);
    expect({ exitCode, out }).toEqual({ exitCode: 2, out: '' });
    expect(err).toContain(message);
    expect(err.trimEnd().split('\n').length).toBeLessThanOrEqual(3);
  });

  it('shows nobody a password that stands in a URL', async () => {
    const url = 'https://ann:s3cret@mine.example/v3/index.json';
    await writeFile(
      file,
      `<configuration><packageSources><add key="mine" value="${url}" /></packageSources></configuration>`,
    );
    const shown = 'https://[redacted]@mine.example/v3/index.json';
    const config = ['--config-file', file];
    expect((await sources(config)).out).toContain(shown);
    expect(JSON.parse((await sources(['--json', ...config])).out)).toMatchObject({ sources: [{ url: shown }] });
    const removed = await sources(['remove', url, ...config]);
    expect(removed).toEqual({ exitCode: 0, out: `Removed ${shown} in ${file}.\n`, err: '' });
  });

  it('says where a nuget.config is wrong', async () => {
    await writeFile(file, '<configuration>\n<packageSources>\n</configuration>');
    const { exitCode, err } = await sources(['--config-file', file]);
    expect(exitCode).toBe(2);
    expect(err).toContain(`granary: ${file}:3: is not XML`);
  });
});
