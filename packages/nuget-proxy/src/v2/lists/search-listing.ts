import { isNuGetError, NuGetVersion, type SearchOptions } from '@granary/nuget';
import { FeedUnavailableError } from '../../errors.js';
import { AT_ONCE, mapAtOnce } from '../../feed/batches.js';
import type { Answer, FeedCall, FeedContent, SearchAnswer, SearchHit } from '../../feed/feed-content.js';
import { type Origin, originOf } from '../../feed/heard.js';
import type { PackageRecord } from '../../feed/package-record.js';
import { HttpError } from '../../http/http-error.js';
import type { Continuation, ODataQuery } from '../odata-query.js';
import { countOf, PAGE_SIZE, type Page } from './list-page.js';
import { historyOf, type PackageEntry } from './package-history.js';

export interface SearchInit {
  readonly text: string;
  /** What is searched for instead where there are too many packages to look through. */
  readonly word?: string | undefined;
  readonly includePrerelease: boolean;
  /** Short names of target frameworks that packages should fit. */
  readonly frameworks?: readonly string[] | undefined;
}

/** Hits that are asked for at once. */
const BLOCK = 100;
/** Searches go no further: the largest feed answers nothing behind that. */
const MAX_HITS = 3000;
/** Most hits that are put in an order. Of more, the best ones come first, as the sources see it. */
const MAX_SORTED = 1000;
/** Packages whose versions one request may look at. What is left comes on the next page. */
const MAX_LOADED = 200;
/** What searches say of the version that they found, as far as they say it. */
const TOLD: ReadonlySet<string> = new Set(['Version', 'NormalizedVersion', 'IsPrerelease', 'Tags']);

/** A hit's versions that are on the list, and where it is among the hits. */
interface Found {
  readonly hit: number;
  /** Undefined when the hit alone tells that there is none. */
  readonly versions: readonly PackageEntry[] | undefined;
}

/** What is left of the hits behind those that `$skip` took off. */
interface PassedOver {
  /** How many versions it takes off still. */
  readonly skip: number;
  readonly passed: number;
  /** The first hit that is left. */
  readonly step: IteratorResult<SearchHit>;
}

/** Where a page begins: at a hit, behind some of its versions. */
interface Begin extends Omit<PassedOver, 'passed'> {
  readonly hits: AsyncGenerator<SearchHit, void>;
  readonly hit: number;
  readonly version: number;
}

interface Filled {
  readonly entries: readonly PackageEntry[];
  readonly next: Omit<Continuation, 'top'> | undefined;
}

/**
 * What a search finds, as a list of versions. Which versions of a hit are on it is up to the request: mostly the newest
 * one; without a filter all that are listed. Feeds are asked for their records, since searches don't say what a package
 * depends on.
 *
 * A page's token says at which hit it begins, and behind how many versions of it.
 */
export class SearchListing {
  readonly #feed: FeedContent;
  readonly #query: ODataQuery;
  #text: string;
  readonly #word: string | undefined;
  readonly #options: SearchOptions;
  readonly #call: FeedCall;
  readonly #includePrerelease: boolean;
  /** When the list has one version of each package at most: which. */
  readonly #newest: 'stable' | 'absolute' | undefined;
  #begun: Answer<SearchAnswer> | undefined;
  #origin: Origin | undefined;

