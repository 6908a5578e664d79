import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { basename } from 'node:path';
import { finished } from 'node:stream/promises';
import {
  isNuGetError,
  NuGetError,
  type NuGetVersion,
  NupkgReader,
  type PackageIdentity,
  type PackageStream,
  type Provider,
  type PushOptions,
  type SearchOptions,
  SourceCacheContext,
} from '@granary/nuget';
import { nullLogger } from '@granary/telemetry';
import { FeedUnavailableError } from '../errors.js';
import type {
  Answer,
  FeedCall,
  FeedContent,
  ListedVersion,
  PackageContent,
  PushCall,
  ReceivedPackage,
  SearchAnswer,
  Vulnerability,
} from './feed-content.js';
import { KeptAnswers, type Question } from './kept-answers.js';
import type { PackageRecord } from './package-record.js';
import { recordOf } from './record-of.js';
import { searchAnswerOf, vulnerabilitiesOf } from './said-by-source.js';
import { SeenPackages } from './seen-packages.js';
import { refusal, unavailable } from './upstream-failures.js';
import type { UpstreamFeedOptions } from './upstream-feed-options.js';
import { UpstreamHealth, type UpstreamStatus } from './upstream-health.js';

const MINUTE_MS = 60_000;
/** Nuspecs don't change; they are asked for again after so long, in case one did. */
const NUSPEC_TTL_MS = 24 * 60 * MINUTE_MS;
const VULNERABILITIES = 'vulnerabilities';

type Call = Parameters<Question<unknown>['ask']>[0];

/**
 * One source, as far as it answers, and as far as it was seen when it doesn't. Answers are fresh for a while and are
 * asked for again then; stale ones are given when the source fails or takes too long. Packages are kept for good.
 */
export class UpstreamFeed implements FeedContent {
  readonly name: string;
  readonly #options: UpstreamFeedOptions;
  readonly #answers: KeptAnswers;
  readonly #health: UpstreamHealth;
  readonly #seen: SeenPackages;
  /** Always asks the source, which confirms what its client has cached. */
  readonly #context = new SourceCacheContext({ maxAgeMs: 0 });
  /** By what they were made of. */
  readonly #vulnerabilities = new WeakMap<object, ReadonlyMap<string, readonly Vulnerability[]>>();
  #closing: Promise<void> | undefined;

