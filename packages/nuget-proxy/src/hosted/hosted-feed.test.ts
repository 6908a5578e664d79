import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isNuGetError, NupkgReader } from '@granary/nuget';
import { buildPackage } from '@granary/nuget/testing';
import { describe, expect, it } from 'vitest';
import { bytesOf } from '../packages/testing/store-under-test.js';
import { HostedFeed } from './hosted-feed.js';
import { HostedUnderTest, identity, refusal, storeWith } from './testing/hosted-under-test.js';

const A = { id: 'Contoso.A', version: '1.0.0' };

describe('a package that is pushed', () => {
  it('brings its icon and its readme along', async () => {
    await using hosted = await HostedUnderTest.open();
    const png = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');
    const metadata = { icon: 'images/icon.png', iconUrl: 'https://a.test/old.png', readme: 'README.md' };
    await hosted.push(buildPackage({ ...A, metadata, files: { 'images/icon.png': png, 'README.md': '# A' } }));
    await hosted.push(buildPackage({ ...A, version: '2.0.0', metadata: { iconUrl: 'https://a.test/old.png' } }));
    const { feed } = hosted;
    expect((await feed.embedded(identity('contoso.a', '1.0.0'), 'icon'))?.value).toEqual(png);
    expect(String((await feed.embedded(identity('contoso.a', '1.0.0'), 'readme'))?.value)).toBe('# A');
    expect(await feed.embedded(identity('contoso.a', '2.0.0'), 'icon')).toBeUndefined();
    expect(await feed.embedded(identity('contoso.a', '3.0.0'), 'icon')).toBeUndefined();
    const records = await feed.records('Contoso.A');
    expect(records?.value.map(({ iconUrl }) => iconUrl)).toEqual(['', 'https://a.test/old.png']);
  });

  it('is there in every form, byte for byte', async () => {
    await using hosted = await HostedUnderTest.open();
    const bytes = buildPackage({
      id: 'Contoso.A',
      version: '1.02.0-Beta.1+Build.7',
      authors: ['Ann', 'Bob'],
      description: 'What A does.',
      license: { type: 'expression', value: 'MIT' },
      minClientVersion: '4.3',
      metadata: { title: 'A', tags: 'one two', projectUrl: 'https://a.test/', releaseNotes: 'New.', owners: 'Contoso' },
      packageTypes: [{ name: 'DotnetTool' }],
      dependencyGroups: [
        { targetFramework: 'net8.0', dependencies: [{ id: 'B', version: '[1.0, 2.0)' }] },
        { dependencies: [{ id: 'C' }] },
      ],
    });
    await hosted.push(bytes);

    expect(await hosted.versions('contoso.a')).toEqual(['1.2.0-beta.1']);
    const content = await hosted.feed.package(identity('CONTOSO.A', '1.2-beta.1'));
    expect(content).toMatchObject({ state: 'hit', size: bytes.length });
    expect(await bytesOf(content?.open() as NonNullable<ReturnType<NonNullable<typeof content>['open']>>)).toEqual(
      bytes,
    );

    const reader = await NupkgReader.open(bytes);
    const nuspec = await hosted.feed.nuspec(identity('Contoso.A', '1.2.0-beta.1'));
    expect(nuspec).toEqual({ value: await reader.nuspecBytes(), state: 'hit', asOf: hosted.t.time.clock() });
    const records = await hosted.feed.records('Contoso.A');
    expect(records?.state).toBe('hit');
    expect(records?.value).toEqual([
      {
        id: 'Contoso.A',
        version: '1.2.0-Beta.1+Build.7',
        listed: true,
        published: '2026-01-01T00:00:00.000Z',
        title: 'A',
        description: 'What A does.',
        releaseNotes: 'New.',
        authors: ['Ann', 'Bob'],
        owners: ['Contoso'],
        tags: ['one', 'two'],
        projectUrl: 'https://a.test/',
        licenseExpression: 'MIT',
        requireLicenseAcceptance: false,
        minClientVersion: '4.3',
        downloads: 0,
        packageSize: bytes.length,
        packageHash: { algorithm: 'SHA512', value: await reader.packageHash() },
        packageTypes: ['DotnetTool'],
        dependencyGroups: [
          { targetFramework: 'net8.0', dependencies: [{ id: 'B', range: '[1.0.0, 2.0.0)' }] },
          { dependencies: [{ id: 'C', range: '(, )' }] },
        ],
      },
    ]);
    expect(hosted.feed.stats).toEqual({ packages: 1, versions: 1 });
    expect(hosted.logs).toEqual([`information: Contoso.A 1.2.0-Beta.1+Build.7 was pushed: ${bytes.length} bytes`]);
  });

  it('is one of several versions, in the order of versions', async () => {
    await using hosted = await HostedUnderTest.open();
    for (const version of ['10.0.0', '2.0.0', '2.0.0-rc.10', '2.0.0-rc.9', '1.0.0.1', '1.0.0'])
      await hosted.push({ id: version === '2.0.0' ? 'contoso.a' : 'Contoso.A', version });
    const ordered = ['1.0.0', '1.0.0.1', '2.0.0-rc.9', '2.0.0-rc.10', '2.0.0', '10.0.0'];
    expect(await hosted.versions('CONTOSO.a')).toEqual(ordered);
    const records = await hosted.feed.records('contoso.A');
    expect(records?.value.map(({ version }) => version)).toEqual(ordered);
    expect(records?.value.find(({ version }) => version === '2.0.0')?.id).toBe('contoso.a');
  });

  it('and those that are not there are told apart', async () => {
    await using hosted = await HostedUnderTest.open();
    await hosted.push(A);
    const { feed } = hosted;
    for (const known of [
      await feed.versions('Contoso'),
      await feed.records('Contoso'),
      await feed.package(identity('Contoso', '1.0.0')),
      await feed.package(identity('Contoso.A', '2.0.0')),
      await feed.nuspec(identity('Contoso.A', '2.0.0')),
      await feed.vulnerabilities(),
    ])
      expect(known).toBeUndefined();
  });

  it('gives the same lists until something changes, so that what is made of them can be kept', async () => {
    await using hosted = await HostedUnderTest.open();
    await hosted.push(A);
    await hosted.push({ id: 'Contoso.B', version: '1.0.0' });
    const lists = async () => [
      (await hosted.feed.versions('Contoso.A'))?.value,
      (await hosted.feed.records('Contoso.A'))?.value,
    ];
    const before = await lists();
    await hosted.push({ id: 'Contoso.C', version: '1.0.0' });
    await hosted.delete('Contoso.B', '1.0.0');
    const same = await lists();
    expect([same[0] === before[0], same[1] === before[1]]).toEqual([true, true]);
    await hosted.push({ ...A, version: '2.0.0' });
    const after = await lists();
    expect(after[0]).toHaveLength(2);
    expect(after[1]).toHaveLength(2);
  });
});

