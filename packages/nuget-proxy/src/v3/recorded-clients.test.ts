import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FeedAccessError } from '../http/hooks.js';
import type { TestAnswer } from '../http/testing/test-server.js';
import { ProxiedUpstream, type ProxiedUpstreamOptions } from './testing/proxied-upstream.js';

const PACKAGES = [
  { id: 'Newtonsoft.Json', version: '12.0.3' },
  { id: 'Newtonsoft.Json', version: '13.0.1' },
  { id: 'Newtonsoft.Json', version: '13.0.2-beta1' },
  { id: 'Serilog', version: '3.1.1', dependencies: [{ id: 'Newtonsoft.Json', version: '12.0.3' }] },
];

/** As clients of .NET send them. */
const HEADERS = {
  Accept: '*/*',
  'Accept-Language': 'en-US',
  'Accept-Encoding': 'gzip, deflate',
  'X-NuGet-Session-Id': '6f0c2a1e-6d4b-4f1e-9a2d-0c8f6c1f6a55',
};
const DOTNET = {
  ...HEADERS,
  'User-Agent': 'NuGet .NET Core MSBuild Task/6.11.1 (Linux 6.1.0; ubuntu.22.04-x64; .NET 8.0.11)',
  'X-NuGet-Client-Version': '6.11.1',
};
const VISUAL_STUDIO = {
  ...HEADERS,
  'User-Agent': 'NuGet VS VSIX/6.12.1 (Microsoft Windows NT 10.0.22631.0, VS Enterprise/17.0)',
  'X-NuGet-Client-Version': '6.12.1',
};
const RIDER = {
  ...HEADERS,
  'User-Agent': 'NuGet Client V3/6.9.1 (Microsoft Windows NT 10.0.19045.0, JetBrains Rider)',
  'X-NuGet-Client-Version': '6.9.1',
};

let proxied: ProxiedUpstream;

const start = async (options: ProxiedUpstreamOptions = {}) => {
  proxied = await ProxiedUpstream.start({ packages: PACKAGES, ...options });
};

beforeEach(() => start());

afterEach(() => proxied[Symbol.asyncDispose]());

/** A client that asks as it did when it was recorded, of the resources that the service index names. */
class Recorded {
  readonly #headers: Readonly<Record<string, string>>;
  #resources: readonly { readonly '@id': string; readonly '@type': string }[] = [];

  constructor(headers: Readonly<Record<string, string>>) {
    this.#headers = headers;
  }

  async open(headers = {}): Promise<void> {
    const answer = await this.get(`${proxied.server.url}/v3/index.json`, headers);
    this.#resources = (jsonOf(answer) as { resources: [] }).resources;
  }

  /** What the client takes of the names that it looks for, which are in its order. */
  resource(...types: readonly string[]): string {
    for (const type of types) {
      const found = this.#resources.find((each) => each['@type'] === type);
      if (found) return found['@id'];
    }
    throw new Error(`there is none of ${types}`);
  }

