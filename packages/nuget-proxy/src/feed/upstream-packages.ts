import { finished } from 'node:stream/promises';
import { isStoreError } from '@granary/blobs';
import {
  isNuGetError,
  NuGetError,
  NupkgReader,
  type PackageIdentity,
  type Provider,
  parseNuspec,
} from '@granary/nuget';
import { FeedUnavailableError } from '../errors.js';
import type { OpenUpstream } from '../packages/package-store.js';
import { PASSING_LIMITS } from '../packages/passing-limits.js';
import type { ExpectedPackage } from '../packages/receive-package.js';
import type { Answer, FeedCall, ListedVersion, PackageContent } from './feed-content.js';
import type { KeptAnswers } from './kept-answers.js';
import type { PackageRecord } from './package-record.js';
import type { ProviderCall, UpstreamCalls } from './upstream-calls.js';
import { unavailable } from './upstream-failures.js';
import type { PackageKeeper } from './upstream-feed-options.js';
import { nameOf, nuspecOf, packageOf, recordsOf, versionsOf } from './upstream-questions.js';

export interface UpstreamPackagesOptions {
  readonly source: string;
  /** For traces. */
  readonly sourceUrl: string | undefined;
  readonly packages: PackageKeeper;
  readonly answers: KeptAnswers;
  readonly calls: UpstreamCalls;
  readonly offline: boolean;
  /** What is known of all versions of a package: fresh, or what was known before. */
  readonly records: (id: string, call: FeedCall) => Promise<Answer<readonly PackageRecord[]> | undefined>;
}

/** What a source said of all versions of a package: null for none. */
interface KnownList {
  readonly key: string;
  readonly asOf: number;
  readonly value: readonly ListedVersion[] | null;
}

/** Nuspecs don't change; they are asked for again after so long, in case one did. */
const NUSPEC_TTL_MS = 24 * 60 * 60_000;

/** The packages of one source: those that are here for good, and all others from the source. */
export class UpstreamPackages {
  readonly #options: UpstreamPackagesOptions;

  constructor(options: UpstreamPackagesOptions) {
    this.#options = options;
  }

  /** @throws FeedUnavailableError when it isn't here, and the source can't give it */
  async package(identity: PackageIdentity, call: FeedCall): Promise<PackageContent | undefined> {
    const { packages, source } = this.#options;
    call.signal?.throwIfAborted();
    const content = packages.atHand?.(source, identity) ?? (await packages.find(source, identity));
    return content ?? this.#fetch(identity, call);
  }

  /** Null when the source said, when it last could, that it has no version of the package; undefined when nobody knows. */
  async known({ id }: PackageIdentity): Promise<null | undefined> {
    const lists = await this.#lists(id);
    return lists.length > 0 && lists.every(({ value }) => value === null) ? null : undefined;
  }

  /** @throws FeedUnavailableError when neither it nor its package is here, and the source can't give it */
  async nuspec(identity: PackageIdentity, call: FeedCall): Promise<Answer<Buffer> | undefined> {
    call.signal?.throwIfAborted();
    const stored = await this.#storedNuspec(identity);
    if (stored !== undefined) return stored;
    const { answers, calls, source } = this.#options;
    const question = {
      ...nuspecOf(identity),
      ttlMs: NUSPEC_TTL_MS,
      ask: (asked: FeedCall) =>
        calls.run(asked, async (provider, options) => {
          const nuspec = await provider.getNuspec(identity, options);
          if (nuspec !== undefined) checkNuspec(nuspec, identity, source);
          // Some sources of protocol 3 have packages and lists of them, and none of the nuspecs that go with these.
          else if (await isListed(provider, identity, options)) throw new NuGetError('UNSUPPORTED', 'no nuspec apart');
          return nuspec?.toString('base64');
        }),
    };
    try {
      const answer = await answers.ask<string>(question, call);
      return answer && { ...answer, value: Buffer.from(answer.value, 'base64') };
    } catch (error) {
      if (!isUnsupported(error)) throw error;
      return this.#nuspecOfPackage(identity, call);
    }
  }

