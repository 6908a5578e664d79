import { describe, expect, it } from 'vitest';
import { FeedUnavailableError } from '../../errors.js';
import { record } from '../../http/testing/memory-feed.js';
import { TestServer } from '../../http/testing/test-server.js';
import { SearchFeed } from '../testing/search-feed.js';
import { pageAt, pagesAt } from '../testing/v2-feed.js';

async function serving(...names: readonly string[]) {
  const feed = new SearchFeed();
  for (const name of names) {
    const [id = '', version = ''] = name.split(' ');
    feed.add(record(id, version, { listed: !name.endsWith('unlisted') }));
  }
  const server = await TestServer.start({ all: feed });
  return { feed, server, packages: async (path: string) => (await pageAt(server, path)).packages };
}

describe('FindPackagesById()', () => {
  const names = ['A 1.0.0', 'A 1.5.0-beta', 'A 2.0.0', 'A 3.0.0-beta', 'A 4.0.0-rc.1', 'A 5.0.0 unlisted', 'B 1.0.0'];

  it('gives all versions that the client understands, unlisted ones too', async () => {
    const { server, packages } = await serving(...names);
    await using _ = server;
    const old = ['A 1.0.0', 'A 1.5.0-beta', 'A 2.0.0', 'A 3.0.0-beta', 'A 5.0.0'];
    expect(await packages("FindPackagesById()?id='A'")).toEqual(old);
    expect(await packages("FindPackagesById()?id='a'&semVerLevel=2.0.0")).toEqual([
      ...old.slice(0, 4),
      'A 4.0.0-rc.1',
      'A 5.0.0',
    ]);
  });

  it.each(["FindPackagesById(id='A')", 'findpackagesbyid?id=A', 'FindPackagesById()?id=%27A%27'])(
    'is asked as %s',
    async (path) => {
      const { server, packages } = await serving('A 1.0.0');
      await using _ = server;
      expect(await packages(path)).toEqual(['A 1.0.0']);
    },
  );

  it.each(['no', "it''s", ' '])('gives nothing for what is not there: %j', async (id) => {
    const { server, packages } = await serving('A 1.0.0');
    await using _ = server;
    expect(await packages(`FindPackagesById()?id='${id}'`)).toEqual([]);
  });

  it.each([
    ['IsLatestVersion', ['A 2.0.0']],
    ['IsAbsoluteLatestVersion', ['A 3.0.0-beta']],
    ["Version eq '1.0'", ['A 1.0.0']],
    ['Listed eq false', ['A 5.0.0']],
    ["Published lt datetime'1901-01-01'", ['A 5.0.0']],
  ])('takes a filter: %s', async (filter, expected) => {
    const { server, packages } = await serving(...names);
    await using _ = server;
    expect(await packages(`FindPackagesById()?$filter=${filter}&id='A'`)).toEqual(expected);
  });

  it('knows which versions are the newest ones for the client', async () => {
    const { server, packages } = await serving(...names);
    await using _ = server;
    const path = "FindPackagesById()?$filter=IsAbsoluteLatestVersion&id='A'&semVerLevel=2.0.0";
    expect(await packages(path)).toEqual(['A 4.0.0-rc.1']);
  });

  it('takes the newest as nuget.exe asks for it', async () => {
    const { server, packages } = await serving(...names);
    await using _ = server;
    const path = "FindPackagesById()?$filter=IsLatestVersion&$orderby=Version desc&$top=1&id='A'";
    expect(await packages(path)).toEqual(['A 2.0.0']);
  });

  it('counts', async () => {
    const { server } = await serving(...names);
    await using _ = server;
    const count = async (more: string) => {
      const { headers, body } = await server.ask(`/nuget/v2/FindPackagesById()/$count?id='A'${more}`);
      expect(headers['content-type']).toBe('text/plain;charset=utf-8');
      return body.toString();
    };
    expect(await count('')).toBe('5');
    expect(await count('&$skip=1')).toBe('4');
    expect(await count('&$skip=1&$top=2')).toBe('2');
    expect(await count('&$skip=9')).toBe('0');
    expect((await pageAt(server, "FindPackagesById()?id='A'&$inlinecount=allpages&$top=1")).count).toBe(5);
    expect((await pageAt(server, "FindPackagesById()?id='A'&$count=true")).count).toBe(5);
    expect((await pageAt(server, "FindPackagesById()?id='A'&$inlinecount=none")).count).toBeUndefined();
  });

  it('is made once for the same answer of the feed', async () => {
    const { server, feed, packages } = await serving('A 1.0.0');
    await using _ = server;
    const path = "FindPackagesById()?id='A'";
    expect(await packages(path)).toEqual(['A 1.0.0']);
    feed.add(record('A', '2.0.0'));
    expect(await packages(path)).toEqual(['A 1.0.0', 'A 2.0.0']);
  });
});

