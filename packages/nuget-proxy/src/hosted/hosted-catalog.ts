import { setImmediate } from 'node:timers/promises';
import type { PackageRecord } from '../feed/package-record.js';
import { type Face, HostedPackage, type HostedVersion } from './hosted-package.js';
import { SearchQuery } from './search-query.js';

/** What somebody may see, and which part of it. */
export interface View {
  readonly includePrerelease: boolean;
  readonly semVer2: boolean;
  readonly packageType: string | undefined;
  readonly skip: number;
  readonly take: number;
}

export interface Found {
  readonly package: HostedPackage;
  readonly face: Face;
}

/** How many packages are looked at before others get their turn: some milliseconds. */
const SLICE = 5000;

/** All that is hosted, by id, in memory. */
export class HostedCatalog {
  readonly #byId = new Map<string, HostedPackage>();
  /** By id; a new list when there is a new one and it is needed. */
  #sorted: readonly HostedPackage[] = [];
  #added: HostedPackage[] = [];
  #versions = 0;

  get ids(): number {
    return this.#byId.size;
  }

  get versions(): number {
    return this.#versions;
  }

  /** `id/version` of everything, normalized and in lower case. */
  *keys(): Generator<string> {
    for (const { key, versions } of this.#byId.values()) for (const { version } of versions) yield `${key}/${version}`;
  }

  get(id: string): HostedPackage | undefined {
    return this.#byId.get(id.toLowerCase());
  }

  version(id: string, version: string): HostedVersion | undefined {
    return this.get(id)?.find(version);
  }

  /** Adds many, or what is new of one. @param recordOf what is known of any version */
  put(records: readonly PackageRecord[], recordOf: (id: string, version: string) => PackageRecord | undefined): void {
    const changed = new Set<HostedPackage>();
    for (const record of records) {
      const pkg = this.#package(record.id);
      this.#versions -= pkg.versions.length;
      pkg.put(record);
      this.#versions += pkg.versions.length;
      changed.add(pkg);
    }
    for (const pkg of changed) pkg.lookAgain((version) => recordOf(pkg.key, version));
  }

  /** The best first, then by id. @throws the signal's reason */
  async search(text: string, view: View, signal: AbortSignal | undefined): Promise<{ total: number; found: Found[] }> {
    const query = new SearchQuery(text);
    const byScore = new Map<number, Found[]>();
    let total = 0;
    let looked = 0;
    for (const pkg of this.#inOrder()) {
      if (++looked % SLICE === 0) {
        await setImmediate();
        signal?.throwIfAborted();
      }
      const face = visibleFace(pkg, view);
      if (face === undefined) continue;
      const score = query.score(pkg, face);
      if (score === 0) continue;
      total++;
      const found = { package: pkg, face };
      const equals = byScore.get(score);
      if (equals === undefined) byScore.set(score, [found]);
      else equals.push(found);
    }
    return { total, found: pageOf(byScore, view) };
  }

  /** Ids that begin so, in order. */
  complete(prefix: string, view: View): Found[] {
    const start = prefix.toLowerCase();
    const found: Found[] = [];
    let skip = view.skip;
    const all = this.#inOrder();
    for (let i = firstFrom(all, start); found.length < view.take; i++) {
      const pkg = all[i];
      if (!pkg?.key.startsWith(start)) break;
      const face = visibleFace(pkg, view);
      if (face !== undefined && skip-- <= 0) found.push({ package: pkg, face });
    }
    return found;
  }

  #package(id: string): HostedPackage {
    const key = id.toLowerCase();
    let pkg = this.#byId.get(key);
    if (pkg === undefined) {
      pkg = new HostedPackage(key);
      this.#byId.set(key, pkg);
      this.#added.push(pkg);
    }
    return pkg;
  }

  #inOrder(): readonly HostedPackage[] {
    if (this.#added.length > 0) {
      this.#sorted = [...this.#sorted, ...this.#added].sort((a, b) => (a.key < b.key ? -1 : 1));
      this.#added = [];
    }
    return this.#sorted;
  }
}

/** Where those begin that don't come before a text. */
function firstFrom(sorted: readonly HostedPackage[], text: string): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] as HostedPackage).key < text) low = middle + 1;
    else high = middle;
  }
  return low;
}

function visibleFace(pkg: HostedPackage, { includePrerelease, semVer2, packageType }: View): Face | undefined {
  const face = pkg.face(includePrerelease, semVer2);
  return packageType === undefined || face?.packageTypes.includes(packageType) ? face : undefined;
}

function pageOf(byScore: ReadonlyMap<number, readonly Found[]>, { skip, take }: View): Found[] {
  const page: Found[] = [];
  let left = skip;
  for (const score of [...byScore.keys()].sort((a, b) => b - a)) {
    const equals = byScore.get(score) as readonly Found[];
    page.push(...equals.slice(left, left + take - page.length));
    left = Math.max(0, left - equals.length);
    if (page.length === take) break;
  }
  return page;
}
