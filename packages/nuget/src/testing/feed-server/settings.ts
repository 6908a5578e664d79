import type { PackageInit } from '../build-package.js';

/** A package for the server: its bytes, what to build, or its bytes with what only a feed knows. */
export type FeedPackageInit = Buffer | PackageInit | ListedPackageInit;

/** A package's bytes, and what only a feed knows of it. */
export interface ListedPackageInit {
  readonly content: Buffer;
  /** Default true. */
  readonly listed?: boolean | undefined;
  /** Default: when it was added. */
  readonly published?: Date | undefined;
  /** Default 0. */
  readonly downloads?: number | undefined;
}

/** A vulnerability that a `FeedServer` tells of. */
export interface FeedVulnerability {
  readonly id: string;
  /** From 0 (low) to 3 (critical). */
  readonly severity: number;
  readonly url: string;
  /** The versions that have it, as a range. */
  readonly versions: string;
}

/** What a `FeedServer` says of the signatures of its packages. */
export interface SignedPackages {
  /** For clients that understand it; others are told false. */
  readonly allRepositorySigned: boolean;
  /** Bytes of the certificates. */
  readonly certificates: readonly Buffer[];
}

/** How the server behaves. All of it can be changed between two requests, by writing to `server.settings`. */
export interface FeedSettings {
  /** Compresses every document for those who accept it. Two hives of registrations always are. Default false. */
  gzip: boolean;
  /** Whether a registration has its versions in itself, or names pages that have them. Default `inlined`. */
  registration: 'inlined' | 'paged';
  /** Versions on a page of a registration. Default 64. */
  registrationPageSize: number;
  /** Entries on a page of a V2 feed. Default 100. */
  pageSize: number;
  /** What conditional requests are answered by. Default `both`. */
  validators: 'etag' | 'date' | 'both' | 'none';
  /** Who may read and write; everybody else gets 401. Default everybody. */
  credentials: { readonly username: string; readonly password: string } | { readonly bearer: string } | undefined;
  /** What pushes and deletes must come with. Default nothing. */
  apiKey: string | undefined;
  /** Whether a delete hides a version or forgets it. Default `unlist`. */
  deletes: 'unlist' | 'remove';
  /** What documents lead to, for a feed that is spread over hosts: `http://localhost:12345`. Default: where they were asked for. */
  origin: string | undefined;
  /** Offers a list of certificates, which NuGet accepts from https sources only; true for an empty one. Default false. */
  repositorySignatures: boolean | SignedPackages;
  vulnerabilities: readonly FeedVulnerability[];
  /** What lies beside packages, by `{id}/{version}/icon` and `…/readme`, in lower case. Default: nothing. */
  beside: ReadonlyMap<string, Buffer>;
  /** Types of resources that the service index leaves out, as a source of that age would: `/^VulnerabilityInfo/`. */
  withoutResources: RegExp | undefined;
}

/** Packages and settings that a `FeedServer` begins with. */
export interface FeedServerOptions extends Partial<FeedSettings> {
  readonly packages?: readonly FeedPackageInit[] | undefined;
  /** Where it listens, for a feed that comes back. Default: a free port. */
  readonly port?: number | undefined;
  /** Waits for the fault `delay`. Default: that time, or until the server is closed. */
  readonly wait?: ((ms: number, signal: AbortSignal) => Promise<unknown>) | undefined;
  /** Milliseconds since 1970, for dates in documents. Default `Date.now`. */
  readonly now?: (() => number) | undefined;
}

export function defaultSettings(options: FeedServerOptions): FeedSettings {
  return {
    gzip: options.gzip ?? false,
    registration: options.registration ?? 'inlined',
    registrationPageSize: options.registrationPageSize ?? 64,
    pageSize: options.pageSize ?? 100,
    validators: options.validators ?? 'both',
    credentials: options.credentials,
    apiKey: options.apiKey,
    deletes: options.deletes ?? 'unlist',
    origin: options.origin,
    repositorySignatures: options.repositorySignatures ?? false,
    vulnerabilities: options.vulnerabilities ?? [],
    beside: options.beside ?? new Map(),
    withoutResources: options.withoutResources,
  };
}