  constructor(options: UpstreamFeedOptions) {
    const { name, staleAfterMs = 1000, clock = Date.now, logger = nullLogger, metrics, tracer, timers } = options;
    this.name = name;
    this.#options = options;
    this.#health = new UpstreamHealth(staleAfterMs);
    this.#answers = new KeptAnswers({
      source: name,
      layers: options.layers,
      health: this.#health,
      notFoundTtlMs: options.notFoundTtlMs ?? MINUTE_MS / 2,
      staleAfterMs,
      maxWaitMs: options.maxWaitMs ?? MINUTE_MS / 2,
      restMs: options.restMs ?? 5000,
      offline: options.offline ?? false,
      logger,
      collector: metrics,
      tracer,
      clock,
      timers,
    });
    this.#seen = new SeenPackages({
      load: async (key) => (await this.#answers.last(key))?.value,
      save: (key, value) => this.#answers.keep(key, value),
    });
  }

  async versions(id: string, call?: FeedCall): Promise<Answer<readonly ListedVersion[]> | undefined> {
    const ask = async (asked: Call) => {
      const versions = await (await this.#provider(asked)).listVersions(id, this.#with(asked));
      const newest = versions.at(-1);
      if (newest === undefined) return undefined;
      this.#seen.note({ id, version: newest.toFullString() });
      return versions.map((version) => ({ version: nameOf(version) }));
    };
    const ttlMs = this.#options.versionsTtlMs ?? 2 * MINUTE_MS;
    return this.#unlessDead(async () => {
      try {
        return await this.#answers.ask({ key: versionsKey(id), ttlMs, ask }, call);
      } catch (error) {
        const known = error instanceof FeedUnavailableError ? await this.#versionsOfRecords(id) : undefined;
        if (known === undefined) throw error;
        return known;
      }
    });
  }

  async records(id: string, call?: FeedCall): Promise<Answer<readonly PackageRecord[]> | undefined> {
    const ask = async (asked: Call) => {
      const listed = await (await this.#provider(asked)).listMetadata(id, this.#with(asked));
      if (listed.length === 0) return undefined;
      const records = listed.map(recordOf);
      this.#seen.noteRecords(records);
      return records;
    };
    const ttlMs = this.#options.recordsTtlMs ?? 10 * MINUTE_MS;
    return this.#unlessDead(() => this.#answers.ask({ key: recordsKey(id), ttlMs, ask }, call));
  }

  async package(identity: PackageIdentity, call: FeedCall = {}): Promise<PackageContent | undefined> {
    call.signal?.throwIfAborted();
    const stored = await this.#options.packages.find(this.name, identity);
    return stored ?? this.#unlessDead(() => this.#fetch(identity, call));
  }

  async nuspec(identity: PackageIdentity, call: FeedCall = {}): Promise<Answer<Buffer> | undefined> {
    const stored = await this.#storedNuspec(identity);
    if (stored !== undefined) return stored;
    const key = keyOf('nuspec', identity);
    const ask = async (asked: Call) => {
      const nuspec = await (await this.#provider(asked)).getNuspec(identity, this.#with(asked));
      return nuspec?.toString('base64');
    };
    return this.#unlessDead(async () => {
      try {
        const answer = await this.#answers.ask({ key, ttlMs: NUSPEC_TTL_MS, ask }, call);
        return answer && { ...answer, value: Buffer.from(answer.value, 'base64') };
      } catch (error) {
        if (!isUnsupported(error)) throw error;
        return this.#nuspecOfPackage(identity, call);
      }
    });
  }

  async search(query: string, options: SearchOptions, call?: FeedCall): Promise<Answer<SearchAnswer>> {
    const ask = async (asked: Call) => {
      const page = await (await this.#provider(asked)).search(query, options, this.#with(asked));
      const answer = searchAnswerOf(page, options);
      for (const { record } of answer.hits) this.#seen.note(record);
      return answer;
    };
    const found = await this.#found(keyOfSearch('search', query, options), ask, call);
    return found ?? { ...this.#local(), value: await this.#seen.search(query, options) };
  }

  async autocomplete(prefix: string, options: SearchOptions, call?: FeedCall): Promise<Answer<readonly string[]>> {
    const ask = async (asked: Call) => (await this.#provider(asked)).autocomplete(prefix, options, this.#with(asked));
    const found = await this.#found(keyOfSearch('ids', prefix, options), ask, call);
    return found ?? { ...this.#local(), value: await this.#seen.complete(prefix, options) };
  }

  async vulnerabilities(call?: FeedCall): Promise<Answer<ReadonlyMap<string, readonly Vulnerability[]>> | undefined> {
    const ask = async (asked: Call) =>
      vulnerabilitiesOf(await (await this.#provider(asked)).vulnerabilities(this.#with(asked)));
    const ttlMs = this.#options.vulnerabilitiesTtlMs ?? 30 * MINUTE_MS;
    const answer = await this.#unlessDead(() => this.#answers.ask({ key: VULNERABILITIES, ttlMs, ask }, call));
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
    const pushed = { name: basename(path), size, open: () => createReadStream(path) };
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

  /** Asks the source anew for what it says of a package: somebody changed it there. */
  async forget({ id, version }: { readonly id: string; readonly version?: NuGetVersion | undefined }): Promise<void> {
    const keys = [versionsKey(id), recordsKey(id)];
    if (version !== undefined) keys.push(keyOf('package', { id, version }), keyOf('nuspec', { id, version }));
    await this.#answers.forget(keys);
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

  #provider({ signal, span }: FeedCall): Promise<Provider> {
    return this.#options.upstream.provider({ signal, span });
  }

  #with({ signal, span }: FeedCall) {
    return { signal, span, cacheContext: this.#context };
  }

  async #unlessDead<T>(work: () => Promise<T | undefined>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      if (this.#options.deadUpstream === 404 && error instanceof FeedUnavailableError) return undefined;
      throw error;
    }
  }

  /** A source that has no list of versions at hand may have shown its records. */
  async #versionsOfRecords(id: string): Promise<Answer<readonly ListedVersion[]> | undefined> {
    const kept = await this.#answers.last(recordsKey(id));
    if (!Array.isArray(kept?.value)) return undefined;
    const records = kept.value as readonly PackageRecord[];
    const value = records.map(({ version }) => ({ version: (version.split('+', 1)[0] as string).toLowerCase() }));
    return { value, state: 'stale', asOf: kept.asOf };
  }

  async #fetch(identity: PackageIdentity, call: FeedCall): Promise<PackageContent | undefined> {
    const { packages, offline } = this.#options;
    const key = keyOf('package', identity);
    const missing = await this.#answers.missing(key);
    if (missing === 'fresh' || (missing === 'stale' && offline)) return undefined;
    if (offline) throw new FeedUnavailableError(this.name, 'this server is offline');
    const expected = await this.#expected(identity);
    let content: PackageContent | undefined;
    try {
      const open = (signal: AbortSignal) => this.#download(identity, { signal, span: call.span });
      content = await packages.fetch(this.name, identity, open, expected, call);
    } catch (error) {
      call.signal?.throwIfAborted();
      if (missing !== undefined) return undefined;
      throw unavailable(this.name, error);
    }
    if (content === undefined) await this.#answers.noteMissing(key);
    return content;
  }

  async #download(identity: PackageIdentity, call: Call): Promise<PackageStream | undefined> {
    const clock = this.#options.clock ?? Date.now;
    try {
      const stream = await (await this.#provider(call)).downloadPackage(identity, this.#with(call));
      this.#health.succeeded(clock(), 0);
      return stream;
    } catch (error) {
      if (!call.signal.aborted && isNuGetError(error) && error.code === 'SOURCE_UNAVAILABLE') {
        this.#health.failed(clock(), error);
      }
      throw error;
    }
  }

  /** What the package must be, as far as the source has said so lately: it isn't asked only for that. */
  async #expected({ id, version }: PackageIdentity) {
    const records = await this.#answers.fresh<readonly PackageRecord[]>(recordsKey(id));
    const name = nameOf(version);
    const record = records?.find((each) => each.version.split('+', 1)[0]?.toLowerCase() === name);
    return record?.packageHash === undefined ? undefined : { hash: record.packageHash };
  }

  async #storedNuspec(identity: PackageIdentity): Promise<Answer<Buffer> | undefined> {
    const stored = await this.#options.packages.find(this.name, identity);
    if (stored === undefined) return undefined;
    await using reader = await NupkgReader.open(stored.source());
    const asOf = stored.lastModified?.getTime() ?? 0;
    return { value: await reader.nuspecBytes(), state: 'hit', asOf };
  }

  /** From the whole package, where the source has no nuspecs apart. */
  async #nuspecOfPackage(identity: PackageIdentity, call: FeedCall): Promise<Answer<Buffer> | undefined> {
    const content = await this.#fetch(identity, call);
    if (content === undefined) return undefined;
    try {
      await finished(content.open().resume(), { signal: call.signal });
    } catch (error) {
      call.signal?.throwIfAborted();
      throw unavailable(this.name, error);
    }
    const stored = await this.#storedNuspec(identity);
    return stored && { ...stored, state: 'miss' };
  }

  /** Undefined when neither the source nor the cache can answer. */
  async #found<T>(key: string, ask: Question<T>['ask'], call?: FeedCall): Promise<Answer<T> | undefined> {
    try {
      return await this.#answers.ask({ key, ttlMs: this.#options.searchTtlMs ?? MINUTE_MS, ask }, call);
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
    if (this.#options.offline) throw new FeedUnavailableError(this.name, 'this server is offline');
    try {
      return await work(await this.#provider(call), this.#pushOptions(call));
    } catch (error) {
      call.signal?.throwIfAborted();
      throw refusal(this.name, error);
    } finally {
      // What failed on the way back may have been done.
      await this.forget(identity);
    }
  }

  #pushOptions(call: PushCall): PushOptions {
    return { ...this.#with(call), apiKey: this.#options.apiKey ?? call.apiKey };
  }
}

const versionsKey = (id: string): string => `versions/${id.toLowerCase()}`;
const recordsKey = (id: string): string => `records/${id.toLowerCase()}`;
const nameOf = (version: NuGetVersion): string => version.toNormalizedString().toLowerCase();

/** Versions may be long. */
function keyOf(kind: string, { id, version }: PackageIdentity): string {
  const name = nameOf(version);
  const short = name.length <= 64 ? name : createHash('sha256').update(name).digest('hex');
  return `${kind}/${id.toLowerCase()}/${short}`;
}

function keyOfSearch(kind: string, text: string, options: SearchOptions): string {
  const { includePrerelease = false, skip = 0, take, packageType, semVer2 = true, supportedFrameworks = [] } = options;
  const asked = JSON.stringify([text, includePrerelease, skip, take, packageType, semVer2, supportedFrameworks]);
  return `${kind}/${createHash('sha256').update(asked).digest('base64url')}`;
}

/** @throws NuGetError `INVALID_PACKAGE` */
async function identityIn(path: string): Promise<PackageIdentity> {
  await using reader = await NupkgReader.open(path);
  const { id, version } = await reader.nuspec();
  return { id, version };
}

function hasRelist(provider: Provider): provider is Provider & { readonly relist: Provider['delete'] } {
  return 'relist' in provider && typeof provider.relist === 'function';
}

function isUnsupported(error: unknown): boolean {
  const cause = error instanceof FeedUnavailableError ? error.cause : error;
  return isNuGetError(cause) && cause.code === 'UNSUPPORTED';
}