  constructor(feed: FeedContent, query: ODataQuery, init: SearchInit, call: FeedCall) {
    const { text, word, includePrerelease, frameworks = [] } = init;
    const newest = query.filter?.newest;
    this.#feed = feed;
    this.#query = query;
    this.#text = text;
    this.#word = word;
    this.#call = call;
    this.#includePrerelease = includePrerelease;
    // The newest one of all may be a prerelease, which isn't wanted then: that takes a look at each package.
    this.#newest = newest === 'absolute' && !includePrerelease ? undefined : newest;
    this.#options = {
      includePrerelease: includePrerelease && this.#newest !== 'stable',
      semVer2: query.semVer2,
      supportedFrameworks: frameworks.length === 0 ? undefined : frameworks,
    };
  }

  /** @throws HttpError 400 for a token that isn't ours */
  async page(): Promise<Page> {
    const { top, skip, token, wantsCount } = this.#query;
    const { hit, version } = positionIn(token);
    await this.#narrow();
    const hits = this.#hits(hit);
    const begin = await this.#passOver(hits, skip);
    const { entries, next } = await this.#fill({ hits, ...begin, hit: hit + begin.passed, version });
    const rest = top === undefined ? undefined : top - entries.length;
    return {
      entries,
      next: next === undefined || rest === 0 ? undefined : { ...next, top: rest },
      count: wantsCount ? await this.#length() : undefined,
    };
  }

  /** Goes past what `$skip` takes off as far as hits tell it by themselves. */
  async #passOver(hits: AsyncGenerator<SearchHit, void>, skip: number): Promise<PassedOver> {
    let left = skip;
    let passed = 0;
    let step = await hits.next();
    for (; !step.done && left > 0; step = await hits.next()) {
      const isOn = this.#isOn(step.value);
      if (isOn === undefined) break;
      if (isOn) left -= 1;
      passed += 1;
    }
    return { skip: left, passed, step };
  }

  /** Versions from a place on until the page is full, and where the next one begins when there may be more. */
  async #fill({ hits, step, skip, hit: first, version }: Begin): Promise<Filled> {
    const wanted = this.#query.top ?? Number.POSITIVE_INFINITY;
    const entries: PackageEntry[] = [];
    let [left, passed, loaded] = [skip, version, 0];
    for await (const { hit, versions } of this.#found(first, step, hits)) {
      if (versions === undefined) continue;
      if (loaded++ === MAX_LOADED) return { entries, next: { token: `${hit}-0`, skip: left } };
      for (const [index, entry] of versions.entries()) {
        if (index < passed) continue;
        if (entries.length === Math.min(wanted, PAGE_SIZE))
          return { entries, next: { token: `${hit}-${index}`, skip: left } };
        if (left > 0) left -= 1;
        else entries.push(entry);
      }
      passed = 0;
      if (entries.length === wanted) break;
    }
    return { entries, next: undefined };
  }

  /** How many the request wants. */
  async count(): Promise<number> {
    await this.#narrow();
    return countOf(await this.#length(), this.#query);
  }

  /** Where the list comes from; for after something of it was read. */
  get origin(): Origin {
    return this.#origin ?? { state: 'hit', asOf: 0 };
  }

  /** Searches for the filter's word where the packages that it takes would be out of reach among all others. */
  async #narrow(): Promise<void> {
    if (this.#word === undefined) return;
    const { total } = (await this.#search(0, BLOCK)).value;
    if (total <= MAX_SORTED) return;
    this.#text = this.#word;
    this.#begun = undefined;
  }

  async #length(): Promise<number> {
    const { total } = (this.#begun ?? (await this.#search(0, BLOCK))).value;
    // Some sources find more than this client understands: of few packages that costs no further search.
    if (this.#newest !== undefined && this.#query.filter?.isOnlyNewest && total >= BLOCK) return total;
    if (total > MAX_SORTED) return this.#atMost(total);
    const open: SearchHit[] = [];
    let length = 0;
    for await (const hit of this.#ranked(0, MAX_SORTED)) {
      const isOn = this.#isOn(hit);
      if (isOn === undefined && open.push(hit) > MAX_LOADED) return this.#atMost(total);
      if (isOn) length += 1;
    }
    const lists = await mapAtOnce(open, (hit) => this.#versionsOf(hit));
    return lists.reduce((sum, versions) => sum + versions.length, length);
  }

  /** For who pages by a number: with too high a one the last pages are empty, as they are where galleries count hits. */
  #atMost(total: number): number {
    if (this.#newest === undefined) throw new HttpError(400, 'too many packages to count all of their versions');
    return total;
  }

  /** From a hit on, with as many of them looked at together as a page takes, up to a few. */
  async *#found(
    from: number,
    begun: IteratorResult<SearchHit>,
    hits: AsyncGenerator<SearchHit, void>,
  ): AsyncGenerator<Found> {
    const atOnce = Math.max(1, Math.min(AT_ONCE, this.#query.top ?? AT_ONCE));
    let first = from;
    let step = begun;
    while (!step.done) {
      const some: SearchHit[] = [];
      for (; !step.done && some.length < atOnce; step = await hits.next()) some.push(step.value);
      const lists = await mapAtOnce(some, async (hit) => {
        return this.#isOn(hit) === false ? undefined : this.#versionsOf(hit);
      });
      for (const versions of lists) yield { hit: first++, versions };
    }
  }

  async *#hits(from: number): AsyncGenerator<SearchHit, void> {
    const sorted = await this.#sorted();
    yield* sorted === undefined ? this.#ranked(from) : sorted.slice(from);
  }

  /** In the order that is asked for; undefined when none is, and when there are too many. */
  async #sorted(): Promise<readonly SearchHit[] | undefined> {
    const { order } = this.#query;
    if (order === undefined) return undefined;
    const { total } = (await this.#search(0, BLOCK)).value;
    if (total > MAX_SORTED) return undefined;
    const found: { readonly hit: SearchHit; readonly entry: PackageEntry }[] = [];
    for await (const hit of this.#ranked(0, MAX_SORTED)) {
      if (found.push({ hit, entry: entryOf(hit) }) > MAX_SORTED) return undefined;
    }
    return found.sort((a, b) => order(a.entry, b.entry)).map(({ hit }) => hit);
  }

  /**
   * As the sources rank them, from one of them on.
   *
   * @param more how many are asked for at once after the first ones
   */
  async *#ranked(from: number, more = BLOCK): AsyncGenerator<SearchHit, void> {
    let take = BLOCK;
    for (let skip = from; skip < MAX_HITS; take = more) {
      const { hits, total } = (await this.#search(skip, take)).value;
      yield* hits;
      skip += hits.length;
      // A source may give less than it is asked for, or not know how many there are.
      if (hits.length === 0 || (hits.length < take && skip >= total)) return;
    }
  }

  async #search(skip: number, take: number): Promise<Answer<SearchAnswer>> {
    const answer = await this.#feed.search(this.#text, { ...this.#options, skip, take }, this.#call);
    this.#begun ??= answer;
    this.#heard(answer);
    return answer;
  }

  #heard(part: Origin): void {
    this.#origin = originOf(this.#origin ?? part, part);
  }

  /**
   * Whether one version of a hit is on the list, or none, without a look at its records; undefined when that takes one.
   */
  #isOn(hit: SearchHit): boolean | undefined {
    const isNewest = this.#isNewest(hit);
    const decided = this.#query.filter?.decides(entryOf(hit), (name) => {
      return name === 'Id' || (isNewest && (TOLD.has(name) || this.#isKnownFlag(name)));
    });
    // What takes any version of the package may take several.
    return isNewest || decided === false ? decided : undefined;
  }

  /** Whether a hit shows the one version of its package that can be on the list. */
  #isNewest({ record }: SearchHit): boolean {
    if (this.#newest === undefined || !record.listed) return false;
    const version = NuGetVersion.tryParse(record.version);
    if (version === undefined || (this.#newest === 'stable' && version.isPrerelease)) return false;
    return this.#query.semVer2 || !version.isSemVer2;
  }

  /** Behind the newest stable version a prerelease may come. */
  #isKnownFlag(name: string): boolean {
    return name === 'IsLatestVersion' || (name === 'IsAbsoluteLatestVersion' && this.#newest === 'absolute');
  }

  async #versionsOf(hit: SearchHit): Promise<readonly PackageEntry[]> {
    const { filter, order, semVer2 } = this.#query;
    const history = historyOf(await this.#recordsOf(hit), semVer2);
    const visible = history.filter((entry) => this.#isWanted(entry) && (filter?.accepts(entry) ?? true));
    // What was counted when a page was passed over must be there when it is looked at.
    const versions = visible.length === 0 && this.#isOn(hit) ? historyOf([hit.record], true) : visible;
    const counted = versions.map((entry) => ({ ...entry, totalDownloads: hit.totalDownloads || undefined }));
    return order === undefined ? counted : counted.sort(order);
  }

  #isWanted({ record, version }: PackageEntry): boolean {
    return record.listed && (this.#includePrerelease || !version.isPrerelease);
  }

  /** A package is shown as the search shows it when its feed says no more of it now. */
  async #recordsOf(hit: SearchHit): Promise<readonly PackageRecord[]> {
    try {
      const answer = await this.#feed.records(hit.record.id, this.#call);
      if (answer !== undefined) this.#heard(answer);
      return answer?.value ?? [hit.record];
    } catch (error) {
      this.#call.signal?.throwIfAborted();
      if (error instanceof FeedUnavailableError || isNuGetError(error)) return [hit.record];
      throw error;
    }
  }
}

function entryOf(hit: SearchHit): PackageEntry {
  const [entry] = historyOf([hit.record], true);
  return { ...(entry as PackageEntry), totalDownloads: hit.totalDownloads || undefined };
}

function positionIn(token: string | undefined): { readonly hit: number; readonly version: number } {
  if (token === undefined) return { hit: 0, version: 0 };
  const [, hit, version] = /^(\d{1,5})-(\d{1,6})$/.exec(token) ?? [];
  if (hit === undefined) throw new HttpError(400, '$skiptoken is none that a page here has named');
  return { hit: Number(hit), version: Number(version) };
}
