import type { PackageIdentity } from '@granary/nuget';
import { FeedUnavailableError } from '../errors.js';
import type { Answer, FeedCall, ListedVersion, PackageContent } from '../feed/feed-content.js';
import type { PackageRecord } from '../feed/package-record.js';
import { isTooMuch, OFFLINE, SILENT, unavailable } from '../feed/upstream-failures.js';
import { versionName } from '../feed/version-name.js';
import type { ExpectedPackage } from '../packages/arriving/receive-package.js';
import type { OpenUpstream } from '../packages/package-store.js';
import type { KeptAnswers } from './answers/kept-answers.js';
import type { UpstreamCalls } from './upstream-calls.js';
import type { PackageKeeper } from './upstream-feed-options.js';
import { packagePlace, recordsPlace, versionsPlace } from './upstream-places.js';

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
    return content ?? this.fetch(identity, call);
  }

  /** Null when the source said, when it last could, that it has no version of the package; undefined when nobody knows. */
  async known({ id }: PackageIdentity): Promise<null | undefined> {
    const lists = await this.#lists(id);
    return lists.length > 0 && lists.every(({ value }) => value === null) ? null : undefined;
  }

  /** Whether the source has listed a version since, at that time, it said that it has no such thing. */
  async isListedSince(asOf: number, identity: PackageIdentity): Promise<boolean> {
    return isListedSince(asOf, await this.#lists(identity.id), identity);
  }

  /**
   * The package, which isn't here, from the source.
   *
   * @throws FeedUnavailableError when the source can't give it
   */
  async fetch(identity: PackageIdentity, call: FeedCall): Promise<PackageContent | undefined> {
    const { packages, answers, calls, source, sourceUrl } = this.#options;
    const isNotAsked = this.#options.offline || call.localOnly === true;
    const { key } = packagePlace(identity);
    const { changes } = answers;
    const [missing, lists] = await Promise.all([answers.missing(key), this.#lists(identity.id)]);
    const isKnownMissing = missing !== undefined && !isListedSince(missing.asOf, lists, identity);
    if (isKnownMissing && (missing.isFresh || isNotAsked)) {
      call.onNothing?.(missing.isFresh ? 'hit' : 'stale');
      return undefined;
    }
    if (isNotAsked) throw new FeedUnavailableError(source, call.localOnly ? SILENT : OFFLINE);
    const expected = this.#expected(identity, lists);
    let content: PackageContent | undefined;
    try {
      const open: OpenUpstream = (signal, span, rest) =>
        calls.runInTime({ signal, span }, (provider, options) =>
          provider.downloadPackage(identity, { ...options, rest }),
        );
      content = await packages.fetch(source, identity, open, expected, { ...call, sourceUrl });
    } catch (error) {
      call.signal?.throwIfAborted();
      if (!isKnownMissing || isTooMuch(error)) throw unavailable(source, error);
      call.onNothing?.('stale');
      return undefined;
    }
    if (content === undefined) {
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
      [versionsPlace(id), recordsPlace(id)].map(async (place) => {
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
    const { key } = recordsPlace(id);
    const hash = hashIn(lists.find((list) => list.key === key)?.value as readonly PackageRecord[] | null, identity);
    if (hash === undefined) return undefined;
    const hashNow = async (signal: AbortSignal) => {
      await answers.forget([recordsPlace(id)]);
      return hashIn((await records(id, { signal }))?.value, identity);
    };
    return { hash, hashNow };
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
  const name = versionName(version);
  return (listed) => listed.version.split('+', 1)[0]?.toLowerCase() === name;
}
