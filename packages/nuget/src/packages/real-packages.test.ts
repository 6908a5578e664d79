import { existsSync } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { NuGetVersion } from '../versions/nuget-version.js';
import { extractPackage } from './extract.js';
import { NupkgReader } from './nupkg-reader.js';
import { verifyPackage } from './verify-package.js';

/** Where Debian's packages `nupkg-*` put theirs. */
const FOLDER = '/usr/share/nupkg';

describe.each([
  {
    id: 'Newtonsoft.Json',
    version: '6.0.8',
    assembly: 'lib/net45/Newtonsoft.Json.dll',
    says: { title: 'Json.NET', authors: ['James Newton-King'], tags: ['json'], language: 'en-US' },
  },
  {
    id: 'NUnit',
    version: '2.6.4',
    assembly: 'lib/nunit.framework.dll',
    says: { title: 'NUnit', authors: ['Charlie Poole'], owners: ['Charlie Poole'] },
  },
])('$id $version as Debian has it', ({ id, version, assembly, says }) => {
  const path = join(FOLDER, `${id}.${version}.nupkg`);

  it.skipIf(!existsSync(path))('is read, verified and extracted', async () => {
    await using reader = await NupkgReader.open(path);
    const identity = { id, version: NuGetVersion.parse(version) };
    expect(await verifyPackage(reader, identity, { checkContents: true })).toMatchObject(says);
    expect(reader.has(assembly)).toBe(true);
    expect(reader.isSigned).toBe(false);
    const target = await mkdtemp(join(tmpdir(), 'real-'));
    try {
      const written = await extractPackage(reader, target);
      expect(written).toContain(`${id.toLowerCase()}.nuspec`);
      expect((await stat(join(target, assembly))).size).toBeGreaterThan(100_000);
    } finally {
      await rm(target, { recursive: true });
    }
  });
});
