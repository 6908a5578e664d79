import { checkPackageId, NuGetVersion, type PackageIdentity } from '@granary/nuget';
import type { Answer, FeedContent, ListedVersion } from '../feed/feed-content.js';
import type { PackageRecord } from '../feed/package-record.js';
import { recordsWith } from '../feed/records-with.js';
import { versionName } from '../feed/version-name.js';
import { IMMUTABLE, sendDocument, sendPlain } from '../http/answers/document-answer.js';
import { sendPackage } from '../http/answers/package-answer.js';
import type { Exchange } from '../http/exchange.js';
import type { FeedUrls, RegistrationHive } from '../http/feed-urls.js';
import { HttpError } from '../http/http-error.js';
import { deletePackage, identityOf, pushPackage, relistPackage } from '../http/publishing.js';
import type { EmbeddedFile } from '../packages/embedded-file.js';
import { imageType } from '../packages/image-type.js';
import { DETAILS_HEADERS, detailsPage } from './details-page.js';
import { versionsDocument } from './flat-container.js';
import { Registration } from './registration.js';
import { answerAutocomplete, answerSearch } from './search-handler.js';
import { type ServiceIndexOptions, serviceIndex } from './service-index.js';
import { answerSignatures, signaturesIn } from './signature-documents.js';
import { vulnerabilityIndex, vulnerabilityPage } from './vulnerability-documents.js';

const HTML_TYPE = 'text/html; charset=utf-8';
const XML_TYPE = 'application/xml';
const MARKDOWN_TYPE = 'text/markdown; charset=utf-8';
const HIVES: ReadonlySet<string> = new Set<RegistrationHive>([
  'registration',
  'registration-gz',
  'registration-gz-semver2',
]);

const NO_VULNERABILITIES: Answer<ReadonlyMap<string, never>> = {
  value: new Map<string, never>(),
  state: 'hit',
  asOf: 0,
};

/** A feed, and where it is as this client sees it. */
export interface V3Context {
  readonly feed: FeedContent;
  readonly urls: FeedUrls;
  /** What its service index has beside what every feed has. */
  readonly offers: ServiceIndexOptions;
}

/**
 * Everything of protocol 3.
 *
 * @param segments what comes after `v3/`
 */
export function handleV3(exchange: Exchange, context: V3Context, segments: readonly string[]): void | Promise<void> {
  const [resource = '', ...rest] = segments;
  if (resource === 'package') return publish(exchange, context, rest);
  const answer = answerTo(resource);
  exchange.allow('GET', 'HEAD');
  return answer(exchange, context, rest, resource);
}

type Route = (
  exchange: Exchange,
  context: V3Context,
  rest: readonly string[],
  resource: string,
) => void | Promise<void>;

/** By the first part of the path. */
const ROUTES: ReadonlyMap<string, Route> = new Map<string, Route>([
  ['index.json', answerIndex],
  ['flatcontainer', answerFlatContainer],
  ...[...HIVES].map((hive) => [hive, answerRegistration] as const),
  ['search', leaf(answerSearch)],
  ['autocomplete', leaf(answerAutocomplete)],
  ['vulnerabilities', answerVulnerabilities],
  ['details', answerDetails],
  ['signatures', (exchange, { feed, urls }, rest) => answerSignatures(exchange, signaturesIn(urls, feed), urls, rest)],
]);

function answerTo(resource: string): Route {
  const route = ROUTES.get(resource);
  if (route === undefined) throw nothing();
  return route;
}

/** A resource that has nothing below it. */
function leaf(answer: (exchange: Exchange, feed: FeedContent, urls: FeedUrls) => Promise<void>): Route {
  return async (exchange, { feed, urls }, rest) => {
    if (rest.length > 0) throw nothing();
    await answer(exchange, feed, urls);
  };
}

function answerIndex(exchange: Exchange, context: V3Context, rest: readonly string[]): void | Promise<void> {
  if (rest.length > 0) throw nothing();
  exchange.service = 'index';
  const { urls, offers, feed } = context;
  const send = (hasSignatures: boolean) =>
    sendPlain(exchange, urls.serviceIndex, serviceIndex(urls, offers, hasSignatures));
  // Clients fail when an index leads to signatures that aren't there.
  return signaturesIn(urls, feed)?.offered(exchange.call).then(send) ?? send(false);
}

