// What bench/nuget-registration.mjs measures: a registration index of 5 MiB, all of its pages in it, through the provider
// of protocol 3 without any cache, and through JSON.parse alone. What comes from a feed are bytes, so that is what counts.
import { NuGetVersion, V3Provider } from '@granary/nuget';
import { fakeFeed } from '@granary/nuget/testing';

const BYTES = 5 * 2 ** 20;
const PAGE = 64;
const FRAMEWORKS = ['net8.0', 'net6.0', '.NETStandard2.0', '.NETFramework4.6.2'];
const DEPENDENCIES = ['System.Text.Json', 'System.Memory', 'Microsoft.Extensions.Logging.Abstractions'];

const document = Buffer.from(JSON.stringify(registration()));
const wanted = { id: 'Big.Package', version: NuGetVersion.parse('3.7.2') };

/** Read in one go: collecting the garbage of one falls into another's time, and all of it counts. */
const BATCH = 8;

export const CONTENDERS = {
  'JSON.parse of a text': () => {
    const text = document.toString();
    return inBatches(() => JSON.parse(text));
  },
  'JSON.parse of the bytes': () => inBatches(() => JSON.parse(document.toString())),
  'all versions': () => {
    const provider = bigProvider();
    return inBatches(() => provider.listMetadata(wanted.id));
  },
  'one version': () => {
    const provider = bigProvider();
    return inBatches(() => provider.getMetadata(wanted));
  },
};

export const ROWS = [
  { row: 'one version of a document of 5 MiB', ...timesAlone('one version', 1.5) },
  { row: 'all versions of it', ...timesAlone('all versions', 1.5) },
];

/** How many times as long as making the bytes a text and parsing that it takes. */
function timesAlone(name, atMost) {
  return { unit: '×', atMost, of: (ns) => ns[name] / ns['JSON.parse of the bytes'] };
}

function inBatches(read) {
  return async () => {
    for (let i = 0; i < BATCH; i++) await read();
  };
}

function bigProvider() {
  const index = {
    version: '3.0.0',
    resources: [
      { '@id': 'https://feed.test/v3/registration/', '@type': 'RegistrationsBaseUrl/3.6.0' },
      { '@id': 'https://feed.test/packages/{id}/{version}', '@type': 'PackageDetailsUriTemplate/5.1.0' },
      { '@id': 'https://feed.test/packages/{id}/{version}/ReportAbuse', '@type': 'ReportAbuseUriTemplate/3.0.0' },
    ],
  };
  return new V3Provider(fakeFeed({ 'index.json': index, 'registration/big.package/index.json': document }));
}

/** As nuget.org writes it: the same words for each version, in pages of 64. */
function registration() {
  const leaves = [];
  for (let bytes = 0; bytes < BYTES; ) {
    const made = leaf(
      `${1 + Math.floor(leaves.length / 200)}.${Math.floor(leaves.length / 10) % 20}.${leaves.length % 10}`,
    );
    bytes += JSON.stringify(made).length;
    leaves.push(made);
  }
  const items = [];
  for (let at = 0; at < leaves.length; at += PAGE) {
    const page = leaves.slice(at, at + PAGE);
    const [lower, upper] = [page[0], page.at(-1)].map((each) => each.catalogEntry.version);
    items.push({
      '@id': `https://feed.test/v3/page/${lower}/${upper}.json`,
      count: page.length,
      items: page,
      lower,
      upper,
    });
  }
  return { '@id': 'https://feed.test/v3/registration/big.package/index.json', count: items.length, items };
}

function leaf(version) {
  const id = 'Big.Package';
  const base = 'https://feed.test/v3';
  return {
    '@id': `${base}/registration/big.package/${version}.json`,
    '@type': 'Package',
    commitTimeStamp: '2024-05-01T10:00:00.0000000+00:00',
    catalogEntry: {
      '@id': `${base}/catalog/${version}.json`,
      '@type': 'PackageDetails',
      authors: 'Somebody, Somebody Else',
      dependencyGroups: FRAMEWORKS.map((targetFramework) => ({
        '@id': `${base}/catalog/${version}.json#dependencygroup/${targetFramework}`,
        '@type': 'PackageDependencyGroup',
        dependencies: DEPENDENCIES.map((dependency) => ({
          '@id': `${base}/catalog/${version}.json#dependencygroup/${targetFramework}/${dependency}`,
          '@type': 'PackageDependency',
          id: dependency,
          range: '[8.0.0, )',
          registration: `${base}/registration/${dependency.toLowerCase()}/index.json`,
        })),
        targetFramework,
      })),
      description: 'A package with more versions than anybody can read, each of which is described in the same words.',
      iconUrl: `${base}/icon/${version}.png`,
      id,
      language: '',
      licenseExpression: 'MIT',
      licenseUrl: 'https://licenses.test/MIT',
      listed: true,
      minClientVersion: '2.12',
      packageContent: `${base}/content/${version}/big.package.${version}.nupkg`,
      projectUrl: 'https://project.test/',
      published: '2024-05-01T10:00:00.0000000+00:00',
      requireLicenseAcceptance: false,
      summary: '',
      tags: ['big', 'package', 'benchmark'],
      title: 'Big Package',
      version,
    },
    packageContent: `${base}/content/${version}/big.package.${version}.nupkg`,
    registration: `${base}/registration/big.package/index.json`,
  };
}
