import type { SearchOptions } from '@granary/nuget';
import type { PackageInit } from '@granary/nuget/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PackageRecord } from '../feed/package-record.js';
import { HostedCatalog, type View } from './hosted-catalog.js';
import { searchTextOf, words } from './search-text.js';
import { HostedUnderTest } from './testing/hosted-under-test.js';

const ALL: View = { includePrerelease: true, semVer2: true, packageType: undefined, skip: 0, take: 1000 };

async function feedOf(packages: readonly PackageInit[]): Promise<HostedUnderTest> {
  const hosted = await HostedUnderTest.open();
  await Promise.all(packages.map((each) => hosted.push(each)));
  return hosted;
}

/** What the best version of each hit is, and the versions beside it. */
async function shown(hosted: HostedUnderTest, query: string, options: SearchOptions): Promise<readonly string[]> {
  const { value } = await hosted.feed.search(query, options);
  return value.hits.map(({ record, versions }) => {
    return `${record.id} ${record.version} of ${versions.map(({ version }) => version).join(' ')}`;
  });
}

describe('a search of hosted packages', () => {
  const packages: readonly PackageInit[] = [
    { id: 'Json.Net', version: '1.0.0', description: 'Reads and writes.', metadata: { tags: 'serializer fast' } },
    { id: 'Contoso.Json', version: '1.0.0', description: 'Ours.', authors: ['Ann Lee'] },
    { id: 'ContosoXmlJson', version: '1.0.0', description: 'Another one.', metadata: { owners: 'platform-team' } },
    { id: 'Fabrikam', version: '1.0.0', description: 'Made for people.', metadata: { title: 'A json reader' } },
    { id: 'Northwind', version: '1.0.0', description: 'Can do JSON, too.', metadata: { tags: 'web' } },
    { id: 'Tailspin', version: '1.0.0', description: 'Nothing of it.', metadata: { tags: 'json web' } },
    {
      id: 'Wingtip',
      version: '1.2.0',
      description: 'Says öffentlich and 日本語テキスト.',
      metadata: { summary: 'A short one.' },
    },
  ];

  let hosted: HostedUnderTest;
  beforeAll(async () => {
    hosted = await feedOf(packages);
  });
  afterAll(() => hosted[Symbol.asyncDispose]());

  it.each<[string, readonly string[]]>([
    // Ids first, then titles, tags, and everything else; by id among equals.
    ['json', ['Json.Net', 'Contoso.Json', 'ContosoXmlJson', 'Fabrikam', 'Tailspin', 'Northwind']],
    ['JSON.NET', ['Json.Net']],
    ['json net', ['Json.Net']],
    ['contoso json', ['Contoso.Json', 'ContosoXmlJson']],
    ['"json reader"', ['Fabrikam']],
    ['"reader json"', []],
    ['reader json', ['Fabrikam']],
    ['read', ['Fabrikam', 'Json.Net']],
    ['eads', []],
    ['xml', ['ContosoXmlJson']],
    ['ann', ['Contoso.Json']],
    ['platform', ['ContosoXmlJson']],
    ['öffent', ['Wingtip']],
    ['本語', ['Wingtip']],
    ['packageid:contoso.json', ['Contoso.Json']],
    ['PackageId:Contoso.Json packageid:"northwind"', ['Contoso.Json', 'Northwind']],
    ['packageid:contoso', []],
    ['packageid:northwind xml', []],
    ['id:contoso', ['Contoso.Json', 'ContosoXmlJson']],
    ['title:json', ['Fabrikam']],
    ['tag:json', ['Tailspin']],
    ['tags:js', []],
    ['tag:web json', ['Tailspin', 'Northwind']],
    ['author:"ann lee"', ['Contoso.Json']],
    ['authors:an', []],
    ['owner:platform-team', ['ContosoXmlJson']],
    ['owners:platform', ['ContosoXmlJson']],
    ['description:json', ['Northwind']],
    ['summary:short', ['Wingtip']],
    ['version:1.2', ['Wingtip']],
    ['version:x', []],
    ['tag:+', []],
    ['https://json', []],
    ['nothing: of', ['Tailspin']],
    ['"json', ['Json.Net', 'Contoso.Json', 'ContosoXmlJson', 'Fabrikam', 'Tailspin', 'Northwind']],
    ['+', packages.map(({ id }) => id).sort()],
    ['""', packages.map(({ id }) => id).sort()],
    ['  ', packages.map(({ id }) => id).sort()],
    ['', packages.map(({ id }) => id).sort()],
  ])('for %j finds %j', async (query, ids) => {
    const sorted = (list: readonly string[]) => [...list].sort((a, b) => (a.toLowerCase() < b.toLowerCase() ? -1 : 1));
    expect(await hosted.search(query)).toEqual(ids.length === packages.length ? sorted(ids) : ids);
  });

  it('looks at as many words as somebody types, and no more', async () => {
    expect(await hosted.search(`json ${'a '.repeat(31)}nothing-at-all`)).toEqual(
      await hosted.search(`json ${'a '.repeat(31)}`),
    );
  });

  it('gives pages that fit together, and the total', async () => {
    await using hosted = await feedOf(Array.from({ length: 45 }, (_, i) => ({ id: `Contoso.${i}`, version: '1.0.0' })));
    const all = await hosted.search('contoso', { take: 1000 });
    expect(all).toHaveLength(45);
    const pages: string[] = [];
    for (let skip = 0; skip < 60; skip += 7) {
      const { value } = await hosted.feed.search('contoso', { skip, take: 7 });
      expect(value.total).toBe(45);
      pages.push(...value.hits.map(({ record }) => record.id));
    }
    expect(pages).toEqual(all);
    expect(await hosted.search('contoso')).toHaveLength(20);
    expect((await hosted.feed.search('contoso', { take: 0 })).value).toEqual({ total: 45, hits: [] });
    expect(await hosted.search('contoso', { skip: 45 })).toEqual([]);
  });

  it('pages over what fits differently well', async () => {
    const all = await hosted.search('json');
    for (let skip = 0; skip < all.length; skip++)
      expect(await hosted.search('json', { skip, take: 2 })).toEqual(all.slice(skip, skip + 2));
  });

  it('shows the newest version that is wanted, of those that it may show', async () => {
    const versions = ['1.0.0', '1.1.0-beta', '2.0.0+build', '2.1.0-rc.1'];
    await using hosted = await feedOf(versions.map((version) => ({ id: 'A', version })));
    expect(await shown(hosted, '', {})).toEqual(['A 2.0.0+build of 1.0.0 2.0.0+build']);
    expect(await shown(hosted, '', { includePrerelease: true })).toEqual([`A 2.1.0-rc.1 of ${versions.join(' ')}`]);
    expect(await shown(hosted, '', { semVer2: false })).toEqual(['A 1.0.0 of 1.0.0']);
    expect(await shown(hosted, '', { semVer2: false, includePrerelease: true })).toEqual([
      'A 1.1.0-beta of 1.0.0 1.1.0-beta',
    ]);
  });

  it('finds a version by what that version says', async () => {
    await using hosted = await feedOf([
      { id: 'A', version: '1.0.0', description: 'old words' },
      { id: 'A', version: '2.0.0-beta', description: 'new words' },
      { id: 'B', version: '1.0.0', dependencies: [{ id: 'C', version: '1.0.0-a.1' }], description: 'needs SemVer 2' },
      { id: 'C', version: '1.0.0-beta' },
    ]);
    expect(await shown(hosted, 'old', {})).toEqual(['A 1.0.0 of 1.0.0']);
    expect(await shown(hosted, 'new', {})).toEqual([]);
    expect(await shown(hosted, 'new', { includePrerelease: true })).toEqual(['A 2.0.0-beta of 1.0.0 2.0.0-beta']);
    expect(await shown(hosted, 'old', { includePrerelease: true })).toEqual([]);
    expect(await shown(hosted, 'needs', { semVer2: false })).toEqual([]);
    expect(await shown(hosted, 'packageid:c', {})).toEqual([]);
  });

  it('finds packages of a type', async () => {
    await using hosted = await feedOf([
      { id: 'A.Tool', version: '1.0.0', packageTypes: [{ name: 'DotnetTool' }] },
      { id: 'A.Both', version: '1.0.0', packageTypes: [{ name: 'Template' }, { name: 'Dependency' }] },
      { id: 'A.Plain', version: '1.0.0' },
    ]);
    expect(await hosted.search('a', { packageType: 'dotnettool' })).toEqual(['A.Tool']);
    expect(await hosted.search('a', { packageType: 'Dependency' })).toEqual(['A.Both', 'A.Plain']);
    expect(await hosted.search('a', { packageType: 'McpServer' })).toEqual([]);
    expect((await hosted.feed.autocomplete('a.', { packageType: 'Template' })).value).toEqual(['A.Both']);
  });

  it('tells of no downloads', async () => {
    await using hosted = await feedOf([{ id: 'A', version: '1.0.0' }]);
    expect((await hosted.feed.search('', {})).value.hits[0]).toMatchObject({
      totalDownloads: 0,
      verified: false,
      versions: [{ version: '1.0.0', downloads: 0 }],
    });
  });
});

