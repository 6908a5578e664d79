import { buildNuspec, buildPackage, writeZip } from '@granary/nuget/testing';
import { describe, expect, it } from 'vitest';
import { HostedUnderTest, identity, refusal } from './testing/hosted-under-test.js';

const A = { id: 'Contoso.A', version: '1.0.0' };

describe('what is pushed and is no package', () => {
  const huge = { id: 'Contoso.A', version: `1.0.0-${'x'.repeat(130)}` };
  const broken = buildPackage({ ...A, files: { 'a.txt': 'some text that is stored' }, zip: {} });

  it.each<[string, Buffer, RegExp]>([
    ['text', Buffer.from('<html>'), /^INVALID_PACKAGE: .*ZIP/],
    ['nothing', Buffer.alloc(0), /^INVALID_PACKAGE: .*ZIP/],
    ['the beginning of a package', broken.subarray(0, broken.length - 30), /^INVALID_PACKAGE: .*ZIP/],
    ['an archive without a nuspec', writeZip([{ name: 'a.txt', data: 'a' }]), /^INVALID_PACKAGE: .*no nuspec/],
    [
      'a package with two nuspecs',
      buildPackage({ ...A, files: { 'b.nuspec': buildNuspec(A) } }),
      /^INVALID_PACKAGE: .*several nuspecs/,
    ],
    ['one whose nuspec is no XML', buildPackage({ ...A, nuspec: '<package' }), /^INVALID_PACKAGE/],
    [
      'one with an id that is none',
      buildPackage({ id: '../evil', version: '1.0.0', nuspecName: 'a.nuspec' }),
      /^INVALID_PACKAGE: .*id/,
    ],
    [
      'one with a version that is none',
      buildPackage({ id: 'Contoso.A', version: '1.x' }),
      /^INVALID_PACKAGE: .*version/,
    ],
    [
      'one with a version that is too long',
      buildPackage(huge),
      /^INVALID_PACKAGE: version 1.0.0-x+… of Contoso.A has more than 128 characters/,
    ],
    [
      'one with a file that leads out of it',
      buildPackage({ ...A, entries: [{ name: '../evil.dll', data: 'evil' }] }),
      /^INVALID_PACKAGE/,
    ],
    [
      'symbols',
      buildPackage({ ...A, packageTypes: [{ name: 'SymbolsPackage' }] }),
      /^INVALID_PACKAGE: Contoso.A 1.0.0 is a symbols package, and this feed takes none: push the package itself \(.nupkg\)$/,
    ],
    [
      'rules for content files that make no sense',
      buildPackage({ ...A, nuspec: buildNuspec(A).replace('</id>', '</id><contentFiles><files/></contentFiles>') }),
      /^INVALID_PACKAGE: Contoso.A 1.0.0: the nuspec has <files> in <contentFiles> that say nothing to include$/,
    ],
  ])('%s is refused', async (_, bytes, why) => {
    await using hosted = await HostedUnderTest.open();
    expect(await refusal(hosted.push(bytes))).toMatch(why);
    await expectNothingOf(hosted);
  });

  it('is refused when a file in it is not what the directory says', async () => {
    await using hosted = await HostedUnderTest.open();
    const bytes = buildPackage({ ...A, entries: [{ name: 'a.txt', data: 'content of a file', method: 'store' }] });
    bytes.write('CONTENT', bytes.indexOf('content of a file'));
    expect(await refusal(hosted.push(bytes))).toMatch(/^INVALID_PACKAGE/);
    await expectNothingOf(hosted);
  });

  it('is refused when there is more in it than there may be', async () => {
    await using hosted = await HostedUnderTest.open({ limits: { maxEntryBytes: 1000 } });
    expect(await refusal(hosted.push({ ...A, files: { 'a.txt': 'a'.repeat(1001) } }))).toMatch(/^LIMIT/);
    await expectNothingOf(hosted);
  });

  it('is refused when its nuspec is longer than any that people write', async () => {
    await using hosted = await HostedUnderTest.open();
    expect(await refusal(hosted.push({ ...A, metadata: { releaseNotes: 'long '.repeat(210_000) } }))).toMatch(/^LIMIT/);
    await expectNothingOf(hosted);
  });

  it('is refused when the feed is full', async () => {
    await using hosted = await HostedUnderTest.open({ maxVersions: 2 });
    await hosted.push(A);
    await hosted.push({ ...A, version: '2.0.0' });
    expect(await refusal(hosted.push({ ...A, version: '3.0.0' }))).toBe(
      'LIMIT: the feed has 2 packages and takes no more',
    );
    expect(await refusal(hosted.push(A))).toMatch(/^CONFLICT/);
  });
});

async function expectNothingOf(hosted: HostedUnderTest): Promise<void> {
  expect(hosted.feed.stats).toEqual({ packages: 0, versions: 0 });
  expect(await hosted.search('', { includePrerelease: true })).toEqual([]);
  expect(await hosted.t.store.find('(hosted)', identity('Contoso.A', '1.0.0'))).toBeUndefined();
  expect(hosted.t.kept.stats).toEqual({ packages: 0, bytes: 0 });
  expect(hosted.t.incoming()).toEqual([]);
  await hosted.restart();
  expect(hosted.feed.stats).toEqual({ packages: 0, versions: 0 });
  await hosted.push(A);
}
