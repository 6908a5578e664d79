import { createReadStream } from 'node:fs';
import {
  NuGetError,
  type PackageIdentity,
  type Provider,
  type PushOptions,
  type SearchOptions,
  shownUrl,
} from '@granary/nuget';
import { nodeTimers } from '@granary/resilience';
import { nullLogger, withSpan } from '@granary/telemetry';
import { FeedUnavailableError } from '../errors.js';
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
import type { PackageRecord } from '../feed/package-record.js';
import { type IsOwnUrl, recordOf } from '../feed/record-of.js';
import { isTooMuch, refusal } from '../feed/upstream-failures.js';
import { versionName } from '../feed/version-name.js';
import type { EmbeddedFile } from '../packages/embedded-file.js';
import { identityIn } from '../packages/identity-in.js';
import { KeptAnswers, type Question } from './answers/kept-answers.js';
import type { Place } from './answers/kept-values.js';
import { SeenPackages } from './answers/seen-packages.js';
import { completedIds } from './completed-ids.js';
import { searchAnswerOf, vulnerabilitiesOf } from './said-by-source.js';
import { UpstreamAddresses } from './upstream-addresses.js';
import { type ProviderCall, UpstreamCalls } from './upstream-calls.js';
import type { UpstreamFeedOptions } from './upstream-feed-options.js';
import { UpstreamFiles } from './upstream-files.js';
import { UpstreamHealth, type UpstreamStatus } from './upstream-health.js';
import { UpstreamPackages } from './upstream-packages.js';
import {
  embeddedPlace,
  idsPlace,
  nuspecPlace,
  packagePlace,
  recordsPlace,
  searchPlace,
  versionsPlace,
  vulnerabilitiesPlace,
} from './upstream-places.js';
import { UpstreamSignatures } from './upstream-signatures.js';

const MINUTE_MS = 60_000;
const NO_ADDRESSES: readonly string[] = [];

/**
 * One source, as far as it answers, and as far as it was seen when it doesn't. Answers are fresh for a while and are
 * asked for again then; stale ones are given when the source fails or takes too long. Packages are kept for good.
 */
export class UpstreamFeed implements FeedContent {
  readonly name: string;
  readonly signatures: FeedSignatures;
  readonly #options: UpstreamFeedOptions;
  readonly #health: UpstreamHealth;
  readonly #calls: UpstreamCalls;
  readonly #answers: KeptAnswers;
  readonly #packages: UpstreamPackages;
  readonly #files: UpstreamFiles;
  /** For traces. */
  readonly #sourceUrl: string | undefined;
  readonly #seen: SeenPackages;
  /** By what they were made of. */
  readonly #vulnerabilities = new WeakMap<object, ReadonlyMap<string, readonly Vulnerability[]>>();
  /** By what the source says. */
  readonly #addresses = new WeakMap<readonly string[], UpstreamAddresses>();
  #closing: Promise<void> | undefined;

