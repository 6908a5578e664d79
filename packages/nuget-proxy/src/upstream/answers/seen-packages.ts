import { NuGetVersion, type SearchOptions } from '@granary/nuget';
import { nodeTimers, type Timers } from '@granary/resilience';
import type { SearchAnswer, SearchHit } from '../../feed/feed-content.js';
import type { PackageRecord } from '../../feed/package-record.js';
import { shapes } from './answer-shapes.js';
import type { Place } from './kept-values.js';

/** What is remembered of a package that was seen. */
interface Seen {
  readonly id: string;
  /** The newest version seen, with its metadata. */
  readonly version: string;
  /** The newest that is no prerelease, for searches that take none. */
  readonly stable?: string | undefined;
  readonly title?: string | undefined;
  readonly description?: string | undefined;
  readonly tags?: readonly string[] | undefined;
  readonly packageTypes?: readonly string[] | undefined;
  /** None of its versions is listed: remembered, since lists of versions don't tell that. */
  readonly isHidden?: true | undefined;
}

export interface SeenPackagesOptions {
  /** What was kept under a key, however long ago. */
  readonly load: (place: Place) => Promise<unknown>;
  readonly save: (key: string, value: readonly unknown[]) => Promise<void>;
  readonly timers?: Timers | undefined;
}

/** Packages are kept in so many values, so that one that is new changes little of what is kept. */
const BUCKETS = 64;
/** Of each bucket; those that were seen first go first. */
const MAX_IN_BUCKET = 256;
/** How long what was seen waits for more: who restores asks for many packages, and each changes one of few values. */
const GATHER_MS = 1000;
/** Most packages that wait to be kept. */
const MAX_WAITING = 4096;
const MAX_DESCRIPTION = 300;
const DEFAULT_TAKE = 20;

/**
 * The packages that were seen, at most about 16 000, for searches that the source can't answer. Kept beside the answers,
 * so that they survive a restart; what can't be kept is only not found.
 */
export class SeenPackages {
  readonly #options: SeenPackagesOptions;
  readonly #buckets = new Map<number, Promise<Map<string, Seen>>>();
  /** By id in lower case. */
  readonly #waiting = new Map<string, Noted>();
  readonly #timers: Timers;
  #gathering: unknown;
  #working: Promise<void> | undefined;

  constructor(options: SeenPackagesOptions) {
    this.#options = options;
    this.#timers = options.timers ?? nodeTimers;
  }

  /** Records of one package, ascending. */
  noteRecords(records: readonly PackageRecord[]): void {
    const listed = records.filter((record) => record.listed);
    const newest = listed.at(-1) ?? records.at(-1);
    if (newest === undefined) return;
    const stable = listed.findLast(({ version }) => !isPrerelease(version))?.version;
    const isHidden = listed.length === 0 || undefined;
    // Also one that is empty tells it from what lists of versions say.
    const description = newest.description ?? '';
    this.#add({ seen: { ...seenOf({ ...newest, description }), stable, isHidden }, isAll: true });
  }

  /** All versions of one package, ascending; whether they are listed isn't known. */
  noteVersions(id: string, versions: readonly NuGetVersion[]): void {
    const newest = versions.at(-1);
    if (newest === undefined) return;
    const stable = versions.findLast((version) => !version.isPrerelease)?.toFullString();
    this.#add({ seen: { id, version: newest.toFullString(), stable }, isAll: true });
  }

  /** What a search found: one version of those that the package has. */
  note(record: Partial<PackageRecord> & Identified): void {
    const { version } = record;
    const stable = isPrerelease(version) ? undefined : version;
    this.#add({ seen: { ...seenOf(record), stable }, isAll: false });
  }