  get(url: string, headers = {}): Promise<TestAnswer> {
    return proxied.server.ask(url.slice(url.indexOf('/', 'http://'.length)), {
      headers: { ...this.#headers, ...headers },
    });
  }
}

function jsonOf({ status, headers, body }: TestAnswer): unknown {
  expect(status).toBe(200);
  expect(headers['content-encoding']).toBe('gzip');
  return JSON.parse(gunzipSync(body).toString());
}

const FLAT = ['PackageBaseAddress/Versioned', 'PackageBaseAddress/3.0.0'];
const REGISTRATIONS = ['RegistrationsBaseUrl/Versioned', 'RegistrationsBaseUrl/3.6.0', 'RegistrationsBaseUrl/3.4.0'];
const SEARCH = ['SearchQueryService/Versioned', 'SearchQueryService/3.4.0', 'SearchQueryService/3.0.0-beta'];

describe('dotnet restore', () => {
  const restore = async (client: Recorded, headers = {}) => {
    await client.open(headers);
    const flat = client.resource(...FLAT);
    const states: unknown[] = [];
    for (const [id, version] of [
      ['serilog', '3.1.1'],
      ['newtonsoft.json', '12.0.3'],
    ]) {
      const list = await client.get(`${flat}${id}/index.json`, headers);
      expect(jsonOf(list)).toMatchObject({ versions: expect.arrayContaining([version]) });
      const pkg = await client.get(`${flat}${id}/${version}/${id}.${version}.nupkg`, headers);
      expect(pkg.status).toBe(200);
      expect(pkg.body.equals(proxied.upstream.packages.find(id as string, version as string)!.content)).toBe(true);
      states.push(list.headers['x-cache'], pkg.headers['x-cache']);
    }
    return states;
  };

  it('asks index, version lists and packages, and the upstream once for each', async () => {
    expect(await restore(new Recorded(DOTNET))).toEqual(['miss', 'miss', 'miss', 'miss']);
    expect(proxied.asked()).toEqual([
      'GET /v3/index.json',
      'GET /v3/flat/serilog/index.json',
      'GET /v3/flat/serilog/3.1.1/serilog.3.1.1.nupkg',
      'GET /v3/flat/newtonsoft.json/index.json',
      'GET /v3/flat/newtonsoft.json/12.0.3/newtonsoft.json.12.0.3.nupkg',
    ]);
    // Packages that were given out may not be on the disk yet.
    const arrived = expect.stringMatching(/^(?:hit|miss)$/);
    expect(await restore(new Recorded(DOTNET))).toEqual(['hit', arrived, 'hit', arrived]);
    expect(proxied.asked()).toEqual([]);
  });

  it('of 25 at once asks the upstream as often as one', async () => {
    await Promise.all(Array.from({ length: 25 }, () => restore(new Recorded(DOTNET))));
    const asked = proxied.asked();
    expect(new Set(asked).size).toBe(asked.length);
    expect(asked.length).toBe(5);
  });

  it("that asks for what isn't there goes on with its other sources", async () => {
    const client = new Recorded(DOTNET);
    await client.open();
    expect((await client.get(`${client.resource(...FLAT)}none/index.json`)).status).toBe(404);
  });

  it('audits what it restores', async () => {
    proxied.upstream.settings.vulnerabilities = [
      { id: 'Newtonsoft.Json', severity: 2, url: 'https://advisories.test/1', versions: '(, 13.0.1)' },
    ];
    const client = new Recorded(DOTNET);
    await client.open();
    const index = jsonOf(await client.get(client.resource('VulnerabilityInfo/6.7.0'))) as { '@id': string }[];
    for (const page of index) {
      expect(page).toMatchObject({ '@name': expect.any(String), '@updated': expect.stringMatching(/^\d{4}-.*Z$/) });
      expect(jsonOf(await client.get(page['@id']))).toEqual({
        'newtonsoft.json': [{ severity: 2, url: 'https://advisories.test/1', versions: '(, 13.0.1)' }],
      });
    }
    expect(index.length).toBe(1);
  });

  it('with credentials is asked for them once, and sends them to everything below', async () => {
    await proxied[Symbol.asyncDispose]();
    const basic = `Basic ${Buffer.from('me:secret').toString('base64')}`;
    const authorize = ({ authorization }: { authorization: string | undefined }) => {
      if (authorization === basic) return 'me';
      throw new FeedAccessError('UNAUTHENTICATED', 'who are you?');
    };
    await start({ handler: { hooks: { authorize } } });
    const client = new Recorded(DOTNET);
    const refused = await client.get(`${proxied.server.url}/v3/index.json`);
    expect(refused).toMatchObject({ status: 401, headers: { 'www-authenticate': expect.stringMatching(/^Basic /) } });
    expect(proxied.asked()).toEqual([]);
    await restore(client, { Authorization: basic });
  });
});

describe('the package manager of Visual Studio', () => {
  it('searches, shows what it found, and lists its versions', async () => {
    const client = new Recorded(VISUAL_STUDIO);
    await client.open();
    const query = 'q=json&skip=0&take=26&prerelease=true&supportedFramework=.NETCoreApp,Version=v8.0&semVerLevel=2.0.0';
    const found = jsonOf(await client.get(`${client.resource(...SEARCH)}?${query}`));
    expect(found).toMatchObject({
      totalHits: 1,
      data: [{ id: 'Newtonsoft.Json', version: '13.0.2-beta1', versions: [{}, {}, { version: '13.0.2-beta1' }] }],
    });
    const registration = jsonOf(await client.get(`${client.resource(...REGISTRATIONS)}newtonsoft.json/index.json`));
    expect(registration).toMatchObject({ count: 1, items: [{ count: 3, items: [{}, {}, {}] }] });
    const completed = `${client.resource('SearchAutocompleteService/3.0.0-beta')}?q=new&prerelease=false&semVerLevel=2.0.0`;
    expect(jsonOf(await client.get(completed))).toMatchObject({ data: ['Newtonsoft.Json'] });
  });

  it('browses without a word, page by page', async () => {
    const client = new Recorded(VISUAL_STUDIO);
    await client.open();
    const page = async (skip: number) => {
      const url = `${client.resource(...SEARCH)}?q=&skip=${skip}&take=1&prerelease=false&semVerLevel=2.0.0`;
      return jsonOf(await client.get(url)) as { totalHits: number; data: { id: string }[] };
    };
    const pages = [await page(0), await page(1), await page(2)];
    expect(pages.map(({ data }) => data.map(({ id }) => id))).toEqual([['Newtonsoft.Json'], ['Serilog'], []]);
    for (const { totalHits } of pages) expect(totalHits).toBe(2);
  });

  it('asks only for packages of a type', async () => {
    const client = new Recorded(VISUAL_STUDIO);
    await client.open();
    const url = `${client.resource('SearchQueryService/3.5.0')}?q=&packageType=DotnetTool&semVerLevel=2.0.0`;
    expect(jsonOf(await client.get(url))).toEqual({ totalHits: 0, data: [] });
  });
});

describe('Rider', () => {
  it('reads registrations, page by page where they have many, and then the package', async () => {
    proxied.upstream.settings.registration = 'paged';
    for (let i = 0; i < 130; i++) await proxied.upstream.packages.add({ id: 'Many', version: `1.0.${i}` });
    const client = new Recorded(RIDER);
    await client.open();
    const index = jsonOf(await client.get(`${client.resource(...REGISTRATIONS)}many/index.json`)) as {
      items: { '@id': string; items?: unknown[] }[];
    };
    const versions: string[] = [];
    for (const page of index.items) {
      expect(page.items).toBeUndefined();
      const { items } = jsonOf(await client.get(page['@id'])) as { items: { catalogEntry: { version: string } }[] };
      versions.push(...items.map(({ catalogEntry }) => catalogEntry.version));
    }
    expect(versions).toEqual(Array.from({ length: 130 }, (_, i) => `1.0.${i}`));
    const { items } = jsonOf(await client.get((index.items.at(-1) as { '@id': string })['@id'])) as {
      items: { packageContent: string }[];
    };
    expect((await client.get((items.at(-1) as { packageContent: string }).packageContent)).status).toBe(200);
  });
});

describe('a client that was interrupted', () => {
  it('asks for the rest of a package, if it is still the same', async () => {
    const client = new Recorded(DOTNET);
    await client.open();
    const url = `${client.resource(...FLAT)}serilog/3.1.1/serilog.3.1.1.nupkg`;
    await client.get(url);
    const whole = await client.get(url);
    const rest = await client.get(url, { Range: 'bytes=100-', 'If-Range': `${whole.headers.etag}` });
    expect(rest.status).toBe(206);
    expect(rest.body.equals(whole.body.subarray(100))).toBe(true);
    expect((await client.get(url, { 'If-None-Match': `${whole.headers.etag}` })).status).toBe(304);
    expect((await client.get(url, { 'If-Modified-Since': `${whole.headers['last-modified']}` })).status).toBe(304);
  });
});

it("PowerShell's Install-Package goes from the leaf of a version to what the catalog says of it", async () => {
  const client = new Recorded({ ...HEADERS, 'User-Agent': 'NuGet' });
  await client.open();
  const hive = client.resource(...REGISTRATIONS);
  const leaf = jsonOf(await client.get(`${hive}serilog/3.1.1.json`)) as { readonly catalogEntry: string };
  const [page] = (jsonOf(await client.get(`${hive}serilog/index.json`)) as RegistrationIndex).items;
  expect(page?.items[0]?.catalogEntry['@id']).toBe(leaf.catalogEntry);
  expect(jsonOf(await client.get(leaf.catalogEntry))).toMatchObject({
    '@id': leaf.catalogEntry,
    id: 'Serilog',
    version: '3.1.1',
    listed: true,
    dependencyGroups: [{ dependencies: [{ id: 'Newtonsoft.Json', range: '[12.0.3, )' }] }],
  });
});

interface RegistrationIndex {
  readonly items: readonly { readonly items: readonly { readonly catalogEntry: { readonly '@id': string } }[] }[];
}