  constructor(options: UpstreamFeedOptions) {
    const { name, upstream, packages, layers, offline = false } = options;
    const { staleAfterMs = 1000, maxWaitMs = MINUTE_MS / 2, restMs = 5000, notFoundTtlMs = MINUTE_MS / 2 } = options;
    const { clock = Date.now, logger = nullLogger, metrics: collector, tracer, timers } = options;
    const source = name;
    const health = new UpstreamHealth(name, staleAfterMs, clock, logger);
    const waits = { source, health, staleAfterMs, maxWaitMs, restMs, notFoundTtlMs, offline, clock, timers };
    this.name = name;
    this.#sourceUrl = upstream.sourceUrl && shownUrl(upstream.sourceUrl);
    this.#options = options;
    this.#health = health;
    this.#calls = new UpstreamCalls({ ...waits, upstream });
    this.#answers = new KeptAnswers({ ...waits, layers, logger, collector, tracer });
    this.#packages = new UpstreamPackages({
      source,
      sourceUrl: this.#sourceUrl,
      packages,
      answers: this.#answers,
      calls: this.#calls,
      offline,
      records: (id, call) => this.#records(id, call),
    });
    this.#files = new UpstreamFiles({
      source,
      packages,
      answers: this.#answers,
      calls: this.#calls,
      fetch: (identity, call) => this.#packages.fetch(identity, call),
      isListedSince: (asOf, identity) => this.#packages.isListedSince(asOf, identity),
      isOwn: (provider, call) => this.#isOwn(provider, call),
    });
    const patience = { staleAfterMs, timers: timers ?? nodeTimers };
    this.signatures = new UpstreamSignatures({ answers: this.#answers, calls: this.#calls, ...patience });
    this.#seen = new SeenPackages({
      load: async (place) => (await this.#answers.last(place))?.value,
      save: (key, value) => this.#answers.keep(key, value),
      timers,
    });
  }

  async versions(id: string, call?: FeedCall): Promise<Answer<readonly ListedVersion[]> | undefined> {
    const ask = this.#asking(async (provider, asked) => {
      const versions = await provider.listVersions(id, asked);
      if (versions.length === 0) return undefined;
      this.#seen.noteVersions(id, versions);
      await this.#noteThere(recordsPlace(id));
      return versions.map((version) => ({ version: versionName(version) }));
    }, id);
    const ttlMs = this.#options.versionsTtlMs ?? 2 * MINUTE_MS;
    const known = async () => {
      const kept = await this.#answers.last(recordsPlace(id));
      if (kept === undefined || kept.value === null) return kept && null;
      const records = kept.value as readonly PackageRecord[];
      const value = records.map(({ version }) => ({ version: (version.split('+', 1)[0] as string).toLowerCase() }));
      return { value, state: 'stale', asOf: kept.asOf } as const;
    };
    return this.#unlessDead(call, () => this.#answers.ask({ ...versionsPlace(id), ttlMs, ask }, call), known);
  }

  versionsAtHand(id: string): Answer<readonly ListedVersion[]> | null | undefined {
    return this.#answers.atHand({ ...versionsPlace(id), ttlMs: this.#options.versionsTtlMs ?? 2 * MINUTE_MS });
  }

  async records(id: string, call?: FeedCall): Promise<Answer<readonly PackageRecord[]> | undefined> {
    const known = async () => {
      const kept = await this.#answers.last(versionsPlace(id));
      return kept?.value === null ? null : undefined;
    };
    return this.#unlessDead(call, () => this.#records(id, call), known);
  }

  package(identity: PackageIdentity, call: FeedCall = {}): Promise<PackageContent | undefined> {
    return this.#unlessDead(
      call,
      () => this.#packages.package(identity, call),
      () => this.#packages.known(identity),
    );
  }

  nuspec(identity: PackageIdentity, call: FeedCall = {}): Promise<Answer<Buffer> | undefined> {
    return this.#unlessDead(
      call,
      () => this.#files.nuspec(identity, call),
      () => this.#packages.known(identity),
    );
  }

  embedded(identity: PackageIdentity, file: EmbeddedFile, call: FeedCall = {}): Promise<Answer<Buffer> | undefined> {
    return this.#unlessDead(
      call,
      () => this.#files.embedded(identity, file, call),
      () => this.#packages.known(identity),
    );
  }

  /** What the source finds; while it can't be asked, and never was asked that, what was seen of it and would be found. */
  async search(query: string, options: SearchOptions, call?: FeedCall): Promise<Answer<SearchAnswer>> {
    const ask = this.#asking(async (provider, asked) => {
      const found = await provider.search(query, options, asked);
      const answer = searchAnswerOf(found, options, await this.#isOwn(provider, asked));
      for (const { record } of answer.hits) this.#seen.note(record);
      return answer;
    });
    const found = await this.#found<SearchAnswer>({ ...searchPlace(query, options), ask }, call);
    return found ?? { ...this.#local(), value: await this.#seen.search(query, options) };
  }

  async autocomplete(prefix: string, options: SearchOptions, call?: FeedCall): Promise<Answer<readonly string[]>> {
    const ask = this.#asking((provider, asked) => completedIds(provider, prefix, options, asked));
    const found = await this.#found<readonly string[]>({ ...idsPlace(prefix, options), ask }, call);
    return found ?? { ...this.#local(), value: await this.#seen.complete(prefix, options) };
  }

  async vulnerabilities(call?: FeedCall): Promise<Answer<ReadonlyMap<string, readonly Vulnerability[]>> | undefined> {
    const ask = this.#asking(async (provider, asked) => {
      const known = await provider.vulnerabilities(asked);
      return vulnerabilitiesOf(known, await this.#isOwn(provider, asked));
    });
    const ttlMs = this.#options.vulnerabilitiesTtlMs ?? 30 * MINUTE_MS;
    const answer = await this.#unlessDead(call, () => this.#answers.ask({ ...vulnerabilitiesPlace, ttlMs, ask }, call));
    if (answer === undefined) return undefined;
    let byId = this.#vulnerabilities.get(answer.value);
    if (byId === undefined) {
      byId = new Map(Object.entries(answer.value));
      this.#vulnerabilities.set(answer.value, byId);
    }
    return { ...answer, value: byId };
  }

  async push({ path, size }: ReceivedPackage, call: PushCall): Promise<void> {
    const identity = await identityIn(path);
    // Where it lies here means nothing to the source, nor to who reads why the source refuses it.
    const name = `${identity.id}.${identity.version.toNormalizedString()}.nupkg`;
    const pushed = { name, size, open: () => createReadStream(path) };
    await this.#change(identity, call, async (provider, options) => {
      await provider.push(pushed, options);
      return true;
    });
  }

  delete(identity: PackageIdentity, call: PushCall): Promise<boolean> {
    return this.#change(identity, call, (provider, options) => provider.delete(identity, options));
  }

  relist(identity: PackageIdentity, call: PushCall): Promise<boolean> {
    return this.#change(identity, call, (provider, options) => {
      if (hasRelist(provider)) return provider.relist(identity, options);
      throw new NuGetError('UNSUPPORTED', `${this.name}: its protocol has no way to list a version again`);
    });
  }

  /** How the source does. */
  status(): UpstreamStatus {
    return this.#health.status(this.#options.offline === true);
  }

  /** Closes the layers, but not what the feed was given else. May be called twice. */
  close(): Promise<void> {
    this.#closing ??= this.#seen.flush().then(() => this.#answers.close());
    return this.#closing;
  }

  #records(id: string, call: FeedCall | undefined): Promise<Answer<readonly PackageRecord[]> | undefined> {
    const ask = this.#asking(async (provider, asked) => {
      const listed = await provider.listMetadata(id, asked);
      if (listed.length === 0) return undefined;
      const isOwn = await this.#isOwn(provider, asked);
      const records = listed.map((metadata) => recordOf(metadata, isOwn));
      this.#seen.noteRecords(records);
      await this.#noteThere(versionsPlace(id));
      return records;
    }, id);
    const ttlMs = this.#options.recordsTtlMs ?? 10 * MINUTE_MS;
    return this.#answers.ask({ ...recordsPlace(id), ttlMs, ask }, call);
  }

  /** The source has just told of a package: where it said before that there is none, that isn't known any more. */
  async #noteThere(place: Place): Promise<void> {
    if ((await this.#answers.last(place))?.value === null) await this.#answers.noteThere(place.key);
  }

  /** @param id the package whose metadata it is: asking for that is a span of its own */
  #asking<T>(work: (provider: Provider, call: ProviderCall) => Promise<T>, id?: string): Question<T>['ask'] {
    const { tracer } = this.#options;
    if (id === undefined || !tracer?.enabled) return (call) => this.#calls.run(call, work);
    return (call) => {
      const attributes = { 'package.id': id, 'source.url': this.#sourceUrl };
      return withSpan(tracer, 'FetchMetadata', { attributes, parent: call.span }, (span) =>
        this.#calls.run({ ...call, span }, work),
      );
    };
  }

  /** What the source says of itself was fetched on the way to its answer. */
  async #isOwn(provider: Provider, call: ProviderCall): Promise<IsOwnUrl> {
    const urls = (await provider.addresses?.(call)) ?? NO_ADDRESSES;
    let addresses = this.#addresses.get(urls);
    if (addresses === undefined) {
      addresses = new UpstreamAddresses(urls);
      this.#addresses.set(urls, addresses);
    }
    return addresses.has.bind(addresses);
  }

  /**
   * @param known what else is known when nothing can be told: null when that is that there is nothing
   */
  async #unlessDead<T>(
    call: FeedCall | undefined,
    work: () => Promise<T | undefined>,
    known?: () => Promise<T | null | undefined>,
  ): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof FeedUnavailableError) || isTooMuch(error.cause)) throw error;
      const instead = await known?.();
      if (instead === undefined && this.#options.deadUpstream !== 404) throw error;
      if (!instead) call?.onNothing?.(instead === null ? 'stale' : 'miss');
      return instead ?? undefined;
    }
  }

  /** Undefined when neither the source nor the cache can answer. */
  async #found<T>(question: Omit<Question<T>, 'ttlMs'>, call?: FeedCall): Promise<Answer<T> | undefined> {
    try {
      return await this.#answers.ask({ ...question, ttlMs: this.#options.searchTtlMs ?? MINUTE_MS }, call);
    } catch (error) {
      if (error instanceof FeedUnavailableError) return undefined;
      throw error;
    }
  }

  #local(): Omit<Answer<never>, 'value'> {
    return { state: 'stale', asOf: this.#health.status(false).lastSuccessAt ?? 0 };
  }

  async #change(
    identity: PackageIdentity,
    call: PushCall,
    work: (provider: Provider, options: PushOptions) => Promise<boolean>,
  ): Promise<boolean> {
    const { apiKey: configured, offline } = this.#options;
    const apiKey = (typeof configured === 'function' ? configured() : configured) ?? call.apiKey;
    if (offline) throw new FeedUnavailableError(this.name, 'this server is offline');
    const { id, version } = identity;
    try {
      return await this.#calls.run(
        { signal: call.signal, span: call.span },
        (provider, asked) => work(provider, { ...asked, apiKey }),
        'change',
      );
    } catch (error) {
      call.signal?.throwIfAborted();
      const what = '{Source} did not take a change of {PackageId} {Version}';
      this.#options.logger?.information(what, this.name, id, version, error);
      throw refusal(this.name, error);
    } finally {
      // What failed on the way back may have been done.
      const files = [nuspecPlace(identity), embeddedPlace(identity, 'icon'), embeddedPlace(identity, 'readme')];
      await this.#answers.forget([versionsPlace(id), recordsPlace(id), packagePlace(identity), ...files]);
    }
  }
}

function hasRelist(provider: Provider): provider is Provider & { readonly relist: Provider['delete'] } {
  return 'relist' in provider && typeof provider.relist === 'function';
}