function answerFlatContainer(exchange: Exchange, context: V3Context, rest: readonly string[]): void | Promise<void> {
  const [id = '', name] = rest;
  const isList = rest.length === 2 && name === 'index.json';
  return isList ? answerVersions(exchange, context, checkPackageId(id)) : answerFile(exchange, context, rest);
}

/** What a restore asks for most: at once where it is at hand. */
function answerVersions(exchange: Exchange, { feed, urls }: V3Context, id: string): void | Promise<void> {
  exchange.service = 'versions';
  const send = (answer: Answer<readonly ListedVersion[]> | undefined) =>
    sendDocument(exchange, { url: urls.versions(id), answer, render: versionsDocument });
  const atHand = exchange.span.recording ? undefined : feed.versionsAtHand?.(id);
  if (atHand === null) exchange.heardNothing('hit');
  return atHand === undefined ? feed.versions(id, exchange.call).then(send) : send(atHand ?? undefined);
}

/** A file that lies beside the packages: the package itself, its nuspec, its icon or its readme. */
async function answerFile(exchange: Exchange, context: V3Context, rest: readonly string[]): Promise<void> {
  const { feed, urls } = context;
  const [id = '', second = '', file] = rest;
  if (rest.length !== 3 || file === undefined) throw nothing();
  const identity = identityOf(id, second);
  const version = versionName(identity.version);
  const [asked, lower] = [file.toLowerCase(), id.toLowerCase()];
  if (asked === `${lower}.nuspec`) {
    exchange.service = 'nuspec';
    const answer = await feed.nuspec(identity, exchange.call);
    return await sendDocument(exchange, {
      url: urls.nuspec(id, version),
      answer,
      render: (nuspec) => nuspec,
      type: XML_TYPE,
      cacheControl: IMMUTABLE,
    });
  }
  if (asked === 'icon' || asked === 'readme') return await answerEmbedded(exchange, context, identity, asked);
  if (asked !== `${lower}.${version}.nupkg` && asked !== `${lower}.${second.toLowerCase()}.nupkg`) throw nothing();
  exchange.service = 'package';
  await sendPackage(exchange, feed, identity);
}

async function answerEmbedded(
  exchange: Exchange,
  { feed, urls }: V3Context,
  identity: PackageIdentity,
  file: EmbeddedFile,
): Promise<void> {
  exchange.service = file;
  const answer = await feed.embedded(identity, file, exchange.call);
  await sendDocument(exchange, {
    url: urls.embedded(identity.id, versionName(identity.version), file),
    answer,
    render: (bytes) => bytes,
    type: file === 'icon' ? answer && imageType(answer.value) : MARKDOWN_TYPE,
    isCompressible: file !== 'icon',
    cacheControl: IMMUTABLE,
  });
}

async function answerRegistration(
  exchange: Exchange,
  { feed, urls }: V3Context,
  rest: readonly string[],
  resource: string,
): Promise<void> {
  exchange.service = 'registration';
  const hive = resource as RegistrationHive;
  const [id = '', ...names] = rest;
  checkPackageId(id);
  const wanted = registrationDocument(urls, hive, id, names);
  const answer = await recordsFor(exchange, feed, id, wanted.version);
  await sendDocument(exchange, {
    url: wanted.url,
    answer,
    render: (records) => wanted.of(new Registration(urls, hive, id, records)),
  });
}

/** @param version the one that is asked for, if it is one */
function recordsFor({ call }: Exchange, feed: FeedContent, id: string, version: NuGetVersion | undefined) {
  return version === undefined ? feed.records(id, call) : recordsWith(feed, { id, version }, call);
}

interface RegistrationDocument {
  readonly url: string;
  /** The one version that it is about. */
  readonly version?: NuGetVersion;
  readonly of: (registration: Registration) => object | undefined;
}