describe('a version that is there', () => {
  it.each(['1.0.0', '1.0', '01.00.0.0', '1.0.0+other'])('is a conflict when it is pushed as %s', async (version) => {
    await using hosted = await HostedUnderTest.open();
    await hosted.push({ ...A, files: { 'lib/net8.0/first.dll': 'first' } });
    const first = await hosted.bytes('Contoso.A', '1.0.0');
    expect(await refusal(hosted.push({ id: 'contoso.a', version, files: { 'lib/net8.0/second.dll': 'second' } }))).toBe(
      'CONFLICT: Contoso.A 1.0.0 is here already: versions never change',
    );
    expect(await hosted.bytes('Contoso.A', '1.0.0')).toEqual(first);
    expect(await hosted.versions('Contoso.A')).toEqual(['1.0.0']);
  });

  it('is a conflict by the case of its labels, too, and when it is not listed', async () => {
    await using hosted = await HostedUnderTest.open();
    await hosted.push({ ...A, version: '1.0.0-Beta' });
    await hosted.delete('Contoso.A', '1.0.0-beta');
    expect(await refusal(hosted.push({ ...A, version: '1.0.0-BETA' }))).toBe(
      'CONFLICT: Contoso.A 1.0.0-Beta is here already, unlisted: versions never change',
    );
  });

  it('is taken once of many that are pushed at the same time', async () => {
    await using hosted = await HostedUnderTest.open();
    const versions = ['1.0', '1.0.0', '1.0.0.0', '1.0.0+a', '1.0.0+b'];
    const pushes = Array.from({ length: 25 }, (_, i) =>
      buildPackage({ id: i % 2 ? 'Contoso.A' : 'contoso.a', version: versions[i % 5] as string, description: `${i}` }),
    );
    const outcomes = await Promise.all(
      pushes.map((bytes) =>
        hosted.push(bytes).then(
          () => bytes,
          (error: unknown) => (isNuGetError(error) ? error.code : error),
        ),
      ),
    );
    expect(outcomes.filter((outcome) => outcome === 'CONFLICT')).toHaveLength(24);
    const taken = outcomes.find((outcome) => outcome !== 'CONFLICT');
    expect(await hosted.bytes('Contoso.A', '1.0.0')).toEqual(taken);
    expect(hosted.feed.stats).toEqual({ packages: 1, versions: 1 });
  });

  it('stands beside others that are pushed at the same time', async () => {
    await using hosted = await HostedUnderTest.open();
    const all = Array.from({ length: 25 }, (_, i) => ({ id: `Contoso.${i % 5}`, version: `1.${i}.0` }));
    await Promise.all(all.map((each) => hosted.push(each)));
    expect(hosted.feed.stats).toEqual({ packages: 5, versions: 25 });
    for (const each of all) expect(await hosted.bytes(each.id, each.version)).toEqual(buildPackage(each));
    expect(await hosted.versions('contoso.3')).toEqual(['1.3.0', '1.8.0', '1.13.0', '1.18.0', '1.23.0']);
  });

  it('that was lost from the disk is said to be gone, and taken again as it was', async () => {
    const logs = /bytes of Contoso.A 1.0.0 are gone/;
    await using hosted = await HostedUnderTest.open({ stores: { disk: { smallBlobBytes: 0 } } });
    const bytes = buildPackage({ ...A, files: { 'a.bin': randomBytes(100_000) } });
    await hosted.push(bytes);
    await hosted.feed.close();
    await hosted.t.store.remove('(hosted)', identity('Contoso.A', '1.0.0'));
    await hosted.restart();

    await expect(hosted.feed.package(identity('Contoso.A', '1.0.0'))).rejects.toMatchObject({
      code: 'FEED_UNAVAILABLE',
      message: expect.stringMatching(logs),
    });
    await expect(hosted.feed.nuspec(identity('Contoso.A', '1.0.0'))).rejects.toMatchObject({
      code: 'FEED_UNAVAILABLE',
    });
    expect(hosted.logs.join('\n')).toMatch(logs);
    expect(await refusal(hosted.push(A))).toMatch(/^CONFLICT/);
    await hosted.push(bytes);
    expect(await hosted.bytes('Contoso.A', '1.0.0')).toEqual(bytes);
    expect(await refusal(hosted.push(bytes))).toMatch(/^CONFLICT/);
  });
});

