import {
  isPackageId,
  NuGetError,
  type PackageIdentity,
  PackageSourceMapping,
  type SearchOptions,
} from '@granary/nuget';
import type {
  Answer,
  FeedCall,
  FeedContent,
  FeedSignatures,
  ListedVersion,
  PackageContent,
  PushCall,
  ReceivedPackage,
  SearchAnswer,
  Vulnerability,
} from '../feed/feed-content.js';
import { askAll, combined, complete, type Heard } from '../feed/heard.js';
import type { PackageRecord } from '../feed/package-record.js';
import type { EmbeddedFile } from '../packages/embedded-file.js';
import { identityIn } from '../packages/identity-in.js';
import { askPast } from './asking-past.js';
import { firstToGive, lists } from './first-to-give.js';
import { MergedOnce, mergedRecords, mergedVersions } from './merged-lists.js';
import { mergedHits, mergedIds } from './merged-searches.js';
import { mergedVulnerabilities } from './merged-vulnerabilities.js';

export interface MergedFeedOptions {
  /** The first one that has a version gives it. The feed closes them. */
  readonly sources: readonly FeedContent[];
  /** Which packages may come from which source. Default: all from all. */
  readonly mapping?: PackageSourceMapping | undefined;
  /** Which of the sources takes pushes, deletes and relists. Default: none. */
  readonly pushTo?: FeedContent | undefined;
}

const DEFAULT_TAKE = 20;
/** Most results that are asked of each source for one page of them all. */
const MAX_TAKE = 1000;
const NOTHING: SearchAnswer = { total: 0, hits: [] };

/**
 * Several feeds as one. Each version comes from the first of the sources that has it, and that the mapping lets it come
 * from.
 *
 * What versions there are is only said when every source can tell: clients take the best version of a list, so one that
 * lacks those of a source that is down would have them take another one, or the same id of a stranger. Only a package that
 * was pushed here is served all the same, with the versions that are known of it. A version that is asked for by its number
 * comes from the first source that can give it, unless one before refuses it, and isn't there when all say so; searches and
 * vulnerabilities are what those know that can be asked. A source that has no such service at all is left out, as NuGet's
 * clients do.
 */
export class MergedFeed implements FeedContent {
  readonly name = 'all';
  readonly #sources: readonly FeedContent[];
  readonly #mapping: PackageSourceMapping;
  readonly #pushTo: FeedContent | undefined;
  readonly #versions = new MergedOnce(mergedVersions<ListedVersion>);
  readonly #records = new MergedOnce(mergedRecords);
  readonly #vulnerabilities = new MergedOnce(mergedVulnerabilities);
  #closing: Promise<void> | undefined;

  /** @throws NuGetError `INVALID_OPTION` */
  constructor({ sources, mapping = new PackageSourceMapping(), pushTo }: MergedFeedOptions) {
    const names = new Set(sources.map(({ name }) => name.toLowerCase()));
    if (names.size < sources.length) throw new NuGetError('INVALID_OPTION', 'two sources have the same name');
    this.#sources = sources;
    this.#mapping = mapping;
    this.#pushTo = pushTo;
  }