  async #fetch(identity: PackageIdentity, call: FeedCall): Promise<PackageContent | undefined> {
    const { packages, answers, calls, source, sourceUrl, offline } = this.#options;
    const { key } = packageOf(identity);
    const { changes } = answers;
    const [missing, lists] = await Promise.all([answers.missing(key), this.#lists(identity.id)]);
    const isKnownMissing = missing !== undefined && !isListedSince(missing.asOf, lists, identity);
    if (isKnownMissing && (missing.isFresh || offline)) {
      call.onNothing?.(missing.isFresh ? 'hit' : 'stale');
      return undefined;
    }
    if (offline) throw new FeedUnavailableError(source, 'this server is offline');
    const expected = this.#expected(identity, lists);
    let content: PackageContent | undefined;
    try {
      const open: OpenUpstream = (signal, span, rest) =>
        calls.run({ signal, span }, (provider, options) => provider.downloadPackage(identity, { ...options, rest }));
      content = await packages.fetch(source, identity, open, expected, { ...call, sourceUrl });
    } catch (error) {
      call.signal?.throwIfAborted();
      if (!isKnownMissing || isStoreError(error)) throw unavailable(source, error);
      call.onNothing?.('stale');
      return undefined;
    }
    if (content === undefined) {
      call.onNothing?.('miss');
      await answers.noteMissing(key, changes);
    } else {
      if (missing !== undefined) await answers.noteThere(key);
      // What lists said before it came.
      for (const list of lists) if (list.value === null) await answers.noteThere(list.key);
    }
    return content;
  }

  /** What the source said last of all versions of a package, as far as it was asked. */
  async #lists(id: string): Promise<readonly KnownList[]> {
    const { answers } = this.#options;
    const lists = await Promise.all(
      [versionsOf(id), recordsOf(id)].map(async (place) => {
        const kept = await answers.last(place);
        return kept && { key: place.key, asOf: kept.asOf, value: kept.value as KnownList['value'] };
      }),
    );
    return lists.filter((list) => list !== undefined);
  }

  /**
   * What the package must be, as far as the source has ever said so. It isn't asked only for that (docs/decisions/014), but
   * before a package is refused for what it said once.
   */
  #expected(identity: PackageIdentity, lists: readonly KnownList[]): ExpectedPackage | undefined {
    const { answers, records } = this.#options;
    const { id } = identity;
    const { key } = recordsOf(id);
    const hash = hashIn(lists.find((list) => list.key === key)?.value as readonly PackageRecord[] | null, identity);
    if (hash === undefined) return undefined;
    const hashNow = async (signal: AbortSignal) => {
      await answers.forget([recordsOf(id)]);
      return hashIn((await records(id, { signal }))?.value, identity);
    };
    return { hash, hashNow };
  }

  async #storedNuspec(identity: PackageIdentity): Promise<Answer<Buffer> | undefined> {
    const { packages, source } = this.#options;
    const stored = await packages.find(source, identity);
    if (stored === undefined) return undefined;
    await using reader = await NupkgReader.open(stored.source(), { limits: PASSING_LIMITS });
    const asOf = stored.lastModified?.getTime() ?? 0;
    return { value: await reader.nuspecBytes(), state: 'hit', asOf };
  }

  /** From the whole package, where the source has no nuspecs apart. */
  async #nuspecOfPackage(identity: PackageIdentity, call: FeedCall): Promise<Answer<Buffer> | undefined> {
    const { source } = this.#options;
    const content = await this.#fetch(identity, call);
    if (content === undefined) return undefined;
    try {
      await finished(content.open().resume(), { signal: call.signal });
    } catch (error) {
      call.signal?.throwIfAborted();
      throw unavailable(source, error);
    }
    const stored = await this.#storedNuspec(identity);
    if (stored === undefined) throw new FeedUnavailableError(source, 'the package was there, but could not be kept');
    return { ...stored, state: 'miss' };
  }
}

function hashIn(records: readonly PackageRecord[] | null | undefined, identity: PackageIdentity) {
  return records?.find(isOf(identity))?.packageHash;
}

/** Whether the source has listed a version since it had not got it, as after it was published. */
function isListedSince(asOf: number, lists: readonly KnownList[], identity: PackageIdentity): boolean {
  return lists.some((list) => list.asOf > asOf && isAmong(list.value, identity));
}

function isAmong(versions: readonly ListedVersion[] | null, identity: PackageIdentity): boolean {
  return versions?.some(isOf(identity)) === true;
}

function isOf({ version }: PackageIdentity): (listed: ListedVersion) => boolean {
  const name = nameOf(version);
  return (listed) => listed.version.split('+', 1)[0]?.toLowerCase() === name;
}

async function isListed(provider: Provider, { id, version }: PackageIdentity, call: ProviderCall): Promise<boolean> {
  return (await provider.listVersions(id, call)).some((listed) => listed.equals(version));
}

/** @throws NuGetError when it is none, or that of another package */
function checkNuspec(nuspec: Buffer, { id, version }: PackageIdentity, source: string): void {
  const found = parseNuspec(nuspec);
  if (found.id.toLowerCase() === id.toLowerCase() && found.version.equals(version)) return;
  const what = `the nuspec of ${id} ${version} is that of ${found.id} ${found.version}`;
  throw new NuGetError('PROTOCOL', `${source}: ${what}`);
}

function isUnsupported(error: unknown): boolean {
  const cause = error instanceof FeedUnavailableError ? error.cause : error;
  return isNuGetError(cause) && cause.code === 'UNSUPPORTED';
}