describe('a version that is deleted', () => {
  it('is not shown any more, and can be had by who knows it, until it is listed again', async () => {
    await using hosted = await HostedUnderTest.open();
    await hosted.push(A);
    await hosted.push({ ...A, version: '2.0.0' });
    expect(await hosted.delete('contoso.a', '2.0')).toBe(true);
    const check = async () => {
      expect(await hosted.versions('Contoso.A')).toEqual(['1.0.0', '2.0.0']);
      const { value } = await hosted.feed.search('contoso.a', {});
      expect(value).toMatchObject({
        total: 1,
        hits: [{ record: { version: '1.0.0' }, versions: [{ version: '1.0.0' }] }],
      });
      expect((await hosted.feed.records('Contoso.A'))?.value.map(({ listed }) => listed)).toEqual([true, false]);
      expect(await hosted.bytes('Contoso.A', '2.0.0')).toEqual(buildPackage({ ...A, version: '2.0.0' }));
    };
    await check();
    await hosted.restart();
    await check();
    expect(await hosted.delete('Contoso.A', '1.0.0')).toBe(true);
    expect(await hosted.search('contoso')).toEqual([]);
    expect((await hosted.feed.autocomplete('contoso', {})).value).toEqual([]);
    expect(await hosted.relist('CONTOSO.A', '2.0.0')).toBe(true);
    expect((await hosted.feed.search('contoso', {})).value.hits[0]).toMatchObject({ versions: [{ version: '2.0.0' }] });
    expect((await hosted.feed.records('Contoso.A'))?.value.map(({ listed }) => listed)).toEqual([false, true]);
  });

  it('may be deleted and listed again as often as one likes, and one that is not there is told', async () => {
    await using hosted = await HostedUnderTest.open();
    await hosted.push(A);
    const outcomes = [
      await hosted.delete('Contoso.A', '1.0.0'),
      await hosted.delete('Contoso.A', '1.0.0'),
      await hosted.relist('Contoso.A', '1.0.0'),
      await hosted.relist('Contoso.A', '1.0.0'),
      await hosted.delete('Contoso.A', '1.0.1'),
      await hosted.relist('Contoso.B', '1.0.0'),
    ];
    expect(outcomes).toEqual([true, true, true, true, false, false]);
    expect(hosted.logs.slice(1)).toEqual([
      'information: Contoso.A 1.0.0 was unlisted',
      'information: Contoso.A 1.0.0 was listed',
    ]);
  });

  it('is what the last one said who asked at the same time', async () => {
    await using hosted = await HostedUnderTest.open();
    await hosted.push(A);
    const changes = Array.from({ length: 9 }, (_, i) => (i % 2 === 0 ? hosted.delete : hosted.relist));
    await Promise.all(changes.map((change) => change.call(hosted, 'Contoso.A', '1.0.0')));
    expect(await hosted.search('')).toEqual([]);
    await hosted.restart();
    expect(await hosted.search('')).toEqual([]);
  });
});