describe('Packages()', () => {
  const names = ['A 1.0.0', 'A 2.0.0', 'B 1.0.0', 'B 2.0.0-beta', 'C.Json 1.0.0', 'D 1.0.0 unlisted'];

  it.each([
    ["tolower(Id) eq 'a'", ['A 1.0.0', 'A 2.0.0']],
    ["Id eq 'A' and Version eq '1.0'", ['A 1.0.0']],
    ["((tolower(Id) eq 'a') or (tolower(Id) eq 'b')) and IsLatestVersion", ['A 2.0.0', 'B 1.0.0']],
    ["Id eq 'D'", ['D 1.0.0']],
    ["Id eq 'no' or Id eq 'it''s'", []],
  ])('by ids asks for these alone: %s', async (filter, expected) => {
    const { server, feed, packages } = await serving(...names);
    await using _ = server;
    expect(await packages(`Packages()?$filter=${filter}`)).toEqual(expected);
    expect(feed.searches).toEqual([]);
  });

  it('takes the ids of all packages of a large solution', async () => {
    const { server, packages } = await serving(...names);
    await using _ = server;
    const ids = Array.from({ length: 130 }, (_, index) => `(tolower(Id) eq 'p${index}')`);
    const filter = [...ids, "(tolower(Id) eq 'b')"].join(' or ');
    expect(await packages(`Packages()?$filter=(${filter}) and IsAbsoluteLatestVersion`)).toEqual(['B 2.0.0-beta']);
  });

  it('asks for more than a few ids at a time, but not for all at once', async () => {
    const { server, feed } = await serving();
    await using _ = server;
    const ids = Array.from({ length: 30 }, (_, index) => `Id eq 'P${index}'`);
    let active = 0;
    let most = 0;
    const records = feed.records.bind(feed);
    feed.records = async (id, call) => {
      most = Math.max(most, ++active);
      await new Promise(setImmediate);
      active -= 1;
      return records(id, call);
    };
    await pageAt(server, `Packages()?$filter=${ids.join(' or ')}`);
    expect([feed.asked.length, most]).toEqual([30, 8]);
  });

  it('is as old as the oldest part of it', async () => {
    const { server, feed } = await serving('A 1.0.0', 'B 1.0.0');
    await using _ = server;
    const records = feed.records.bind(feed);
    feed.records = async (id, call) => {
      const answer = await records(id, call);
      return (
        answer && { ...answer, state: id === 'a' ? 'stale' : 'revalidated', asOf: Date.now() - (id === 'a' ? 5500 : 0) }
      );
    };
    const { headers } = await server.ask(
      "/nuget/v2/Packages()?$filter=Id%20eq%20'A'%20or%20Id%20eq%20'B'%20or%20Id%20eq%20'C'",
    );
    expect([headers['x-cache'], headers['age']]).toEqual(['stale', '5']);
  });

  it('without ids gives what is listed', async () => {
    const { server, packages } = await serving(...names);
    await using _ = server;
    expect(await packages('Packages')).toEqual(['A 1.0.0', 'A 2.0.0', 'B 1.0.0', 'B 2.0.0-beta', 'C.Json 1.0.0']);
    expect(await packages('Packages()?$filter=IsAbsoluteLatestVersion&$orderby=Id desc')).toEqual([
      'C.Json 1.0.0',
      'B 2.0.0-beta',
      'A 2.0.0',
    ]);
    expect(await packages('Packages()?$filter=IsLatestVersion')).toEqual(['A 2.0.0', 'B 1.0.0', 'C.Json 1.0.0']);
    expect(await packages('Packages()?$filter=IsPrerelease')).toEqual(['B 2.0.0-beta']);
    expect(await packages("Packages()?$filter=Id gt 'a'&$top=2&$skip=1&$orderby=Id,Version desc")).toEqual([
      'B 1.0.0',
      'C.Json 1.0.0',
    ]);
  });

  it('searches for the word that old clients filter by', async () => {
    const { server, feed, packages } = await serving(...names);
    await using _ = server;
    const filter =
      "((Id ne null) and substringof('json',tolower(Id))) or ((Tags ne null) and substringof(' json ',Tags))";
    expect(await packages(`Packages()?$filter=(${filter}) and IsLatestVersion`)).toEqual(['C.Json 1.0.0']);
    expect(feed.searches[0]).toMatchObject({ query: 'json', options: { includePrerelease: false } });
    await packages("Packages()?$filter=substringof('a',Id) or substringof('b',Id)");
    expect(feed.searches.at(-1)?.query).toBe('');
  });
});

