import { readFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { NuGetVersion, type PackageIdentity, type SearchOptions } from '@granary/nuget';
import type {
  Answer,
  CacheState,
  FeedCall,
  FeedContent,
  ListedVersion,
  PackageContent,
  PackageReader,
  PushCall,
  ReceivedPackage,
  SearchAnswer,
  Vulnerability,
} from '../../feed/feed-content.js';
import type { PackageRecord } from '../../feed/package-record.js';
import type { EmbeddedFile } from '../../packages/embedded-file.js';

/** A package as a feed says of it, with what most have. */
export function record(id: string, version: string, init: Partial<PackageRecord> = {}): PackageRecord {
  return { id, version, listed: true, authors: ['A'], owners: [], tags: [], dependencyGroups: [], ...init };
}

export interface PushedFile {
  readonly bytes: Buffer;
  readonly path: string;
  readonly apiKey: string | undefined;
}

/** A feed in memory, which answers with the same values again as long as nothing changes, and remembers its calls. */
export class MemoryFeed implements FeedContent {
  readonly name: string;
  isOwn = false;
  isUnlisted = (_id: string, _version: NuGetVersion): boolean => false;
  readonly byId = new Map<string, readonly PackageRecord[]>();
  readonly #versions = new Map<string, readonly ListedVersion[]>();
  /** By `id/version`. */
  readonly contents = new Map<string, Buffer>();
  readonly pushed: PushedFile[] = [];
  readonly changes: string[] = [];
  readonly calls: FeedCall[] = [];
  readonly searches: { readonly query: string; readonly options: SearchOptions }[] = [];
  /** Contents that were neither read to their end nor given back. */
  open = 0;
  state: CacheState = 'hit';
  asOf = Date.parse('2026-01-01T00:00:00Z');
  /** What every call fails with. */
  failure: unknown;
  /** What every call waits for. */
  waitsFor: Promise<unknown> | undefined;
  /** In place of the package's bytes. */
  stream: ((part: { offset?: number | undefined; limit?: number | undefined }) => Readable) | undefined;
  /** In place of the package's bytes, too. */
  reader: PackageReader | undefined;
  /** In place of what is known of a package. */
  content: Partial<Pick<PackageContent, 'size' | 'etag' | 'lastModified'>> = {};
  known: ReadonlyMap<string, readonly Vulnerability[]> | undefined;
  /** By `id/version/file`. */
  readonly embeddedFiles = new Map<string, Buffer>();
  nuspecBytes = Buffer.from('<package/>');

  constructor(name = 'all', records: readonly PackageRecord[] = []) {
    this.name = name;
    for (const each of records) this.add(each);
  }

  add(added: PackageRecord, bytes?: Buffer): void {
    const id = added.id.toLowerCase();
    const all = [...(this.byId.get(id) ?? []), added];
    this.byId.set(id, all);
    this.#versions.set(
      id,
      all.map(({ version }) => ({ version: NuGetVersion.parse(version).toNormalizedString().toLowerCase() })),
    );
    if (bytes !== undefined) this.contents.set(keyOf({ id, version: NuGetVersion.parse(added.version) }), bytes);
  }

  async versions(id: string, call?: FeedCall) {
    return this.#answer(this.#versions.get(id.toLowerCase()), call);
  }

  async records(id: string, call?: FeedCall) {
    return this.#answer(this.byId.get(id.toLowerCase()), call);
  }

  async package(identity: PackageIdentity, call?: FeedCall): Promise<PackageContent | undefined> {
    const bytes = (await this.#answer(this.contents.get(keyOf(identity)), call))?.value;
    if (bytes === undefined) return undefined;
    this.open += 1;
    const close = () => {
      this.open -= 1;
    };
    const stream =
      this.stream ?? (({ offset = 0, limit = bytes.length }) => inChunks(bytes.subarray(offset, offset + limit)));
    return {
      size: bytes.length,
      etag: '"abc"',
      lastModified: new Date('2026-01-02T03:04:05.678Z'),
      ...this.content,
      state: this.state,
      open: (part = {}) => stream(part).once('close', close),
      ...(this.reader && { read: () => this.#closing(this.reader as PackageReader, close) }),
      release: close,
    };
  }

  #closing(reader: PackageReader, whenClosed: () => void): PackageReader {
    return {
      next: () => reader.next(),
      close: async () => {
        whenClosed();
        await reader.close();
      },
    };
  }

  async nuspec(identity: PackageIdentity, call?: FeedCall) {
    return this.#answer(this.contents.has(keyOf(identity)) ? this.nuspecBytes : undefined, call);
  }

  async embedded(identity: PackageIdentity, file: EmbeddedFile, call?: FeedCall) {
    return this.#answer(this.embeddedFiles.get(`${keyOf(identity)}/${file}`), call);
  }

  async search(query: string, options: SearchOptions, call?: FeedCall): Promise<Answer<SearchAnswer>> {
    this.searches.push({ query, options });
    const hits = [...this.byId.values()].map((records) => ({
      record: records.at(-1) as PackageRecord,
      versions: records.map(({ version }) => ({ version, downloads: 1 })),
      totalDownloads: records.length,
      verified: false,
    }));
    const found = hits.filter(({ record: { id } }) => id.toLowerCase().includes(query.toLowerCase()));
    return (await this.#answer({ total: found.length, hits: found }, call)) as Answer<SearchAnswer>;
  }

  async autocomplete(prefix: string, options: SearchOptions, call?: FeedCall): Promise<Answer<readonly string[]>> {
    this.searches.push({ query: prefix, options });
    const ids = [...this.byId.keys()].filter((id) => id.startsWith(prefix.toLowerCase()));
    return (await this.#answer(ids, call)) as Answer<readonly string[]>;
  }

  async vulnerabilities(call?: FeedCall) {
    return this.#answer(this.known, call);
  }

  async push({ path }: ReceivedPackage, call: PushCall): Promise<void> {
    const bytes = await readFile(path);
    if (this.failure instanceof Error) this.failure.message = this.failure.message.replace('{path}', path);
    await this.#answer({}, call);
    this.pushed.push({ bytes, path, apiKey: call.apiKey });
  }

  async delete(identity: PackageIdentity, call: PushCall): Promise<boolean> {
    return await this.#change('delete', identity, call);
  }

  async relist(identity: PackageIdentity, call: PushCall): Promise<boolean> {
    return await this.#change('relist', identity, call);
  }

  async close(): Promise<void> {}

  async #change(what: string, identity: PackageIdentity, call: PushCall): Promise<boolean> {
    await this.#answer({}, call);
    this.changes.push(`${what} ${keyOf(identity)} ${call.apiKey}`);
    return this.#versions.has(identity.id.toLowerCase());
  }

  async #answer<T>(value: T | undefined, call: FeedCall | undefined): Promise<Answer<T> | undefined> {
    if (call) this.calls.push(call);
    if (this.waitsFor) await this.waitsFor;
    if (this.failure !== undefined) throw this.failure;
    return value === undefined ? undefined : { value, state: this.state, asOf: this.asOf };
  }
}

function keyOf({ id, version }: PackageIdentity): string {
  return `${id.toLowerCase()}/${version.toNormalizedString().toLowerCase()}`;
}

/** In pieces that aren't those of any buffer on the way. */
function inChunks(bytes: Buffer, size = 70_001): Readable {
  const pieces = [];
  for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
  return Readable.from(pieces, { objectMode: false });
}
