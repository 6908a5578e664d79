import { buffer } from 'node:stream/consumers';
import { NuGetVersion } from '@granary/nuget';
import { buildPackage } from '@granary/nuget/testing';
import { describe, expect, it } from 'vitest';
import { ProxiedUpstream, type ProxiedUpstreamOptions } from '../v3/testing/proxied-upstream.js';
import { V2Client } from './testing/v2-client.js';
import { pageAt } from './testing/v2-feed.js';

const serilog = buildPackage({
  id: 'Serilog',
  version: '3.1.1',
  dependencyGroups: [
    { targetFramework: 'net462', dependencies: [{ id: 'Newtonsoft.Json', version: '12.0.3' }] },
    { targetFramework: 'net8.0' },
  ],
});
const PACKAGES = [
  { id: 'Newtonsoft.Json', version: '12.0.3' },
  { id: 'Newtonsoft.Json', version: '13.0.1' },
  { id: 'Newtonsoft.Json', version: '13.0.2-beta1' },
  { id: 'Newtonsoft.Json', version: '13.0.3-rc.1' },
  { content: buildPackage({ id: 'Newtonsoft.Json', version: '14.0.0' }), listed: false },
  { content: serilog, downloads: 5 },
];
const identity = { id: 'Serilog', version: NuGetVersion.parse('3.1.1') };

async function serving(protocol: 'v2' | 'v3', options: ProxiedUpstreamOptions = {}) {
  const proxied = await ProxiedUpstream.start({ packages: PACKAGES, protocol, ...options });
  const { provider } = new V2Client(proxied.server);
  return { proxied, provider, packages: async (path: string) => (await pageAt(proxied.server, path)).packages };
}

describe.each(['v3', 'v2'] as const)('over an upstream of protocol %s', (protocol) => {
  it('old clients see what they understand, newer ones all', async () => {
    const { proxied, packages, provider } = await serving(protocol);
    await using _ = proxied;
    const plain = ['12.0.3', '13.0.1', '13.0.2-beta1'];
    const old = await packages("FindPackagesById()?id='newtonsoft.json'");
    expect(old).toEqual([...plain, '14.0.0'].map((version) => `Newtonsoft.Json ${version}`));
    const all = await provider.listMetadata('Newtonsoft.Json');
    expect(all.map(({ version }) => String(version))).toEqual([...plain, '13.0.3-rc.1', '14.0.0']);
    expect(all.map(({ listed }) => listed)).toEqual([true, true, true, true, false]);
    const newest = "FindPackagesById()?$filter=IsLatestVersion&$orderby=Version desc&$top=1&id='Newtonsoft.Json'";
    expect(await packages(newest)).toEqual(['Newtonsoft.Json 13.0.1']);
  });

  it('a search has what installing needs', async () => {
    const { proxied, packages, provider } = await serving(protocol);
    await using _ = proxied;
    const search = "Search()?searchTerm=''&targetFramework=''&$orderby=Id&$skip=0&$top=30";
    expect(await packages(`${search}&$filter=IsLatestVersion&includePrerelease=false`)).toEqual([
      'Newtonsoft.Json 13.0.1',
      'Serilog 3.1.1',
    ]);
    expect(await packages(`${search}&$filter=IsAbsoluteLatestVersion&includePrerelease=true`)).toEqual([
      'Newtonsoft.Json 13.0.2-beta1',
      'Serilog 3.1.1',
    ]);
    const { text } = await pageAt(proxied.server, "Search()?searchTerm='serilog'&$filter=IsLatestVersion");
    expect(text).toContain('<d:Dependencies>Newtonsoft.Json:[12.0.3, ):net462|::net8.0</d:Dependencies>');
    const found = await provider.search('serilog');
    expect(found.results.map(({ id, version }) => `${id} ${version}`)).toEqual(['Serilog 3.1.1']);
  });

  it('counts all that a search finds, on whatever page', async () => {
    const many = Array.from({ length: 130 }, (_, index) => ({ id: `P${index}`, version: '1.0.0' }));
    const { proxied } = await serving(protocol, { packages: many });
    await using _ = proxied;
    const query = "searchTerm=''&$filter=IsLatestVersion";
    expect(String((await proxied.server.ask(`/nuget/v2/Search()/$count?${query}`)).body)).toBe('130');
    const { count } = await pageAt(proxied.server, `Search()?${query}&$inlinecount=allpages&$skip=10&$top=5`);
    expect(count).toBe(130);
    expect(await proxied.server.json('/v3/search?take=3')).toMatchObject({ totalHits: 130 });
  });

  it('is asked once for what many pages are made of', async () => {
    const { proxied, packages } = await serving(protocol);
    await using _ = proxied;
    const page = "Search()?searchTerm=''&$filter=IsLatestVersion&$orderby=Id&$top=1";
    await packages(`${page}&$skip=0`);
    await packages(`${page}&$skip=1`);
    await packages("FindPackagesById()?id='Serilog'");
    await packages("Packages()?$filter=Id eq 'Serilog' or Id eq 'Newtonsoft.Json'");
    const asked = proxied
      .asked()
      .filter((request) => !/index\.json$|metadata$/.test(request) || /registration/.test(request));
    expect(new Set(asked).size).toBe(asked.length);
  });

  it('gives packages byte for byte, and goes on with what it has seen', async () => {
    const { proxied, provider, packages } = await serving(protocol);
    await using _ = proxied;
    const download = async () => {
      const stream = await provider.downloadPackage(identity);
      return stream && (await buffer(stream.body));
    };
    expect(await download()).toEqual(serilog);
    await packages("Search()?searchTerm='serilog'&$filter=IsLatestVersion");
    await proxied.upstream.close();
    expect(await download()).toEqual(serilog);
    expect((await provider.getMetadata(identity))?.dependencyGroups).toHaveLength(2);
    expect(await packages("Search()?searchTerm='serilog'&$filter=IsLatestVersion")).toEqual(['Serilog 3.1.1']);
  });
});

describe('over an upstream of protocol 2', () => {
  it('a package costs the same however many versions there are', async () => {
    const { proxied, provider } = await serving('v2', { pageSize: 1 });
    await using _ = proxied;
    await provider.listVersions('Newtonsoft.Json');
    proxied.asked();
    const wanted = { id: 'Newtonsoft.Json', version: NuGetVersion.parse('13.0.1') };
    (await provider.downloadPackage(wanted))?.body.resume();
    expect(proxied.asked().map((request) => request.replace(/^GET .*v2\//, ''))).toEqual([
      "Packages(Id='Newtonsoft.Json',Version='13.0.1')",
      'package/Newtonsoft.Json/13.0.1',
    ]);
  });
});
