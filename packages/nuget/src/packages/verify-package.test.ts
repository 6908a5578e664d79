import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { buildPackage, type PackageInit } from '../testing/index.js';
import { NuGetVersion } from '../versions/nuget-version.js';
import { NupkgReader } from './nupkg-reader.js';
import { verifyPackage } from './verify-package.js';

const build = (extra: Partial<PackageInit> = {}) => buildPackage({ id: 'A.B', version: '1.2.0+build.7', ...extra });
const identity = (id = 'A.B', version = '1.2.0') => ({ id, version: NuGetVersion.parse(version) });
const invalid = (message: RegExp) => ({ code: 'INVALID_PACKAGE', message: expect.stringMatching(message) });

describe('a package that was downloaded', () => {
  it('is right when its nuspec has the id and the version, as NuGet compares them', async () => {
    expect(await verifyPackage(build(), identity())).toMatchObject({ id: 'A.B' });
    await verifyPackage(build(), identity('a.b', '1.2'));
    await verifyPackage(build(), identity('a.B', '1.02.0.0'));
    await verifyPackage(build({ version: '1.0.0-RC.1' }), identity('A.B', '1.0.0-rc.1'));
  });

  it('is wrong when they differ', async () => {
    await expect(verifyPackage(build(), identity('C'))).rejects.toMatchObject(
      invalid(/^the package for C 1\.2\.0 is A\.B by its nuspec$/),
    );
    await expect(verifyPackage(build(), identity('A.B', '1.2.1'))).rejects.toMatchObject(
      invalid(/^the package for A\.B 1\.2\.1 is version 1\.2\.0\+build\.7 by its nuspec$/),
    );
  });

  it('is right whatever its nuspec says of content, types and dependencies, of which installing it needs nothing', async () => {
    const rules = '<contentFiles><files include="**" copyToOutput="1"/></contentFiles>';
    const types = '<packageTypes><packageType name="T" version="1"/></packageTypes>';
    const dependencies = '<dependencies><dependency version="1.0"/></dependencies>';
    const odd = `<package><metadata><id>A.B</id><version>1.2</version>${rules}${types}${dependencies}</metadata></package>`;
    await verifyPackage(build({ nuspec: odd }), identity());
  });

  it('is wrong wherever it ends too early, or goes on', async () => {
    const bytes = build();
    for (let length = 0; length < bytes.length; length++) {
      await expect(verifyPackage(bytes.subarray(0, length), identity())).rejects.toMatchObject({
        code: 'INVALID_PACKAGE',
      });
    }
    const longer = Buffer.concat([bytes, Buffer.from('x')]);
    await expect(verifyPackage(longer, identity())).rejects.toMatchObject({ code: 'INVALID_PACKAGE' });
  });

  it('is wrong when a part of it is missing in the middle', async () => {
    const bytes = build({ files: { a: 'x'.repeat(100), b: 'y' } });
    for (let at = 40; at < bytes.length - 40; at += 40) {
      const damaged = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 8)]);
      await expect(verifyPackage(damaged, identity())).rejects.toMatchObject({ code: 'INVALID_PACKAGE' });
    }
  });

  it('is wrong with entries that can not be read', async () => {
    const locked = build({ entries: [{ name: 'x', data: 'x', flags: 1 }] });
    await expect(verifyPackage(locked, identity())).rejects.toMatchObject(invalid(/"x" is encrypted/));
    const renamed = build({ entries: [{ name: 'x', data: 'x', localName: 'y' }] });
    await expect(verifyPackage(renamed, identity())).rejects.toMatchObject(invalid(/has another name/));
  });

  it('is wrong with paths that lead out of a folder', async () => {
    for (const name of ['../x', 'C:\\x', '%2e%2e/x']) {
      await expect(verifyPackage(build({ entries: [{ name }] }), identity())).rejects.toMatchObject(
        invalid(/leaves|drive/),
      );
    }
  });

  it('has its contents checked when that is asked for', async () => {
    const damaged = build({ entries: [{ name: 'x', data: 'x', crc32: 7 }] });
    await verifyPackage(damaged, identity());
    await expect(verifyPackage(damaged, identity(), { checkContents: true })).rejects.toMatchObject(invalid(/CRC/));
    await verifyPackage(build(), identity(), { checkContents: true });
  });

  it('has the hash that the feed says', async () => {
    const bytes = build();
    for (const algorithm of ['SHA512', 'sha-256', 'SHA1']) {
      const name = algorithm.toLowerCase().replace('-', '');
      const value = createHash(name).update(bytes).digest('base64');
      await verifyPackage(bytes, identity(), { hash: { algorithm, value } });
      const other = createHash(name).update('other').digest('base64');
      const call = verifyPackage(bytes, identity(), { hash: { algorithm, value: other } });
      await expect(call).rejects.toMatchObject(invalid(new RegExp(`has the ${algorithm} hash .*, not `)));
    }
    const unknown = verifyPackage(bytes, identity(), { hash: { algorithm: 'CRC', value: '' } });
    await expect(unknown).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  });

  it('is read from a path, or by a reader that stays open', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'verify-'));
    const path = join(folder, 'a.nupkg');
    await writeFile(path, build());
    await verifyPackage(path, identity());
    const reader = await NupkgReader.open(path);
    await verifyPackage(reader, identity());
    expect(reader.has('A.B.nuspec')).toBe(true);
    await reader.close();
    await rm(folder, { recursive: true });
  });

  it('is bounded, and can be given up', async () => {
    await expect(verifyPackage(build(), identity(), { limits: { maxEntries: 1 } })).rejects.toMatchObject({
      code: 'LIMIT',
    });
    const reason = new Error('enough');
    await expect(verifyPackage(build(), identity(), { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });
});
