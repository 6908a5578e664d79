import type { Readable } from 'node:stream';
import type { NuGetVersion, PackageIdentity, SearchOptions } from '@granary/nuget';
import type { Span } from '@granary/telemetry';
import type { EmbeddedFile } from '../packages/embedded-file.js';
import type { PackageRecord } from './package-record.js';

/** What goes with every call. */
export interface FeedCall {
  /** Aborts when the client goes away. */
  readonly signal?: AbortSignal | undefined;
  readonly span?: Span | undefined;
  /** Told where it is known from that there is no such thing. */
  readonly onNothing?: ((state: CacheState) => void) | undefined;
  /** Only what is here, however old: upstream has had its time. What isn't here can't be told. Default false. */
  readonly localOnly?: boolean | undefined;
}

/**
 * Where an answer comes from, as `X-Cache` says it: `hit` fresh from here, or what somebody else was asking upstream for at
 * the time, `miss` from upstream just now, `revalidated` confirmed by upstream just now, `stale` from here because upstream
 * failed or took too long.
 */
export type CacheState = 'hit' | 'miss' | 'revalidated' | 'stale';

export interface Answer<T> {
  readonly value: T;
  readonly state: CacheState;
  /** When it was asked of upstream last, in milliseconds since 1970; 0 when nobody knows. */
  readonly asOf: number;
}

export interface ListedVersion {
  /** Normalized, without metadata, in lower case: as the flat container has it. */
  readonly version: string;
}

/** The part of a package that is asked for. Default: all of it. */
export interface PackagePart {
  readonly offset?: number | undefined;
  readonly limit?: number | undefined;
}

/** A package's bytes, chunk by chunk, without a copy of each and without garbage. */
export interface PackageReader {
  /**
   * The next chunk, whose memory may be used again when the one after it is asked for; undefined at the end, and when the
   * reader was closed meanwhile.
   */
  next(): Buffer | undefined | Promise<Buffer | undefined>;
  /** Ends it, once, whether it was read to its end or not. */
  close(): Promise<void>;
}

/** A package's bytes, and what is known of them. */
export interface PackageContent {
  /** Undefined while it still arrives and upstream hasn't said. */
  readonly size: number | undefined;
  /** Strong validator for `ETag`, with its quotes; undefined while it still arrives. */
  readonly etag: string | undefined;
  readonly lastModified: Date | undefined;
  readonly state: CacheState;
  /**
   * The bytes from an offset on, at most `limit` of them. A package that still arrives is given as it comes, the last
   * bytes of it, and the last one of any part, only after it was verified: a broken one ends with an error. Destroy it when
   * it isn't read to its end.
   */
  open(part?: PackagePart): Readable;
  /** As {@link open}, for who is done with each chunk before he asks for the next. */
  read?(part?: PackagePart): PackageReader;
  /** For who doesn't open it. */
  release(): void;
}

export interface SearchHit {
  /** The newest version that matches. */
  readonly record: PackageRecord;
  readonly versions: readonly { readonly version: string; readonly downloads: number }[];
  readonly totalDownloads: number;
  readonly verified: boolean;
}

export interface SearchAnswer {
  readonly total: number;
  readonly hits: readonly SearchHit[];
}

/** A pushed package, in a file of the server's own. */
export interface ReceivedPackage {
  readonly path: string;
  readonly size: number;
}

export interface PushCall extends FeedCall {
  /** What the client sent as `X-NuGet-ApiKey`; never logged, never sent to another feed than the one it is for. */
  readonly apiKey: string | undefined;
}

export interface Vulnerability {
  /** Empty where that is a page of the source itself. */
  readonly advisoryUrl: string;
  /** 0 low, 1 moderate, 2 high, 3 critical. */
  readonly severity: number;
  /** Interval notation. */
  readonly versions: string;
}

