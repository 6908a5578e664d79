import type { Readable } from 'node:stream';
import type { PackageIdentity } from '../package-identity.js';
import type { NuGetVersion } from '../versions/nuget-version.js';
import type { CallOptions, PackageStream, StreamOptions } from './feed.js';
import type { PackageMetadata, SearchOptions, SearchPage, VulnerabilityIndex } from './model.js';
import type { RepositoryCertificate, RepositorySignatures } from './v3/repository-signatures.js';

/** What goes with a push or a delete. */
export interface PushOptions extends CallOptions {
  readonly apiKey?: string | undefined;
  /** Longest time for the upload as a whole. Default 5 minutes. */
  readonly timeoutMs?: number | undefined;
  /** Pushes to the source for symbol packages instead. */
  readonly symbols?: boolean | undefined;
}

/** What goes with a question for a file that belongs to a package. */
export interface FileOptions extends CallOptions {
  /** Longest file, decompressed: a longer one is a `SourceError` `LIMIT`. Default 4 MiB. */
  readonly maxBytes?: number | undefined;
}

/** A package that is to be pushed: read anew for each attempt. */
export interface PushedPackage {
  readonly name: string;
  readonly size: number;
  readonly open: () => Readable;
}

/** What can be asked of a source, in one of the protocols. Ids are checked, and case doesn't matter. */
export interface Provider {
  readonly protocol: 'v2' | 'v3';
  /** All versions, unlisted ones included, in ascending order; empty when there is no such package. */
  listVersions(id: string, options?: CallOptions): Promise<readonly NuGetVersion[]>;
  /** What the source says of one version; undefined when it isn't there. */
  getMetadata(identity: PackageIdentity, options?: CallOptions): Promise<PackageMetadata | undefined>;
  /** What the source says of all versions, unlisted ones included, in ascending order. */
  listMetadata(id: string, options?: CallOptions): Promise<readonly PackageMetadata[]>;
  search(query: string, search?: SearchOptions, options?: CallOptions): Promise<SearchPage>;
  /** Ids that begin with a text. */
  autocomplete(prefix: string, search?: SearchOptions, options?: CallOptions): Promise<readonly string[]>;
  downloadPackage(identity: PackageIdentity, options?: StreamOptions): Promise<PackageStream | undefined>;
  /** The nuspec's bytes. */
  getNuspec(identity: PackageIdentity, options?: CallOptions): Promise<Buffer | undefined>;
  /**
   * The readme's bytes, where the source has them beside the package; undefined when there is none.
   *
   * @throws SourceError `UNSUPPORTED` when the source doesn't offer readmes
   */
  getReadme?(identity: PackageIdentity, options?: FileOptions): Promise<Buffer | undefined>;
  /** A file at a URL that the source told, such as an icon; undefined when it isn't there. */
  getFile?(url: string, options?: FileOptions): Promise<Buffer | undefined>;
  push(pkg: PushedPackage, options?: PushOptions): Promise<void>;
  /** Deletes or unlists, as the source has it; false when it isn't there. */
  delete(identity: PackageIdentity, options?: PushOptions): Promise<boolean>;
  /** Undefined when the source doesn't tell any. */
  vulnerabilities(options?: CallOptions): Promise<VulnerabilityIndex | undefined>;
  /** What the source says of the signatures of its packages; undefined when it says nothing. */
  repositorySignatures?(options?: CallOptions): Promise<RepositorySignatures | undefined>;
  /**
   * A certificate that the source signs packages with, in DER; undefined when it isn't there.
   *
   * @throws SourceError `PROTOCOL` when what is there has another SHA-256 fingerprint, `LIMIT` when it is too long
   */
  repositoryCertificate?(certificate: RepositoryCertificate, options?: CallOptions): Promise<Buffer | undefined>;
  /**
   * The URLs below which the source has what its protocol is made of, as far as it names them: the same list for as long as
   * they are the same. A provider without this knows only that of the source.
   */
  addresses?(options?: CallOptions): Promise<readonly string[]>;
}
