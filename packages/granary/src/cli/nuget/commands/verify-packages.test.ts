import { createHash } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buildPackage } from '@granary/nuget/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runGranary } from '../../../testing/run-granary.js';
import { temporaryFolder } from '../../../testing/test-server.js';

let folder: string;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function write(name: string, bytes: Buffer): Promise<string> {
  const file = join(folder, name);
  await writeFile(file, bytes);
  return file;
}

const verify = (...words: string[]) => runGranary(['nuget', 'verify', ...words]);

describe('granary nuget verify', () => {
  it('says what the packages are', async () => {
    const bytes = buildPackage({ id: 'My.Lib', version: '1.2.0-beta' });
    const good = await write('good.nupkg', bytes);
    const signed = await write('signed.nupkg', buildPackage({ id: 'B', version: '2.0', signature: Buffer.from('x') }));
    expect(await verify(good, signed)).toEqual({
      exitCode: 0,
      out: `ok  ${good}: My.Lib 1.2.0-beta\nok  ${signed}: B 2.0.0, signed\n`,
      err: '',
    });
    const sha512 = createHash('sha512').update(bytes).digest('base64');
    expect(JSON.parse((await verify('--json', good)).out)).toEqual({
      packages: [{ file: good, valid: true, id: 'My.Lib', version: '1.2.0-beta', signed: false, sha512 }],
    });
  });

  it('finds what is damaged, and goes on', async () => {
    const bytes = buildPackage({ id: 'A', version: '1.0.0', files: { 'lib/a.dll': 'x'.repeat(5000) } });
    const cut = await write('cut.nupkg', bytes.subarray(0, bytes.length - 10));
    const flipped = Buffer.from(bytes);
    flipped.writeUInt8(flipped.readUInt8(200) ^ 0xff, 200);
    const damaged = await write('damaged.nupkg', flipped);
    const good = await write('good2.nupkg', bytes);
    const missing = join(folder, 'missing.nupkg');
    const { exitCode, out, err } = await verify(cut, damaged, good, missing);
    expect(exitCode).toBe(1);
    expect(out).toBe(`ok  ${good}: A 1.0.0\n`);
    const lines = err.trimEnd().split('\n');
    expect(lines).toHaveLength(3);
    expect(lines[0]).toContain(`damaged ${cut}: `);
    expect(lines[2]).toContain('ENOENT');
    const { packages } = JSON.parse((await verify('--json', good, cut)).out) as { packages: { valid: boolean }[] };
    expect(packages.map(({ valid }) => valid)).toEqual([true, false]);
  });

  it('leaves no command to the terminal in the names of files', async () => {
    const name = 'a\u001b]0;title\u0007.nupkg';
    const good = await write(name, buildPackage({ id: 'A', version: '1.0.0' }));
    const bad = await write(`bad-${name}`, Buffer.from('nothing'));
    const { out, err } = await verify(good, bad);
    expect(out).toBe(`ok  ${join(folder, 'a ]0;title .nupkg')}: A 1.0.0\n`);
    expect(err).toContain(`damaged ${join(folder, 'bad-a ]0;title .nupkg')}: `);
    await Promise.all([rm(good), rm(bad)]);
  });

  it('stops when it is interrupted', async () => {
    const good = await write('good3.nupkg', buildPackage({ id: 'A', version: '1.0.0' }));
    const interrupted = AbortSignal.abort(new Error('stop'));
    expect(await runGranary(['nuget', 'verify', good], { interrupted })).toEqual({
      exitCode: 1,
      out: '',
      err: 'granary: interrupted; what was not finished is put away\n',
    });
  });

  it('wants at least one file', async () => {
    const { exitCode, err } = await verify();
    expect(exitCode).toBe(2);
    expect(err).toContain("missing required argument 'file'");
  });
});
