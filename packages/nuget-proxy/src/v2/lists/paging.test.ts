import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { record } from '../../http/testing/memory-feed.js';
import { TestServer } from '../../http/testing/test-server.js';
import { SearchFeed } from '../testing/search-feed.js';
import { pageAt, pagesAt } from '../testing/v2-feed.js';

/** Packages with as many versions as named; every fifth version is a prerelease. */
async function serving(versionsOfEach: readonly number[]) {
  const feed = new SearchFeed();
  const all: string[] = [];
  for (const [index, count] of versionsOfEach.entries()) {
    for (let version = 1; version <= count; version++) {
      const name = `${version}.0.0${version % 5 === 0 ? '-beta' : ''}`;
      feed.add(record(`P${index}`, name));
      all.push(`P${index} ${name}`);
    }
  }
  return { feed, all, server: await TestServer.start({ all: feed }) };
}

describe('the pages of one package', () => {
  it('have all of its versions once, a hundred at a time', async () => {
    const { server, all } = await serving([250]);
    await using _ = server;
    const pages = await pagesAt(server, "FindPackagesById()?id='P0'&$inlinecount=allpages");
    expect(pages.map(({ packages }) => packages.length)).toEqual([100, 100, 50]);
    expect(pages.flatMap(({ packages }) => packages)).toEqual(all);
    expect(pages.map(({ count }) => count)).toEqual([250, 250, 250]);
  });

  it('end with the last version, not behind it', async () => {
    const { server } = await serving([100, 101]);
    await using _ = server;
    expect(await pagesAt(server, "FindPackagesById()?id='P0'")).toHaveLength(1);
    expect(await pagesAt(server, "FindPackagesById()?id='P1'")).toHaveLength(2);
  });

  it('keep what was asked for, and go on where they ended', async () => {
    const { server, all } = await serving([250]);
    await using _ = server;
    const query = "$filter=not (Id eq 'a b''c')&$skip=10&$top=150&semVerLevel=2.0.0";
    const [first, second, ...more] = await pagesAt(server, `FindPackagesById(id='P0')?${query}`);
    expect(more).toEqual([]);
    expect(first?.next).toBe(
      "/nuget/v2/FindPackagesById()?$filter=not%20%28Id%20eq%20'a%20b''c'%29&semVerLevel=2.0.0&id=P0&$top=50&$skiptoken=110",
    );
    expect([...(first?.packages ?? []), ...(second?.packages ?? [])]).toEqual(all.slice(10, 160));
  });
});

it('is the same whatever case the names of its parameters have', async () => {
  const { server, all } = await serving([250]);
  await using _ = server;
  const pages = await pagesAt(server, "FindPackagesById()?ID='P0'&$Skip=10&$TOP=150&SemVerLevel=2.0.0");
  expect(pages.flatMap(({ packages }) => packages)).toEqual(all.slice(10, 160));
});