describe('the completion of ids', () => {
  it('gives those that begin so, in order, as they are written', async () => {
    const ids = ['Contoso.B', 'contoso.a', 'Contoso', 'Conto', 'Other.Contoso', 'Contoso.Beta'];
    await using hosted = await feedOf(
      ids.map((id) => ({ id, version: id === 'Contoso.Beta' ? '1.0.0-beta' : '1.0.0' })),
    );
    const complete = async (prefix: string, options: SearchOptions = {}) =>
      (await hosted.feed.autocomplete(prefix, options)).value;
    expect(await complete('CONTOSO')).toEqual(['Contoso', 'contoso.a', 'Contoso.B']);
    expect(await complete('contoso', { includePrerelease: true, skip: 1, take: 3 })).toEqual([
      'contoso.a',
      'Contoso.B',
      'Contoso.Beta',
    ]);
    expect(await complete('contoso.b')).toEqual(['Contoso.B']);
    expect(await complete('')).toEqual(['Conto', 'Contoso', 'contoso.a', 'Contoso.B', 'Other.Contoso']);
    expect(await complete('z')).toEqual([]);
    expect(await complete('', { take: 0 })).toEqual([]);
    await hosted.delete('Contoso', '1.0.0');
    expect(await complete('contoso', { take: 1 })).toEqual(['contoso.a']);
    await hosted.push({ id: 'Contoso.9', version: '1.0.0' });
    expect(await complete('contoso')).toEqual(['Contoso.9', 'contoso.a', 'Contoso.B']);
  });
});

