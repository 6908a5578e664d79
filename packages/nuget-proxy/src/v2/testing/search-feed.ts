import { NuGetVersion, type SearchOptions } from '@granary/nuget';
import type { FeedCall, SearchAnswer, SearchHit } from '../../feed/feed-content.js';
import type { PackageRecord } from '../../feed/package-record.js';
import { MemoryFeed } from '../../http/testing/memory-feed.js';

/** A feed whose searches find what they are asked for: listed versions, of the kind that is wanted, page by page. */
export class SearchFeed extends MemoryFeed {
  /** Most hits that it gives at once. */
  maxTake = Number.POSITIVE_INFINITY;
  /** Whether it says how many there are, or only how many it has given. */
  knowsTotal = true;
  /** Whether searches take notice of what the client understands. */
  knowsSemVer2 = true;
  /** Whose records were asked for, in order. */
  readonly asked: string[] = [];

  override async records(id: string, call?: FeedCall) {
    this.asked.push(id);
    return super.records(id, call);
  }

  override async search(query: string, options: SearchOptions, call?: FeedCall) {
    const answer = await super.search(query, options, call);
    const { skip = 0, take = 20 } = options;
    const all = answer.value.hits.flatMap((hit) => this.#hit(hit, options));
    const hits = all.slice(skip, skip + Math.min(take, this.maxTake));
    const value: SearchAnswer = { total: this.knowsTotal ? all.length : skip + hits.length, hits };
    return { ...answer, value };
  }

  #hit(hit: SearchHit, { includePrerelease = false, semVer2 = true }: SearchOptions): SearchHit[] {
    const records = (this.byId.get(hit.record.id.toLowerCase()) ?? []).filter((record) => {
      const version = NuGetVersion.parse(record.version);
      const isKnown = semVer2 || !this.knowsSemVer2 || !version.isSemVer2;
      return record.listed && isKnown && (includePrerelease || !version.isPrerelease);
    });
    const newest = records.at(-1);
    if (newest === undefined) return [];
    const versions = records.map(({ version }) => ({ version, downloads: 1 }));
    // Searches say less than registrations do.
    const record: PackageRecord = { ...newest, dependencyGroups: [], packageHash: undefined };
    return [{ ...hit, record, versions, totalDownloads: 10 * records.length }];
  }
}
