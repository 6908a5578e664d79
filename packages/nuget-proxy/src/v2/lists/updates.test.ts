import { NuGetVersion, VersionRange } from '@granary/nuget';
import { describe, expect, it } from 'vitest';
import { MemoryFeed, record } from '../../http/testing/memory-feed.js';
import { TestServer } from '../../http/testing/test-server.js';
import { V2Client } from '../testing/v2-client.js';
import { pageAt } from '../testing/v2-feed.js';

async function serving() {
  const feed = new MemoryFeed();
  for (const version of ['1.0.0', '1.1.0', '2.0.0', '3.0.0-beta', '4.0.0-rc.1']) feed.add(record('A', version));
  feed.add(record('A', '5.0.0', { listed: false }));
  for (const [version, framework] of [
    ['1.0.0', 'net20'],
    ['2.0.0', 'net45'],
    ['3.0.0', 'net8.0'],
  ] as const) {
    feed.add(record('B', version, { dependencyGroups: [{ targetFramework: framework, dependencies: [] }] }));
  }
  const server = await TestServer.start({ all: feed });
  const updates = async (query: string) => (await pageAt(server, `GetUpdates()?${query}`)).packages;
  return { feed, server, updates };
}

describe('GetUpdates()', () => {
  it.each([
    ["packageIds='A'&versions='1.0.0'", ['A 2.0.0']],
    ["packageIds='a'&versions='1.0'&includePrerelease=true", ['A 3.0.0-beta']],
    ["packageIds='A'&versions='1.0.0'&includePrerelease=true&semVerLevel=2.0.0", ['A 4.0.0-rc.1']],
    ["packageIds='A'&versions='1.0.0'&includeAllVersions=true", ['A 1.1.0', 'A 2.0.0']],
    ["packageIds='A'&versions='2.0.0'", []],
    ["packageIds='A'&versions='6.0.0'", []],
    ["packageIds='A|B|No|it''s'&versions='1.0.0|1.0.0|1.0.0|1.0.0'", ['A 2.0.0', 'B 3.0.0']],
    ["packageIds='A|A'&versions='1.0.0|1.1.0'", ['A 2.0.0']],
    ["packageIds='A|a'&versions='1.0.0|1.1.0'&versionConstraints='[1.0,2.0)|'", ['A 1.1.0', 'A 2.0.0']],
    ["packageIds='A'&versions='1.0.0'&versionConstraints='(1.0,1.5]'", ['A 1.1.0']],
    ["packageIds='A|B'&versions='1.0.0|1.0.0'&versionConstraints=''", ['A 2.0.0', 'B 3.0.0']],
    ["packageIds='A|B'&versions='1.0.0|none'", ['A 2.0.0']],
    ["packageIds='B'&versions='1.0.0'&targetFrameworks='net48'", ['B 2.0.0']],
    ["packageIds='B'&versions='0.1.0'&targetFrameworks='net40'", ['B 1.0.0']],
    ["packageIds='B'&versions='1.0.0'&targetFrameworks='net40|net9.0'", ['B 3.0.0']],
    ["packageIds='A'&versions='1.0.0'&targetFrameworks='net45'", ['A 2.0.0']],
    ["packageIds='B'&versions='1.0.0'&targetFrameworks='bogus'", ['B 3.0.0']],
    ["packageIds='B'&versions='1.0.0'&targetFrameworks='portable-net40-client+sl5|net48'", ['B 2.0.0']],
    ["packageIds=''&versions=''", []],
    ["packageIds='A|B'&versions='1.0.0|1.0.0'&$filter=Id eq 'B'", ['B 3.0.0']],
    ["packageIds='A|B'&versions='1.0.0|1.0.0'&$orderby=Id desc&$top=1", ['B 3.0.0']],
  ])('%s', async (query, expected) => {
    const { server, updates } = await serving();
    await using _ = server;
    expect(await updates(query)).toEqual(expected);
  });

  it.each([
    ["packageIds='A|B'&versions='1.0.0'", 'packageIds and versions have one part for each package'],
    ["packageIds='A|B'&versions='1.0.0|1.0.0'&versionConstraints='[1.0]'", 'versionConstraints has one part'],
    ["packageIds='A'&versions='1.0.0'&versionConstraints='newest'", 'newest is no range'],
    ["packageIds='A'&versions='1.0.0'&includeAllVersions=all", 'includeAllVersions is true or false'],
    [
      `packageIds='${Array.from({ length: 501 }, (_, index) => `p${index}`).join('|')}'&versions='${Array(501).fill('1').join('|')}'`,
      'at most 500 packages',
    ],
  ])('refuses %s', async (query, sentence) => {
    const { server, updates } = await serving();
    await using _ = server;
    await expect(updates(query)).rejects.toThrow(new RegExp(`answered 400: .*${sentence}`, 's'));
  });

  it('may be of a framework that nobody knows', async () => {
    const { server, feed, updates } = await serving();
    await using _ = server;
    feed.add(record('C', '2.0.0', { dependencyGroups: [{ targetFramework: 'nonsense', dependencies: [] }] }));
    expect(await updates("packageIds='C'&versions='1.0.0'&targetFrameworks='net45'")).toEqual(['C 2.0.0']);
  });

  it('counts', async () => {
    const { server } = await serving();
    await using _ = server;
    const { body } = await server.ask(
      "/nuget/v2/GetUpdates()/$count?packageIds='A'&versions='1.0.0'&includeAllVersions=true",
    );
    expect(body.toString()).toBe('2');
  });

  it('is understood by other clients', async () => {
    const { server } = await serving();
    await using _ = server;
    const { provider } = new V2Client(server);
    const constraint = VersionRange.parse('(, 2.0)');
    const installed = [
      { id: 'A', version: NuGetVersion.parse('1.0.0'), constraint },
      { id: 'B', version: NuGetVersion.parse('1.0.0') },
    ];
    const found = await provider.getUpdates(installed, { frameworks: ['net48'] });
    expect(found.map(({ id, version }) => `${id} ${version}`)).toEqual(['A 1.1.0', 'B 2.0.0']);
  });
});