describe('a catalog of many packages', () => {
  const records = Array.from({ length: 20_000 }, (_, i): PackageRecord => {
    const { key, version } = { key: `p${i}`, version: '1.0.0' };
    return { id: key, version, listed: true, authors: [], owners: [], tags: [], dependencyGroups: [] };
  });
  const byKey = new Map(records.map((record) => [`${record.id}/${record.version}`, record]));
  const catalog = new HostedCatalog();
  catalog.put(records, (id, version) => byKey.get(`${id}/${version}`));

  it('lets others have their turn while it searches', async () => {
    let turns = 0;
    const count = () => {
      turns++;
      timer = setImmediate(count);
    };
    let timer = setImmediate(count);
    const { total } = await catalog.search('p1', ALL, undefined);
    clearImmediate(timer);
    expect(total).toBe(11_111);
    expect(turns).toBeGreaterThanOrEqual(3);
  });

  it('stops when nobody waits any more', async () => {
    const leaving = new AbortController();
    const search = catalog.search('p1', ALL, leaving.signal);
    leaving.abort(new Error('gone'));
    await expect(search).rejects.toThrow('gone');
  });
});

describe('the text that is searched', () => {
  it('is words in lower case', () => {
    expect(words('  Json.NET, and "more"! ')).toBe(' json net and more ');
    expect(words('...')).toBe('');
  });

  it('is cut where it is longer than anybody reads', () => {
    const long = 'word '.repeat(10_000);
    const text = searchTextOf({
      id: 'A',
      version: '1.0.0',
      listed: true,
      title: long,
      summary: 'first',
      description: long,
      authors: [long],
      owners: [long, 'b'],
      tags: [long],
      dependencyGroups: [],
    });
    const lengths = Object.values(text).map(({ length }) => length);
    expect(lengths.every((length) => length <= 2002)).toBe(true);
    expect(lengths.reduce((sum, length) => sum + length)).toBeLessThan(4300);
    expect(text.prose.startsWith(' first word ')).toBe(true);
  });
});