  /** Those whose id, title, description or tags have every word, the best first. */
  async search(query: string, options: SearchOptions = {}): Promise<SearchAnswer> {
    const words = query.toLowerCase().split(/\s+/).filter(Boolean);
    const scored: { readonly seen: Seen; readonly score: number }[] = [];
    for (const each of await this.#all()) {
      const version = versionFor(each, options);
      const score = version === undefined ? 0 : scoreOf(each, words);
      if (version !== undefined && score > 0) scored.push({ seen: { ...each, version }, score });
    }
    scored.sort((a, b) => b.score - a.score || (a.seen.id.toLowerCase() < b.seen.id.toLowerCase() ? -1 : 1));
    const { skip = 0, take = DEFAULT_TAKE } = options;
    return { total: scored.length, hits: scored.slice(skip, skip + take).map(({ seen }) => hitOf(seen)) };
  }

  /** Ids that begin so, in alphabetical order. */
  async complete(prefix: string, options: SearchOptions = {}): Promise<readonly string[]> {
    const start = prefix.toLowerCase();
    const { skip = 0, take = DEFAULT_TAKE } = options;
    const ids = (await this.#all())
      .filter((seen) => seen.id.toLowerCase().startsWith(start) && versionFor(seen, options) !== undefined)
      .map(({ id }) => id);
    return ids.sort((a, b) => (a.toLowerCase() < b.toLowerCase() ? -1 : 1)).slice(skip, skip + take);
  }

  /** Resolves when all that was noted is kept. */
  async flush(): Promise<void> {
    this.#begin();
    while (this.#working !== undefined) await this.#working;
  }

  #add(noted: Noted): void {
    const key = noted.seen.id.toLowerCase();
    const before = this.#waiting.get(key);
    if (before === undefined && this.#waiting.size >= MAX_WAITING) return;
    const isAll = noted.isAll || before?.isAll === true;
    this.#waiting.set(key, before === undefined ? noted : { seen: together(before.seen, noted), isAll });
    if (this.#working === undefined) this.#gather();
  }

  #gather(): void {
    this.#gathering ??= this.#timers.setTimeout(() => this.#begin(), GATHER_MS);
  }

  #begin(): void {
    if (this.#gathering === undefined) return;
    this.#timers.clearTimeout(this.#gathering);
    this.#gathering = undefined;
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined;
      if (this.#waiting.size > 0) this.#gather();
    });
  }

  async #work(): Promise<void> {
    while (this.#waiting.size > 0) {
      const byBucket = new Map<number, [string, Noted][]>();
      for (const each of this.#waiting) {
        const number = bucketOf(each[0]);
        const mine = byBucket.get(number);
        if (mine === undefined) byBucket.set(number, [each]);
        else mine.push(each);
      }
      this.#waiting.clear();
      await Promise.all(
        Array.from(byBucket, ([number, mine]) => this.#workOff(number, mine).catch(() => this.#buckets.delete(number))),
      );
    }
  }

  async #workOff(number: number, mine: readonly (readonly [string, Noted])[]): Promise<void> {
    const bucket = await this.#bucket(number);
    let changed = false;
    for (const [key, noted] of mine) {
      const known = bucket.get(key);
      const seen = known === undefined ? noted.seen : together(known, noted);
      if (known !== undefined && JSON.stringify(seen) === JSON.stringify(known)) continue;
      changed = true;
      bucket.delete(key);
      bucket.set(key, seen);
    }
    if (!changed) return;
    for (const oldest of bucket.keys()) {
      if (bucket.size <= MAX_IN_BUCKET) break;
      bucket.delete(oldest);
    }
    await this.#options.save(keyOf(number), [...bucket.values()]);
  }

  async #all(): Promise<Seen[]> {
    this.#begin();
    // What is noted from now on is for the next search.
    await this.#working;
    const buckets = await Promise.all(Array.from({ length: BUCKETS }, (_, number) => this.#bucket(number)));
    return buckets.flatMap((bucket) => [...bucket.values()]);
  }

  #bucket(number: number): Promise<Map<string, Seen>> {
    let bucket = this.#buckets.get(number);
    if (bucket === undefined) {
      bucket = this.#options.load({ key: keyOf(number), shape: shapes.seen }).then((kept) => {
        const seen = Array.isArray(kept) ? (kept as readonly Seen[]) : [];
        return new Map(seen.map((each) => [each.id.toLowerCase(), each]));
      });
      this.#buckets.set(number, bucket);
    }
    return bucket;
  }
}

