import { describe, expect, it } from 'vitest';
import { NupkgReader } from '../packages/nupkg-reader.js';
import { buildPackage } from './build-package.js';

describe('a package for tests', () => {
  it('is laid out as nuget pack does it, and always the same', async () => {
    const init = { id: 'A', version: '1.0', files: { 'lib/net8.0/A b.dll': 'x', LICENSE: 'y' } };
    expect(buildPackage(init).equals(buildPackage(init))).toBe(true);
    const reader = await NupkgReader.open(buildPackage(init));
    const relationships = (await reader.read('_rels/.rels')).toString();
    const properties = reader.files().at(-1)?.path ?? '';
    expect(relationships).toContain('Target="/A.nuspec"');
    expect(relationships).toContain(`Target="/${properties}"`);
    expect((await reader.read('[Content_Types].xml')).toString()).toContain('Extension="dll"');
    expect((await reader.read(properties)).toString()).toContain('<version>1.0</version>');
    expect((await reader.read('lib/net8.0/A b.dll')).toString()).toBe('x');
  });

  it('has an assembly and a description when nothing is said', async () => {
    const reader = await NupkgReader.open(buildPackage({ id: 'A', version: '1.0', authors: 'A & B' }));
    expect(reader.has('lib/netstandard2.0/A.dll')).toBe(true);
    expect(await reader.nuspec()).toMatchObject({ authors: ['A & B'], description: 'Package A.' });
  });

  it('may have any nuspec, by any name', async () => {
    const nuspec = '<package><metadata><id>B</id><version>2.0</version></metadata></package>';
    const reader = await NupkgReader.open(buildPackage({ id: 'A', version: '1.0', nuspec, nuspecName: 'C.nuspec' }));
    expect(reader.nuspecPath).toBe('C.nuspec');
    expect(await reader.nuspec()).toMatchObject({ id: 'B' });
  });
});