/**
 * What lies below a package in a hive: `index.json`, `page/{lower}/{upper}.json`, `{version}.json` or
 * `catalog/{version}.json`.
 */
function registrationDocument(
  urls: FeedUrls,
  hive: RegistrationHive,
  id: string,
  names: readonly string[],
): RegistrationDocument {
  const [first = '', second, third] = names;
  if (names.length === 1 && first === 'index.json') {
    return { url: urls.registrationIndex(hive, id), of: (registration) => registration.index() };
  }
  if (names.length === 1) {
    const version = versionIn(first);
    const url = urls.registrationLeaf(hive, id, versionName(version));
    return { url, version, of: (registration) => registration.leaf(version) };
  }
  if (names.length === 2 && first === 'catalog' && second !== undefined) {
    const version = versionIn(second);
    const url = urls.catalogEntry(hive, id, versionName(version));
    return { url, version, of: (registration) => registration.catalogEntry(version) };
  }
  if (names.length !== 3 || first !== 'page' || second === undefined || third === undefined) throw nothing();
  const [lower, upper] = [NuGetVersion.parse(second), versionIn(third)];
  return {
    url: urls.registrationPage(hive, id, versionName(lower), versionName(upper)),
    of: (registration) => registration.page(lower, upper),
  };
}

function versionIn(name: string): NuGetVersion {
  if (!name.toLowerCase().endsWith('.json')) throw nothing();
  return NuGetVersion.parse(name.slice(0, -'.json'.length));
}

async function answerVulnerabilities(
  exchange: Exchange,
  { feed, urls }: V3Context,
  rest: readonly string[],
): Promise<void> {
  exchange.service = 'vulnerabilities';
  const [name] = rest;
  const isPage = name === 'all.json';
  if (rest.length !== 1 || (name !== 'index.json' && !isPage)) throw nothing();
  // A feed may offer them before it knows that its sources tell none: clients warn of an index that isn't there.
  const answer = (await feed.vulnerabilities(exchange.call)) ?? NO_VULNERABILITIES;
  await sendDocument(exchange, {
    url: isPage ? urls.vulnerabilityPage : urls.vulnerabilities,
    answer,
    render: (known) => (isPage ? vulnerabilityPage(urls, known) : vulnerabilityIndex(urls, answer.asOf)),
  });
}

async function answerDetails(exchange: Exchange, { feed, urls }: V3Context, rest: readonly string[]): Promise<void> {
  exchange.service = 'details';
  const [id = '', asked] = rest;
  if (rest.length !== 1 && rest.length !== 2) throw nothing();
  const version = asked === undefined ? undefined : NuGetVersion.parse(asked);
  const answer = await recordsFor(exchange, feed, checkPackageId(id), version);
  await sendDocument(exchange, {
    url: urls.details(id, version && versionName(version)),
    answer,
    render(records) {
      const record = version === undefined ? newestOf(records) : records.find(isOf(version));
      return record && detailsPage(urls, record);
    },
    type: HTML_TYPE,
    headers: DETAILS_HEADERS,
  });
}

const isOf = (version: NuGetVersion) => (record: PackageRecord) => NuGetVersion.parse(record.version).equals(version);

/** Of those that are listed, as far as any is. */
function newestOf(records: readonly PackageRecord[]): PackageRecord | undefined {
  return records.findLast(({ listed }) => listed) ?? records.at(-1);
}

async function publish(exchange: Exchange, context: V3Context, rest: readonly string[]): Promise<void> {
  const { feed, offers } = context;
  if (rest.length === 0) {
    exchange.allow('PUT');
    // Before it sends all of its package.
    if (!offers.canPublish) throw new HttpError(403, 'nothing can be pushed to this feed');
    return await pushPackage(exchange, feed);
  }
  const [id = '', version = ''] = rest;
  if (rest.length !== 2) throw nothing();
  exchange.allow('DELETE', 'POST');
  const identity = identityOf(id, version);
  if (exchange.request.method === 'DELETE') await deletePackage(exchange, feed, identity);
  else await relistPackage(exchange, feed, identity);
}

function nothing(): HttpError {
  return new HttpError(404, 'there is no such resource');
}
