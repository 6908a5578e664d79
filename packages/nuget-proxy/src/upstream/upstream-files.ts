import { finished } from 'node:stream/promises';
import {
  isNuGetError,
  NuGetError,
  NupkgReader,
  type PackageIdentity,
  type Provider,
  parseNuspec,
} from '@granary/nuget';
import { FeedUnavailableError } from '../errors.js';
import type { Answer, FeedCall, PackageContent } from '../feed/feed-content.js';
import type { IsOwnUrl } from '../feed/record-of.js';
import { unavailable } from '../feed/upstream-failures.js';
import { type EmbeddedFile, embeddedIn, isEmbedded, isWebPage, MAX_EMBEDDED_BYTES } from '../packages/embedded-file.js';
import { PASSING_LIMITS } from '../packages/passing-limits.js';
import type { KeptAnswers } from './answers/kept-answers.js';
import type { Place } from './answers/kept-values.js';
import type { ProviderCall, UpstreamCalls } from './upstream-calls.js';
import type { PackageKeeper } from './upstream-feed-options.js';
import { embeddedPlace, nuspecPlace } from './upstream-places.js';

export interface UpstreamFilesOptions {
  readonly source: string;
  readonly packages: PackageKeeper;
  readonly answers: KeptAnswers;
  readonly calls: UpstreamCalls;
  /** Brings a package that isn't here. */
  readonly fetch: (identity: PackageIdentity, call: FeedCall) => Promise<PackageContent | undefined>;
  /** Whether the source has listed a version since it said that it has no such thing. */
  readonly isListedSince: (asOf: number, identity: PackageIdentity) => Promise<boolean>;
  /** Which URLs are the source's own. */
  readonly isOwn: (provider: Provider, call: ProviderCall) => Promise<IsOwnUrl>;
}

/** A file of a package: where it is in that, and how the source is asked for it alone. */
interface PackageFile {
  readonly place: Place;
  readonly read: (reader: NupkgReader) => Promise<Buffer | undefined>;
  /** Whether the source may have it though the package hasn't. */
  readonly mayLieBeside: boolean;
  /** @throws NuGetError `UNSUPPORTED` when the source has it only in the package */
  readonly ask: (provider: Provider, call: ProviderCall) => Promise<Buffer | undefined>;
}

/** They don't change; they are asked for again after so long, in case one did. */
const TTL_MS = 24 * 60 * 60_000;

/** What one source has beside its packages: from the package where that is here, else from the source. */
export class UpstreamFiles {
  readonly #options: UpstreamFilesOptions;

  constructor(options: UpstreamFilesOptions) {
    this.#options = options;
  }

  /** @throws FeedUnavailableError when neither it nor its package is here, and the source can't give it */
  async nuspec(identity: PackageIdentity, call: FeedCall): Promise<Answer<Buffer> | undefined> {
    const { source, answers, isListedSince } = this.#options;
    const place = nuspecPlace(identity);
    const missing = await answers.missing(place.key);
    if (missing !== undefined && (await isListedSince(missing.asOf, identity))) await answers.noteThere(place.key);
    const ask: PackageFile['ask'] = async (provider, options) => {
      const nuspec = await provider.getNuspec(identity, options);
      if (nuspec !== undefined) checkNuspec(nuspec, identity, source);
      // Some sources of protocol 3 have packages and lists of them, and none of the nuspecs that go with these.
      else if (await isListed(provider, identity, options)) throw new NuGetError('UNSUPPORTED', 'no nuspec apart');
      return nuspec;
    };
    const read: PackageFile['read'] = (reader) => reader.nuspecBytes();
    return await this.#file(identity, { place, read, mayLieBeside: false, ask }, call);
  }