describe('the pages of a search', () => {
  const NEWEST = "Search()?searchTerm=''&$filter=IsLatestVersion";

  it('have each package once', async () => {
    const { server } = await serving(Array(250).fill(1));
    await using _ = server;
    const pages = await pagesAt(server, NEWEST);
    expect(pages.map(({ packages }) => packages.length)).toEqual([100, 100, 50]);
    expect(new Set(pages.flatMap(({ packages }) => packages)).size).toBe(250);
  });

  it('may end in the middle of a package', async () => {
    const { server, all } = await serving([90, 25, 90]);
    await using _ = server;
    const [first, ...more] = await pagesAt(server, "Search()?searchTerm=''&includePrerelease=true");
    expect(first?.next).toContain('$skiptoken=1-10');
    expect([first, ...more].flatMap((page) => page?.packages ?? [])).toEqual(all);
  });

  it('take a look at so many packages each, and no more', async () => {
    const { server, feed } = await serving(Array(450).fill(1));
    await using _ = server;
    const path = "Search()?searchTerm=''&$filter=IsPrerelease";
    const first = await pageAt(server, path);
    expect([first.packages, feed.asked.length]).toEqual([[], 208]);
    const pages = await pagesAt(server, path);
    expect(pages.map(({ packages }) => packages)).toEqual([[], [], []]);
  });

  it('do not look at packages that are passed over', async () => {
    const { server, feed } = await serving(Array(250).fill(1));
    await using _ = server;
    const { packages } = await pageAt(server, `${NEWEST}&$skip=240&$top=4`);
    expect(packages).toEqual(['P240 1.0.0', 'P241 1.0.0', 'P242 1.0.0', 'P243 1.0.0']);
    expect(feed.asked).toEqual(['P240', 'P241', 'P242', 'P243']);
  });

  it('pass over versions with the next page where they are too many for one', async () => {
    const { server, all } = await serving(Array(450).fill(1));
    await using _ = server;
    const pages = await pagesAt(server, "Search()?searchTerm=''&$skip=430&$top=30");
    expect(pages.map(({ packages }) => packages.length)).toEqual([0, 0, 20]);
    expect(pages[0]?.next).toContain('$skip=230&$top=30&$skiptoken=200-0');
    expect(pages.flatMap(({ packages }) => packages)).toEqual(all.slice(430));
  });

  it('go as far as searches go', async () => {
    const { server, feed } = await serving([]);
    await using _ = server;
    feed.search = async (_query, { skip = 0, take = 0 }) => {
      const records = Array.from({ length: take }, (_, index) => record(`P${skip + index}`, '1.0.0'));
      const hits = records.map((each) => ({ record: each, versions: [], totalDownloads: 0, verified: false }));
      return { value: { total: 1_000_000, hits }, state: 'hit', asOf: 0 };
    };
    const { packages, next } = await pageAt(server, `${NEWEST}&$skip=2990&$top=100`);
    expect([packages, next]).toEqual([Array.from({ length: 10 }, (_, index) => `P${2990 + index} 1.0.0`), undefined]);
    expect((await pageAt(server, `${NEWEST}&$skip=3000`)).packages).toEqual([]);
  });

  it('cover everything exactly once, however they are asked for', async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 40 });
    const query = fc.record({
      filter: fc.constantFrom(...FILTERS),
      order: fc.constantFrom('', 'Id', 'DownloadCount desc'),
      prerelease: fc.boolean(),
      top: fc.integer({ min: 7, max: 40 }),
      maxTake: fc.integer({ min: 3, max: 120 }),
      knowsTotal: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(
        sizes,
        query,
        async (versionsOfEach, { filter, order, prerelease, top, maxTake, knowsTotal }) => {
          const { server, feed } = await serving(versionsOfEach);
          await using _ = server;
          // A source that gives less than it is asked for must say how much there is.
          feed.knowsTotal = knowsTotal;
          if (knowsTotal) feed.maxTake = maxTake;
          const options = [
            filter && `$filter=${filter}`,
            order && `$orderby=${order}`,
            `includePrerelease=${prerelease}`,
          ];
          const path = `Search()?searchTerm=''&${options.filter((option) => option !== '').join('&')}`;
          const all = (await pagesAt(server, path)).flatMap(({ packages }) => packages);
          expect(new Set(all).size).toBe(all.length);
          expect(all.toSorted()).toEqual(wanted(feed, filter, prerelease).toSorted());
          // The same by clients that count for themselves.
          const counted: string[] = [];
          for (let skip = 0; skip <= all.length; skip += top) {
            const pages = await pagesAt(server, `${path}&$skip=${skip}&$top=${top}`);
            counted.push(...pages.flatMap(({ packages }) => packages));
          }
          expect(counted).toEqual(all);
        },
      ),
      { numRuns: 25 },
    );
  });
});

const FILTERS = [
  '',
  'IsLatestVersion',
  'IsAbsoluteLatestVersion',
  'IsPrerelease',
  "Id ne 'P3'",
  "startswith(Id,'P1') and IsLatestVersion eq true",
  "IsAbsoluteLatestVersion and substringof('1',tolower(Id)) eq true",
];

/** What a filter takes of all that a feed has, said in the simplest way. */
function wanted(feed: SearchFeed, filter: string, prerelease: boolean): string[] {
  return [...feed.byId.values()].flatMap((records) => {
    const versions = records.map(({ id, version }) => `${id} ${version}`);
    const visible = versions.filter((name) => prerelease || !name.endsWith('-beta'));
    const stable = versions.filter((name) => !name.endsWith('-beta'));
    switch (filter) {
      case 'IsLatestVersion':
        return stable.slice(-1);
      case 'IsAbsoluteLatestVersion':
        return visible.filter((name) => name === versions.at(-1));
      case 'IsPrerelease':
        return visible.filter((name) => name.endsWith('-beta'));
      case "startswith(Id,'P1') and IsLatestVersion eq true":
        return stable.slice(-1).filter((name) => name.startsWith('P1'));
      case "IsAbsoluteLatestVersion and substringof('1',tolower(Id)) eq true":
        return visible.filter((name) => name === versions.at(-1) && name.split(' ')[0]?.includes('1'));
      case "Id ne 'P3'":
        return visible.filter((name) => !name.startsWith('P3 '));
      default:
        return visible;
    }
  });
}