/** What somebody said of a package. */
interface Noted {
  readonly seen: Seen;
  /** Whether it is about all versions of it. */
  readonly isAll: boolean;
}

interface Identified {
  readonly id: string;
  readonly version: string;
}

const keyOf = (bucket: number): string => `seen/${bucket}`;

function bucketOf(key: string): number {
  let hash = 0;
  for (let i = 0; i < key.length; i++) hash = (hash * 31 + key.charCodeAt(i)) | 0;
  return (hash >>> 0) % BUCKETS;
}

function seenOf({
  id,
  version,
  title,
  description,
  tags = [],
  packageTypes,
}: Partial<PackageRecord> & Identified): Seen {
  return {
    id,
    version,
    stable: undefined,
    title,
    description: description?.slice(0, MAX_DESCRIPTION),
    tags: tags.length > 0 ? tags.slice(0, 16) : undefined,
    packageTypes,
  };
}

/** A version list alone knows less of a package than its records do, not even what is listed; a search less of its versions. */
function together(known: Seen, { seen, isAll }: Noted): Seen {
  if (known.isHidden && !isAll) return seen;
  if (seen.description === undefined && known.description !== undefined) return known;
  if (isAll) return seen;
  const version = isBefore(seen.version, known.version) ? known.version : seen.version;
  return { ...seen, version, stable: seen.stable ?? known.stable };
}

function isPrerelease(version: string): boolean {
  return NuGetVersion.tryParse(version)?.isPrerelease ?? false;
}

function isBefore(a: string, b: string): boolean {
  const [left, right] = [NuGetVersion.tryParse(a), NuGetVersion.tryParse(b)];
  return left !== undefined && right !== undefined && NuGetVersion.compare(left, right) < 0;
}

/** The version of a package that such a search shows. */
function versionFor(seen: Seen, options: SearchOptions): string | undefined {
  const { version, stable, packageTypes, isHidden } = seen;
  if (isHidden) return undefined;
  const { includePrerelease, packageType, semVer2 } = options;
  const isOfType = (type: string) => type.toLowerCase() === packageType?.toLowerCase();
  if (packageType !== undefined && !(packageTypes ?? ['Dependency']).some(isOfType)) return undefined;
  return [version, stable].find((each) => {
    const parsed = each === undefined ? undefined : NuGetVersion.tryParse(each);
    if (parsed === undefined || (parsed.isPrerelease && includePrerelease !== true)) return false;
    return !parsed.isSemVer2 || semVer2 !== false;
  });
}

/** 0 for what hasn't got every word. */
function scoreOf({ id, title, description, tags }: Seen, words: readonly string[]): number {
  if (words.length === 0) return 1;
  const lower = id.toLowerCase();
  const text = `${title ?? ''}\n${description ?? ''}\n${tags?.join('\n') ?? ''}`.toLowerCase();
  let score = 0;
  for (const word of words) {
    const exact = /^(?:package)?id:"?([^"]+)"?$/.exec(word)?.[1];
    if (exact !== undefined) score += lower === exact ? 8 : Number.NEGATIVE_INFINITY;
    else if (lower === word) score += 8;
    else if (lower.startsWith(word)) score += 4;
    else if (lower.includes(word)) score += 2;
    else score += text.includes(word) ? 1 : Number.NEGATIVE_INFINITY;
  }
  return score;
}

function hitOf({ id, version, title, description, tags = [], packageTypes }: Seen): SearchHit {
  return {
    record: {
      id,
      version,
      listed: true,
      title,
      description,
      authors: [],
      owners: [],
      tags,
      packageTypes,
      dependencyGroups: [],
    },
    versions: [{ version, downloads: 0 }],
    totalDownloads: 0,
    verified: false,
  };
}