/** A certificate that packages are signed with, as their source describes it. */
export interface SigningCertificate {
  /** In lower-case hex by the OID of their hash; that of SHA-256 is always there. */
  readonly fingerprints: Readonly<Record<string, string>>;
  readonly subject: string;
  readonly issuer: string;
  /** ISO 8601. */
  readonly notBefore: string;
  readonly notAfter: string;
}

/** What a source says of the signatures of its packages. */
export interface PackageSignatures {
  /** Whether each of them is signed with one of the certificates. */
  readonly allRepositorySigned: boolean;
  readonly certificates: readonly SigningCertificate[];
}

/** What can be asked about the signatures that a source makes. */
export interface FeedSignatures {
  /** Whether it is known, or soon is, that the source says something of them. Rejects only when the caller has gone. */
  offered(call?: FeedCall): Promise<boolean>;
  /** Undefined when the source says nothing of them. */
  list(call?: FeedCall): Promise<Answer<PackageSignatures> | undefined>;
  /**
   * A certificate of the list, in DER; undefined when it isn't there.
   *
   * @param fingerprint its SHA-256 in lower-case hex
   */
  certificate(fingerprint: string, call?: FeedCall): Promise<Answer<Buffer> | undefined>;
}

/**
 * What a feed has, whatever protocol it is asked in and wherever it comes from: one upstream, packages that were pushed
 * here, or several feeds as one. Ids are checked by whoever calls, and their case doesn't matter.
 *
 * A feed that can't tell throws {@link FeedUnavailableError}; it never says that something isn't there unless it knows.
 */
export interface FeedContent {
  /** Name of the source; `all` for several as one. */
  readonly name: string;
  /**
   * Whether its packages are this server's own: among several feeds they are served though others can't be asked.
   * Default false.
   */
  readonly isOwn?: boolean;
  /** All versions, unlisted ones too, ascending; undefined when there is no such package. */
  versions(id: string, call?: FeedCall): Promise<Answer<readonly ListedVersion[]> | undefined>;
  /** What {@link versions} would say, null for nothing, if that is in memory and fresh; undefined when it must be asked. */
  versionsAtHand?(id: string): Answer<readonly ListedVersion[]> | null | undefined;
  /** Whether it has the version and shows it in no search; false, or left out, where that must be asked. */
  isUnlisted?(id: string, version: NuGetVersion): boolean;
  /** All versions, unlisted ones too, ascending; undefined when there is no such package. */
  records(id: string, call?: FeedCall): Promise<Answer<readonly PackageRecord[]> | undefined>;
  package(identity: PackageIdentity, call?: FeedCall): Promise<PackageContent | undefined>;
  nuspec(identity: PackageIdentity, call?: FeedCall): Promise<Answer<Buffer> | undefined>;
  /** The icon or the readme of a package; undefined when it has none, or isn't there. */
  embedded(identity: PackageIdentity, file: EmbeddedFile, call?: FeedCall): Promise<Answer<Buffer> | undefined>;
  search(query: string, options: SearchOptions, call?: FeedCall): Promise<Answer<SearchAnswer>>;
  autocomplete(prefix: string, options: SearchOptions, call?: FeedCall): Promise<Answer<readonly string[]>>;
  /** Left out where nobody can tell: several sources have several signers, and what is pushed here has none. */
  readonly signatures?: FeedSignatures | undefined;
  /** By id in lower case; undefined when none of the sources tells. */
  vulnerabilities(call?: FeedCall): Promise<Answer<ReadonlyMap<string, readonly Vulnerability[]>> | undefined>;
  /** @throws NuGetError `CONFLICT`, `INVALID_PACKAGE`, `FORBIDDEN`, `UNSUPPORTED` */
  push(pkg: ReceivedPackage, call: PushCall): Promise<void>;
  /** Unlists, or deletes where upstream does that; false when it isn't there. */
  delete(identity: PackageIdentity, call: PushCall): Promise<boolean>;
  /** Lists it again; false when it isn't there. */
  relist(identity: PackageIdentity, call: PushCall): Promise<boolean>;
  close(): Promise<void>;
}