describe('a hosted feed', () => {
  it('has everything after a restart', async () => {
    await using hosted = await HostedUnderTest.open();
    const all = Array.from({ length: 450 }, (_, i) => ({
      id: `Contoso.${i % 100}`,
      version: `1.${i}.0`,
      description: `package ${i}`,
    }));
    for (let i = 0; i < all.length; i += 50) await Promise.all(all.slice(i, i + 50).map((each) => hosted.push(each)));
    const before = await hosted.feed.records('Contoso.42');
    await hosted.restart();
    expect(hosted.feed.stats).toEqual({ packages: 100, versions: 450 });
    expect((await hosted.feed.records('Contoso.42'))?.value).toEqual(before?.value);
    expect(await hosted.bytes('Contoso.99', '1.399.0')).toBeDefined();
    expect(await hosted.search('"package 442"')).toEqual(['Contoso.42']);
  });

  it('keeps its packages whatever else needs room', async () => {
    const disk = { maxBytes: 4 * 1024 * 1024, minAgeMs: 0, spaceWaitMs: 10_000 };
    await using hosted = await HostedUnderTest.open({ stores: { disk } });
    const mine = buildPackage({ ...A, files: { 'a.bin': randomBytes(300_000) } });
    await hosted.push(mine);
    const press = async () => {
      for (let i = 0; i < 10; i++) {
        const other = buildPackage({ id: `Other.${i}`, version: '1.0.0', files: { 'a.bin': randomBytes(600_000) } });
        const path = join(hosted.t.folder, 'other');
        await writeFile(path, other);
        await hosted.t.store.adopt('feed', identity(`Other.${i}`, '1.0.0'), path);
      }
      expect(await hosted.t.store.find('feed', identity('Other.0', '1.0.0'))).toBeUndefined();
    };
    await press();
    await hosted.restart();
    await press();
    expect(await hosted.bytes('Contoso.A', '1.0.0')).toEqual(mine);
  });

  it('is not what a source of the same name has', async () => {
    await using hosted = await HostedUnderTest.open({ name: 'team' });
    expect(hosted.feed.name).toBe('team');
    await hosted.push(A);
    expect(await hosted.t.store.find('team', identity('Contoso.A', '1.0.0'))).toBeUndefined();
    await hosted.restart({ name: 'hosted' });
    expect(await hosted.bytes('Contoso.A', '1.0.0')).toEqual(buildPackage(A));
  });

  it('waits for what is being pushed when it is closed, and takes and tells nothing after that', async () => {
    await using hosted = await HostedUnderTest.open();
    const pushes = [hosted.push(A), hosted.push({ ...A, version: '2.0.0' })];
    const outcomes = Promise.allSettled(pushes);
    await hosted.feed.close();
    await hosted.feed.close();
    const closed = { code: 'CLOSED' };
    await expect(hosted.push({ ...A, version: '3.0.0' })).rejects.toMatchObject(closed);
    await expect(hosted.delete('Contoso.A', '1.0.0')).rejects.toMatchObject(closed);
    await expect(hosted.feed.versions('Contoso.A')).rejects.toMatchObject(closed);
    await expect(hosted.feed.search('', {})).rejects.toMatchObject(closed);
    const taken = (await outcomes).filter(({ status }) => status === 'fulfilled').length;
    await hosted.restart();
    expect(hosted.feed.stats.versions).toBe(taken);
  });

  it('lets a client go that waits for another one that pushes the same', async () => {
    let goOn = () => {};
    const held = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    let adopting = () => {};
    const begun = new Promise<void>((resolve) => {
      adopting = resolve;
    });
    await using hosted = await HostedUnderTest.open({
      wrap: (store) =>
        storeWith(store, {
          adopt: async (...args) => {
            adopting();
            await held;
            return store.adopt(...args);
          },
        }),
    });
    const first = hosted.push(A);
    await begun;
    expect(await hosted.versions('Contoso.A')).toBeUndefined();
    expect(await hosted.feed.package(identity('Contoso.A', '1.0.0'))).toBeUndefined();
    const leaving = new AbortController();
    const second = hosted.push({ ...A, description: 'another' }, leaving.signal);
    const third = hosted.push({ ...A, description: 'a third' });
    leaving.abort(new Error('gone'));
    const outcomes = Promise.allSettled([second, third]);
    goOn();
    await first;
    expect(await outcomes).toMatchObject([{ reason: { message: 'gone' } }, { reason: { code: 'CONFLICT' } }]);
  });
});

describe('the folder of a hosted feed', () => {
  it('is used by one at a time', async () => {
    await using hosted = await HostedUnderTest.open();
    const options = { directory: hosted.directory, store: hosted.t.store };
    await expect(HostedFeed.open(options)).rejects.toMatchObject({ code: 'LAYER_UNAVAILABLE' });
    await expect(HostedFeed.open({ ...options, maxVersions: 0 })).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    await hosted.feed.close();
    rmSync(hosted.directory, { recursive: true });
    await using feed = await HostedFeed.open(options);
    expect(feed.stats).toEqual({ packages: 0, versions: 0 });
  });
});
