import { type DependencyGroup, type PackageMetadata, PackageNotFoundError, type SearchResult } from '@granary/nuget';
import type { ExitCode } from '../../io.js';
import { list, table } from '../../terminal/table.js';
import { chooseVersion } from '../choose-version.js';
import { toJson } from '../json.js';
import { wholeNumberOf } from '../numbers.js';
import type { NuGetIo } from '../run-command.js';
import { openSession, type SessionOptions } from '../session.js';

export interface QueryOptions extends SessionOptions {
  readonly prerelease?: boolean;
  readonly take?: string;
  readonly skip?: string;
  readonly packageType?: string;
}

const DEFAULT_TAKE = 20;
const MAX_TAKE = 1000;
/** As sources count. */
const MAX_SKIP = 2_147_483_647;

/** Searches all sources; what several have is shown once. */
export async function search(query: string, options: QueryOptions, io: NuGetIo): Promise<ExitCode> {
  const take = wholeNumberOf('--take', options.take, 0, MAX_TAKE) ?? DEFAULT_TAKE;
  const skip = wholeNumberOf('--skip', options.skip, 0, MAX_SKIP) ?? 0;
  await using session = await openSession(options, io);
  const { prerelease: includePrerelease = false, packageType } = options;
  const page = await session.client.search(query, { includePrerelease, take, skip, packageType, ...session.call });
  if (options.json) {
    io.out(toJson(page));
    return 0;
  }
  if (page.results.length === 0) {
    io.err(
      `granary: nothing found; ${includePrerelease ? 'try other words' : '--prerelease looks for prereleases, too'}\n`,
    );
    return 0;
  }
  io.out(table(SEARCH_HEAD, page.results.map(searchRow), io.outColumns, io.style));
  return 0;
}

const SEARCH_HEAD = [
  { title: 'ID', flexible: true },
  { title: 'VERSION' },
  { title: 'DOWNLOADS', right: true },
  { title: 'DESCRIPTION', flexible: true },
];

function searchRow({ id, version, totalDownloads, summary, description, title }: SearchResult): readonly string[] {
  return [id, version.toNormalizedString(), count(totalDownloads), summary || description || title || ''];
}

/** Lists the versions of a package, the highest last, one a line. */
export async function versions(id: string, options: QueryOptions, io: NuGetIo): Promise<ExitCode> {
  const take = wholeNumberOf('--take', options.take, 0, MAX_TAKE);
  await using session = await openSession(options, io);
  const all = await session.client.listVersions(id, session.call);
  if (all.length === 0) throw new PackageNotFoundError(id, undefined, session.sourcesFor(id));
  const wanted = all.filter(({ isPrerelease }) => options.prerelease || !isPrerelease);
  const shown = take === undefined ? wanted : wanted.slice(Math.max(0, wanted.length - take));
  if (options.json) io.out(toJson({ id, versions: shown }));
  else io.out(shown.map((version) => `${version.toNormalizedString()}\n`).join(''));
  if (wanted.length === 0) io.err(`granary: ${id} has prereleases only; --prerelease shows them\n`);
  return 0;
}

/** Shows what sources say of one version: of the one that is named, else of the newest. */
export async function info(
  id: string,
  text: string | undefined,
  options: QueryOptions,
  io: NuGetIo,
): Promise<ExitCode> {
  await using session = await openSession(options, io);
  const version = await chooseVersion({ id, version: text }, options.prerelease ?? false, session);
  const metadata = await session.client.getMetadata(id, version, session.call);
  if (metadata === undefined) {
    throw new PackageNotFoundError(id, version.toNormalizedString(), session.sourcesFor(id));
  }
  // Where a source has it in its own documents is nobody's business.
  const { page: _, ...told } = metadata;
  io.out(options.json ? toJson(told) : describe(metadata, io));
  return 0;
}

function describe(metadata: PackageMetadata, io: NuGetIo): string {
  const { version, license, deprecation } = { ...metadata, license: metadata.licenseExpression ?? metadata.licenseUrl };
  const pairs: (readonly [string, string])[] = [
    ['id', metadata.id],
    ['version', version.toFullString()],
    ['title', metadata.title === metadata.id ? '' : (metadata.title ?? '')],
    ['description', metadata.description ?? metadata.summary ?? ''],
    ['authors', metadata.authors.join(', ')],
    ['owners', metadata.owners.join(', ')],
    ['tags', metadata.tags.join(', ')],
    ['license', license ?? ''],
    ['project', metadata.projectUrl ?? ''],
    ['published', metadata.published?.toISOString() ?? ''],
    ['downloads', count(metadata.downloads)],
    ['listed', metadata.listed ? '' : 'no'],
    ['deprecated', deprecation ? [...deprecation.reasons, deprecation.message ?? ''].filter(Boolean).join(', ') : ''],
    [
      'use instead',
      deprecation?.alternate ? `${deprecation.alternate.id} ${deprecation.alternate.range.toNormalizedString()}` : '',
    ],
    ...metadata.vulnerabilities.map(
      ({ severity, advisoryUrl }) => ['vulnerable', `${severity}: ${advisoryUrl}`] as const,
    ),
    ...metadata.dependencyGroups.map((group) => ['depends', dependenciesOf(group)] as const),
  ];
  return list(pairs, io.style);
}

function dependenciesOf({ targetFramework, dependencies }: DependencyGroup): string {
  const needed = dependencies.map(({ id, range }) => `${id} ${range.toNormalizedString()}`).join(', ') || 'nothing';
  return `${targetFramework.shortName}: ${needed}`;
}

function count(number: number | undefined): string {
  return number === undefined ? '' : new Intl.NumberFormat('en-US').format(number);
}
