import { NuGetVersion, type SearchOptions } from '@granary/nuget';
import { shapes } from './answer-shapes.js';
import type { SearchAnswer, SearchHit } from './feed-content.js';
import type { Place } from './kept-values.js';
import type { PackageRecord } from './package-record.js';

/** What is remembered of a package that was seen. */
interface Seen {
  readonly id: string;
  /** The newest version seen, with its metadata. */
  readonly version: string;
  readonly title?: string | undefined;
  readonly description?: string | undefined;
  readonly tags?: readonly string[] | undefined;
  readonly packageTypes?: readonly string[] | undefined;
}

export interface SeenPackagesOptions {
  /** What was kept under a key, however long ago. */
  readonly load: (place: Place) => Promise<unknown>;
  readonly save: (key: string, value: readonly unknown[]) => Promise<void>;
}

/** Packages are kept in so many values, so that one that is new changes little of what is kept. */
const BUCKETS = 64;
/** Of each bucket; those that were seen first go first. */
const MAX_IN_BUCKET = 256;
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
  readonly #waiting = new Map<string, Seen>();
  #working: Promise<void> | undefined;

  constructor(options: SeenPackagesOptions) {
    this.#options = options;
  }

  /** Records of one package, ascending. */
  noteRecords(records: readonly PackageRecord[]): void {
    const newest = records.findLast(({ listed }) => listed);
    if (newest !== undefined) this.note(newest);
  }

  note({ id, version, title, description, tags = [], packageTypes }: Partial<PackageRecord> & Identified): void {
    this.#add({
      id,
      version,
      title,
      description: description?.slice(0, MAX_DESCRIPTION),
      tags: tags.length > 0 ? tags.slice(0, 16) : undefined,
      packageTypes,
    });
  }

  /** Those whose id, title, description or tags have every word, the best first. */
  async search(query: string, options: SearchOptions = {}): Promise<SearchAnswer> {
    const words = query.toLowerCase().split(/\s+/).filter(Boolean);
    const scored: { readonly seen: Seen; readonly score: number }[] = [];
    for (const seen of await this.#all()) {
      if (!fits(seen, options)) continue;
      const score = scoreOf(seen, words);
      if (score > 0) scored.push({ seen, score });
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
      .filter((seen) => seen.id.toLowerCase().startsWith(start) && fits(seen, options))
      .map(({ id }) => id);
    return ids.sort((a, b) => (a.toLowerCase() < b.toLowerCase() ? -1 : 1)).slice(skip, skip + take);
  }

  /** Resolves when all that was noted is kept. */
  async flush(): Promise<void> {
    while (this.#working !== undefined) await this.#working;
  }

  #add(seen: Seen): void {
    const key = seen.id.toLowerCase();
    if (!this.#waiting.has(key) && this.#waiting.size >= MAX_WAITING) return;
    this.#waiting.set(key, seen);
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined;
    });
  }

  async #work(): Promise<void> {
    // Those of one turn are kept together.
    await Promise.resolve();
    for (let first = nextOf(this.#waiting); first !== undefined; first = nextOf(this.#waiting)) {
      const number = bucketOf(first);
      try {
        await this.#workOff(number);
      } catch {
        this.#buckets.delete(number);
      }
    }
  }

  async #workOff(number: number): Promise<void> {
    const mine = [...this.#waiting].filter(([key]) => bucketOf(key) === number);
    for (const [key] of mine) this.#waiting.delete(key);
    const bucket = await this.#bucket(number);
    let changed = false;
    for (const [key, seen] of mine) {
      const known = bucket.get(key);
      if (known !== undefined && !saysMore(seen, known)) continue;
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

function nextOf(waiting: ReadonlyMap<string, Seen>): string | undefined {
  for (const key of waiting.keys()) return key;
  return undefined;
}

/** A version list alone knows less of a package than its records do. */
function saysMore(seen: Seen, known: Seen): boolean {
  if (seen.description === undefined && known.description !== undefined) return false;
  return JSON.stringify(seen) !== JSON.stringify(known);
}

function fits({ version, packageTypes }: Seen, { includePrerelease, packageType, semVer2 }: SearchOptions): boolean {
  const parsed = NuGetVersion.tryParse(version);
  if (parsed === undefined || (parsed.isPrerelease && includePrerelease !== true)) return false;
  if (parsed.isSemVer2 && semVer2 === false) return false;
  if (packageType === undefined) return true;
  return (packageTypes ?? ['Dependency']).some((type) => type.toLowerCase() === packageType.toLowerCase());
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