  async versions(id: string, call?: FeedCall): Promise<Answer<readonly ListedVersion[]> | undefined> {
    const heard = await askAll(this.#sourcesFor(id), (source, asked) => source.versions(id, asked), call);
    return complete(heard, (lists) => this.#versions.of(lists));
  }

  versionsAtHand(id: string): Answer<readonly ListedVersion[]> | null | undefined {
    const heard: Heard<readonly ListedVersion[]>[] = [];
    for (const source of this.#sourcesFor(id)) {
      const answer = source.versionsAtHand?.(id);
      if (answer === undefined) return undefined;
      heard.push({ source, answer: answer ?? undefined, error: undefined });
    }
    return complete(heard, (lists) => this.#versions.of(lists)) ?? null;
  }

  async records(id: string, call?: FeedCall): Promise<Answer<readonly PackageRecord[]> | undefined> {
    const heard = await askAll(this.#sourcesFor(id), (source, asked) => source.records(id, asked), call);
    return complete(heard, (lists) => this.#records.of(lists));
  }

  package(identity: PackageIdentity, call?: FeedCall): Promise<PackageContent | undefined> {
    const ask = (source: FeedContent, asked: FeedCall) => source.package(identity, asked);
    return this.#first(identity, ask, call, (content) => content.release());
  }

  nuspec(identity: PackageIdentity, call?: FeedCall): Promise<Answer<Buffer> | undefined> {
    return this.#first(identity, (source, asked) => source.nuspec(identity, asked), call);
  }

  /** From the source that the package comes from, and from no other, where it would be that of a stranger. */
  async embedded(identity: PackageIdentity, file: EmbeddedFile, call?: FeedCall): Promise<Answer<Buffer> | undefined> {
    const { id, version } = identity;
    const ask = async (source: FeedContent, asked: FeedCall) => {
      const answer = await source.embedded(identity, file, asked);
      return answer !== undefined || (await lists(source, id, version, asked)) ? { answer } : undefined;
    };
    return (await this.#first(identity, ask, call))?.answer;
  }

  async search(query: string, options: SearchOptions, call?: FeedCall): Promise<Answer<SearchAnswer>> {
    const [only] = this.#sources;
    if (only !== undefined && this.#isAlone) return only.search(query, options, call);
    const { skip = 0, take = DEFAULT_TAKE } = options;
    const ask = (source: FeedContent, each: FeedCall) =>
      askPast(
        boundsOf(skip + take),
        (most) => source.search(query, { ...options, skip: 0, take: most }, each),
        ({ hits, total }) => {
          if (hits.length >= total) return undefined;
          return { all: hits.length, wanted: hits.filter(({ record }) => this.#mayHave(source, record.id)).length };
        },
      );
    const heard = await askAll(this.#sources, ask, call);
    const found = combined(heard, () => {
      const parts = heard.map(({ source, answer }) => {
        return {
          answer: answer?.value ?? NOTHING,
          mayHave: (id: string) => this.#mayHave(source, id),
          isUnlisted: source.isUnlisted?.bind(source),
        };
      });
      return mergedHits(parts, { skip, take });
    });
    return found ?? { value: NOTHING, state: 'hit', asOf: 0 };
  }

  async autocomplete(prefix: string, options: SearchOptions, call?: FeedCall): Promise<Answer<readonly string[]>> {
    const [only] = this.#sources;
    if (only !== undefined && this.#isAlone) return only.autocomplete(prefix, options, call);
    const { skip = 0, take = DEFAULT_TAKE } = options;
    const ask = (source: FeedContent, each: FeedCall) =>
      askPast(
        boundsOf(skip + take),
        (most) => source.autocomplete(prefix, { ...options, skip: 0, take: most }, each),
        (ids) => ({ all: ids.length, wanted: ids.filter((id) => this.#mayHave(source, id)).length }),
      );
    const heard = await askAll(this.#sources, ask, call);
    const found = combined(heard, () => {
      const lists = heard.map(({ source, answer }) => answer?.value.filter((id) => this.#mayHave(source, id)) ?? []);
      return mergedIds(lists).slice(skip, skip + take);
    });
    return found ?? { value: [], state: 'hit', asOf: 0 };
  }

  async vulnerabilities(call?: FeedCall): Promise<Answer<ReadonlyMap<string, readonly Vulnerability[]>> | undefined> {
    const heard = await askAll(this.#sources, (source, asked) => source.vulnerabilities(asked), call);
    const known = combined(heard, (indexes) => this.#vulnerabilities.of(indexes));
    // Clients keep what they have until they are told of a change after it, which may be one of any source.
    return known && { ...known, asOf: Math.max(...heard.map(({ answer }) => answer?.asOf ?? 0)) };
  }

  /** Those of the one source that there is. */
  get signatures(): FeedSignatures | undefined {
    return this.#sources.length === 1 ? this.#sources[0]?.signatures : undefined;
  }

  async push(pkg: ReceivedPackage, call: PushCall): Promise<void> {
    const target = this.#target();
    if (this.#mapping.isEnabled) this.#checkShown(target, (await identityIn(pkg.path)).id);
    await target.push(pkg, call);
  }

  async delete(identity: PackageIdentity, call: PushCall): Promise<boolean> {
    return this.#targetFor(identity).delete(identity, call);
  }

  async relist(identity: PackageIdentity, call: PushCall): Promise<boolean> {
    return this.#targetFor(identity).relist(identity, call);
  }

  /** Closes the sources. May be called twice. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const closed = await Promise.allSettled(this.#sources.map((source) => source.close()));
    const failed = closed.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  #sourcesFor(id: string): readonly FeedContent[] {
    return this.#mapping.select(id, this.#sources);
  }

  #mayHave(source: FeedContent, id: string): boolean {
    return !this.#mapping.isEnabled || (isPackageId(id) && this.#mapping.select(id, [source]).length > 0);
  }

  /** Whether one source has all that there is: it knows where a page begins, where several are asked from their start. */
  get #isAlone(): boolean {
    return this.#sources.length === 1 && !this.#mapping.isEnabled;
  }

  #first<T>(
    identity: PackageIdentity,
    ask: (source: FeedContent, call: FeedCall) => Promise<T | undefined>,
    call: FeedCall | undefined,
    release?: (found: T) => void,
  ): Promise<T | undefined> {
    return firstToGive({ sources: this.#sourcesFor(identity.id), identity, ask, call, release });
  }

  #targetFor({ id }: PackageIdentity): FeedContent {
    const target = this.#target();
    this.#checkShown(target, id);
    return target;
  }

  /** @throws NuGetError `FORBIDDEN` for a package of the source that is none of this feed: nobody would find it here */
  #checkShown(target: FeedContent, id: string): void {
    if (this.#mayHave(target, id)) return;
    const why = `by its patterns, ${id} does not come from ${target.name}, which takes what is pushed here`;
    throw new NuGetError('FORBIDDEN', `${why}: ask the feed of the source that is meant`);
  }

  #target(): FeedContent {
    if (this.#pushTo !== undefined) return this.#pushTo;
    throw new NuGetError('UNSUPPORTED', 'none of the sources takes packages: `nuget.push_to` names the one that does');
  }
}

/** How many of each source one page of them all takes. */
function boundsOf(end: number) {
  return { least: Math.min(end, MAX_TAKE), most: MAX_TAKE };
}