describe('Search()', () => {
  const names = [
    'A 1.0.0',
    'A 2.0.0',
    'A 3.0.0-beta',
    'A 4.0.0-rc.1',
    'B 1.0.0-beta',
    'C 1.0.0 unlisted',
    'D 1.0.0-rc.1',
  ];

  it.each([
    ['$filter=IsLatestVersion&includePrerelease=false', ['A 2.0.0']],
    ['$filter=IsAbsoluteLatestVersion&includePrerelease=true', ['A 3.0.0-beta', 'B 1.0.0-beta']],
    [
      '$filter=IsAbsoluteLatestVersion&includePrerelease=true&semVerLevel=2.0.0',
      ['A 4.0.0-rc.1', 'B 1.0.0-beta', 'D 1.0.0-rc.1'],
    ],
    ['$filter=IsLatestVersion&includePrerelease=true', ['A 2.0.0']],
    ['$filter=IsAbsoluteLatestVersion&includePrerelease=false', []],
    ['includePrerelease=false', ['A 1.0.0', 'A 2.0.0']],
    ['includePrerelease=true', ['A 1.0.0', 'A 2.0.0', 'A 3.0.0-beta', 'B 1.0.0-beta']],
    ['$filter=IsPrerelease&includePrerelease=true&$orderby=Id desc', ['B 1.0.0-beta', 'A 3.0.0-beta']],
  ])('gives what is asked for: %s', async (query, expected) => {
    for (const knowsSemVer2 of [true, false]) {
      const { server, feed, packages } = await serving(...names);
      await using _ = server;
      feed.knowsSemVer2 = knowsSemVer2;
      expect(await packages(`Search()?searchTerm=''&targetFramework=''&${query}`)).toEqual(expected);
    }
  });

  it('hands on what is searched for', async () => {
    const { server, feed, packages } = await serving('It.s 1.0.0');
    await using _ = server;
    await packages(
      "Search()?searchTerm='it''s%20%26%20c%2B%2B'&targetFramework='net45|.NETFramework,Version=v4.0|bogus|'&includePrerelease=true&semVerLevel=2.0.0",
    );
    expect(feed.searches).toEqual([
      {
        query: "it's & c++",
        options: {
          includePrerelease: true,
          semVer2: true,
          skip: 0,
          take: 100,
          supportedFrameworks: ['net45', 'net40'],
        },
      },
    ]);
    expect((await server.recorded(1))[0]).toMatchObject({ service: 'search' });
  });

  it.each([
    "Search(searchTerm='it''s',targetFramework='',includePrerelease=true)?semVerLevel=2.0.0",
    "search()?SEARCHTERM='it''s'&includeprerelease=True&SEMVERLEVEL=2.0.0",
  ])('takes its parameters from the path, too, and with any case: %s', async (path) => {
    const { server, feed, packages } = await serving('It.s 1.0.0');
    await using _ = server;
    await packages(path);
    expect(feed.searches).toMatchObject([{ query: "it's", options: { includePrerelease: true, semVer2: true } }]);
  });

  it('has what installing needs, which searches do not say', async () => {
    const { server, feed } = await serving();
    await using _ = server;
    feed.add(record('A', '1.0.0', { dependencyGroups: [{ dependencies: [{ id: 'B', range: '[1.0.0, )' }] }] }));
    const { text } = await pageAt(server, "Search()?searchTerm='a'&$filter=IsLatestVersion");
    expect(text).toContain('<d:Dependencies>B:[1.0.0, )</d:Dependencies>');
    expect(text).toContain('<d:DownloadCount m:type="Edm.Int32">10</d:DownloadCount>');
  });

  it('is as old as the oldest of what is told of its packages', async () => {
    const { server, feed } = await serving('A 1.0.0', 'B 1.0.0');
    await using _ = server;
    const records = feed.records.bind(feed);
    feed.records = async (id, call) => {
      const answer = await records(id, call);
      return answer && (id === 'A' ? { ...answer, state: 'stale', asOf: Date.now() - 5500 } : answer);
    };
    feed.asOf = Date.now();
    const { headers } = await server.ask('/nuget/v2/Search()?$filter=IsLatestVersion');
    expect([headers['x-cache'], headers['age']]).toEqual(['stale', '5']);
  });

  it('shows what the search says when nobody tells more', async () => {
    const { server, feed, packages } = await serving('A 1.0.0');
    await using _ = server;
    feed.records = async () => {
      throw new FeedUnavailableError('up', 'gone');
    };
    expect(await packages("Search()?searchTerm='a'&$filter=IsLatestVersion")).toEqual(['A 1.0.0']);
    feed.records = async () => undefined;
    expect(await packages("Search()?searchTerm='a'")).toEqual(['A 1.0.0']);
    feed.records = async () => {
      throw new Error('a mistake');
    };
    await expect(packages("Search()?searchTerm='a'")).rejects.toThrow('answered 500');
  });

  it('counts packages', async () => {
    const { server, feed } = await serving(...names);
    await using _ = server;
    const count = async (query: string) => String((await server.ask(`/nuget/v2/Search()/$count?${query}`)).body);
    expect(await count("searchTerm='a'&$filter=IsLatestVersion")).toBe('1');
    expect(await count("searchTerm=''&$filter=IsAbsoluteLatestVersion&includePrerelease=true")).toBe('2');
    expect(feed.asked).toEqual([]);
    expect(await count("searchTerm=''&includePrerelease=true")).toBe('4');
    const page = await pageAt(server, "Search()?searchTerm=''&$filter=IsLatestVersion&$inlinecount=allpages&$top=0");
    expect([page.packages, page.count, page.next]).toEqual([[], 1, undefined]);
  });

  it('counts no packages that the client does not understand, though the source finds them', async () => {
    const { server, feed, packages } = await serving(...names);
    await using _ = server;
    feed.knowsSemVer2 = false;
    const query = "searchTerm=''&$filter=IsAbsoluteLatestVersion&includePrerelease=true";
    expect(await packages(`Search()?${query}`)).toEqual(['A 3.0.0-beta', 'B 1.0.0-beta']);
    expect(String((await server.ask(`/nuget/v2/Search()/$count?${query}`)).body)).toBe('2');
    expect((await pageAt(server, `Search()?${query}&$inlinecount=allpages&$top=1`)).count).toBe(2);
  });

  describe('with a filter beside the newest version, as galleries of modules are asked', () => {
    const many = [
      ...Array.from({ length: 300 }, (_, index) => `Other${index} 1.0.0`),
      ...Array.from({ length: 220 }, (_, index) => `Mod${index} 1.0.0`),
      'Mod0 2.0.0-beta',
      'AMod 1.0.0',
    ];
    const path = (filter: string) => `Search()?$inlinecount=allpages&$top=100&$filter=${filter}`;

    it('counts and passes over what the names of packages tell, and looks at no others', async () => {
      const { server, feed } = await serving(...many);
      await using _ = server;
      const query = path("IsLatestVersion and startswith(Id, 'Mod')");
      const [first, second, last] = await Promise.all([
        pageAt(server, `${query}&$skip=0`),
        pageAt(server, `${query}&$skip=100`),
        pageAt(server, `${query}&$skip=200`),
      ]);
      expect([first.count, second.count, last.count]).toEqual([220, 220, 220]);
      expect([first.next, second.next, last.next]).toEqual([undefined, undefined, undefined]);
      const found = [first, second, last].flatMap(({ packages }) => packages);
      expect(found).toEqual(Array.from({ length: 220 }, (_, index) => `Mod${index} 1.0.0`));
      expect(feed.asked.every((id) => id.startsWith('Mod'))).toBe(true);
      const count = await server.ask(
        "/nuget/v2/Search()/$count?$filter=substringof('mod',tolower(Id))%20and%20IsLatestVersion",
      );
      expect(String(count.body)).toBe('221');
    });

    it('finds tags that the search tells, and looks where it tells none', async () => {
      const { server, feed } = await serving(...many);
      await using _ = server;
      feed.add(record('Tagged', '1.0.0', { tags: ['PSModule'] }));
      feed.add(record('Untold', '1.0.0', { tags: ['PSModule'] }));
      const search = feed.search.bind(feed);
      feed.search = async (query, options, call) => {
        const answer = await search(query, options, call);
        const hits = answer.value.hits.map((hit) => {
          if (hit.record.id === 'Untold') return hit;
          const tags = hit.record.id === 'Tagged' ? hit.record.tags : ['other'];
          return { ...hit, record: { ...hit.record, tags } };
        });
        return { ...answer, value: { ...answer.value, hits } };
      };
      const page = await pageAt(server, path("IsLatestVersion and substringof('PSModule', Tags) eq true"));
      expect([page.packages, page.count]).toEqual([['Tagged 1.0.0', 'Untold 1.0.0'], 2]);
      expect(feed.asked).toEqual(['Tagged', 'Untold']);
    });

    it('says of too many how many there may be', async () => {
      const { server } = await serving(...many);
      await using _ = server;
      const page = await pageAt(server, path("IsLatestVersion and Summary ne 'x'"));
      expect([page.packages.length, page.count]).toEqual([100, 521]);
    });

    it('searches for the word of the filter where there are too many packages to look through', async () => {
      const { server, feed } = await serving(...Array.from({ length: 1001 }, (_, index) => `P${index} 1.0.0`));
      await using _ = server;
      feed.add(record('Mod', '1.0.0'));
      const query = "IsLatestVersion and startswith(Id, 'Mod')";
      const page = await pageAt(server, path(query));
      expect([page.packages, page.count]).toEqual([['Mod 1.0.0'], 1]);
      expect(new Set(feed.searches.map(({ query }) => query))).toEqual(new Set(['', 'mod']));
      await pageAt(server, `Search()?searchTerm='else'&$filter=${query}`);
      expect(feed.searches.at(-1)?.query).toBe('else');
    });
  });

  it('refuses to count the versions of too many packages', async () => {
    const { server } = await serving(...Array.from({ length: 201 }, (_, index) => `P${index} 1.0.0`));
    await using _ = server;
    const { status, body } = await server.ask("/nuget/v2/Search()/$count?searchTerm=''");
    expect([status, body.toString()]).toEqual([400, expect.stringContaining('too many packages to count')]);
  });

  it('puts in order what can be put in order', async () => {
    const { server } = await serving(...Array.from({ length: 120 }, (_, index) => `P${(index * 7) % 120} 1.0.0`));
    await using _ = server;
    const pages = await pagesAt(server, "Search()?searchTerm=''&$filter=IsLatestVersion&$orderby=Id");
    const found = pages.flatMap(({ packages }) => packages);
    expect(found).toHaveLength(120);
    expect(found).toEqual(found.toSorted());
  });

  it('puts them all in order where the source does not know how many there are', async () => {
    const { server, feed } = await serving(...Array.from({ length: 230 }, (_, index) => `P${229 - index} 1.0.0`));
    await using _ = server;
    feed.knowsTotal = false;
    const pages = await pagesAt(server, "Search()?searchTerm=''&$filter=IsLatestVersion&$orderby=Id");
    const found = pages.flatMap(({ packages }) => packages);
    expect(found).toHaveLength(230);
    expect(found).toEqual(found.toSorted());
  });

  it('leaves more than that as the sources rank it', async () => {
    const names = Array.from({ length: 1001 }, (_, index) => `P${1000 - index} 1.0.0`);
    const { server, feed, packages } = await serving(...names);
    await using _ = server;
    expect(await packages("Search()?searchTerm=''&$filter=IsLatestVersion&$orderby=Id&$top=2")).toEqual(
      names.slice(0, 2),
    );
    expect(feed.searches.every(({ options }) => options.take === 100)).toBe(true);
    feed.knowsTotal = false;
    expect(await packages("Search()?searchTerm=''&$filter=IsLatestVersion&$orderby=Id&$top=1")).toEqual(
      names.slice(0, 1),
    );
  });
});