  /** @throws FeedUnavailableError as {@link nuspec} */
  embedded(identity: PackageIdentity, file: EmbeddedFile, call: FeedCall): Promise<Answer<Buffer> | undefined> {
    const { source } = this.#options;
    const ask: PackageFile['ask'] = async (provider, options) => {
      const limited = { ...options, maxBytes: MAX_EMBEDDED_BYTES };
      const bytes = await (file === 'icon'
        ? this.#icon(provider, identity, limited)
        : readme(provider, identity, limited));
      if (bytes === undefined || isEmbedded(file, bytes)) return bytes;
      // As in packages: what nobody could show, such as SVG, is none.
      if (!isWebPage(bytes)) return undefined;
      throw new NuGetError('PROTOCOL', `${source}: the ${file} of ${identity.id} ${identity.version} is none`);
    };
    const read: PackageFile['read'] = (reader) => embeddedIn(reader, file);
    // nuget.org fetched the icons of old packages from where their nuspecs said.
    const mayLieBeside = file === 'icon';
    return this.#file(identity, { place: embeddedPlace(identity, file), read, mayLieBeside, ask }, call);
  }

  async #file(identity: PackageIdentity, file: PackageFile, call: FeedCall): Promise<Answer<Buffer> | undefined> {
    call.signal?.throwIfAborted();
    const stored = await this.#stored(identity, file);
    if (stored !== undefined && (stored.value !== undefined || !file.mayLieBeside)) return given(stored, call);
    const { answers, calls } = this.#options;
    const question = {
      ...file.place,
      ttlMs: TTL_MS,
      ask: (asked: FeedCall) =>
        calls.run(asked, async (provider, options) => (await file.ask(provider, options))?.toString('base64')),
    };
    try {
      const answer = await answers.ask<string>(question, call);
      return answer && { ...answer, value: Buffer.from(answer.value, 'base64') };
    } catch (error) {
      if (!isUnsupported(error)) throw error;
      return given(await this.#fetched(identity, file, call), call);
    }
  }

  /** From the package, if that is here. */
  async #stored(identity: PackageIdentity, { read }: PackageFile): Promise<Answer<Buffer | undefined> | undefined> {
    const { packages, source } = this.#options;
    const stored = await packages.find(source, identity);
    if (stored === undefined) return undefined;
    await using reader = await NupkgReader.open(stored.source(), { limits: PASSING_LIMITS });
    const asOf = stored.lastModified?.getTime() ?? 0;
    return { value: await read(reader), state: 'hit', asOf };
  }

  /** From the whole package, where the source has the file nowhere else. */
  async #fetched(
    identity: PackageIdentity,
    file: PackageFile,
    call: FeedCall,
  ): Promise<Answer<Buffer | undefined> | undefined> {
    const { source, fetch } = this.#options;
    const content = await fetch(identity, call);
    if (content === undefined) return undefined;
    try {
      await finished(content.open().resume(), { signal: call.signal });
    } catch (error) {
      call.signal?.throwIfAborted();
      throw unavailable(source, error);
    }
    const stored = await this.#stored(identity, file);
    if (stored === undefined) throw new FeedUnavailableError(source, 'the package was there, but could not be kept');
    return { ...stored, state: 'miss' };
  }

  /** Only one that the source has itself: where authors of packages have theirs is nothing for this server to fetch. */
  async #icon(
    provider: Provider,
    identity: PackageIdentity,
    call: ProviderCall & { readonly maxBytes: number },
  ): Promise<Buffer | undefined> {
    const url = (await provider.getMetadata(identity, call))?.iconUrl;
    if (url === undefined || !(await this.#options.isOwn(provider, call))(url)) return undefined;
    return await unlessTooLong(provider.getFile?.(url, call));
  }
}

async function readme(
  provider: Provider,
  identity: PackageIdentity,
  call: ProviderCall & { readonly maxBytes: number },
): Promise<Buffer | undefined> {
  if (provider.getReadme === undefined) throw new NuGetError('UNSUPPORTED', 'no readmes apart');
  return await unlessTooLong(provider.getReadme(identity, call));
}

/** As in packages: one that is too long counts as none. */
async function unlessTooLong(file: Promise<Buffer | undefined> | undefined): Promise<Buffer | undefined> {
  try {
    return await file;
  } catch (error) {
    if (isNuGetError(error) && error.code === 'LIMIT') return undefined;
    throw error;
  }
}

function given(answer: Answer<Buffer | undefined> | undefined, { onNothing }: FeedCall): Answer<Buffer> | undefined {
  if (answer?.value !== undefined) return { ...answer, value: answer.value };
  if (answer !== undefined) onNothing?.(answer.state);
  return undefined;
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
