import type { PackageRecord } from '../feed/package-record.js';
import type { EmbeddedFile } from '../packages/embedded-file.js';

/** Which registration documents: each hive has what its clients understand. */
export type RegistrationHive = 'registration' | 'registration-gz' | 'registration-gz-semver2';

export interface FeedUrlsOptions {
  /** Where this server is as clients see it, without a slash at its end: `https://cache.example/nuget`. Checked already. */
  readonly base: string;
  /** One source alone; undefined for all as one. */
  readonly source?: string | undefined;
  /** Whether protocol 2 is asked in a folder of its own, not in the one that the service index of protocol 3 offers. */
  readonly ownV2?: boolean | undefined;
  /** Hosts (with ports) that clients must not be sent to. */
  readonly upstreamHosts?: ReadonlySet<string> | undefined;
}

const NO_HOSTS: ReadonlySet<string> = new Set();

/**
 * Every URL that documents have in them. All of a feed's lie in the folder of its service index, because clients send
 * their credentials unasked only there.
 */
export class FeedUrls {
  readonly #v3: string;
  /** Where protocol 2 is asked. */
  readonly v2: string;
  readonly #upstreamHosts: ReadonlySet<string>;

  constructor({ base, source, ownV2 = false, upstreamHosts = NO_HOSTS }: FeedUrlsOptions) {
    const folder = source === undefined ? base : `${base}/${encodeURIComponent(source)}`;
    this.#v3 = `${folder}/v3`;
    this.v2 = ownV2 ? `${folder}/v2` : this.legacyGallery;
    this.#upstreamHosts = upstreamHosts;
  }

  get serviceIndex(): string {
    return `${this.#v3}/index.json`;
  }

  get flatContainer(): string {
    return `${this.#v3}/flatcontainer/`;
  }

  get search(): string {
    return `${this.#v3}/search`;
  }

  get autocomplete(): string {
    return `${this.#v3}/autocomplete`;
  }

  get publish(): string {
    return `${this.#v3}/package`;
  }

  get vulnerabilities(): string {
    return `${this.#v3}/vulnerabilities/index.json`;
  }

  get vulnerabilityPage(): string {
    return `${this.#v3}/vulnerabilities/all.json`;
  }

  /** Whether what is said here can't be changed on its way. */
  get isSecure(): boolean {
    return this.#v3.startsWith('https:');
  }

  /** @param version for clients that understand it, beside those that understand less */
  signatures(version?: '5.0.0'): string {
    return `${this.#v3}/signatures/${version === undefined ? '' : `${version}/`}index.json`;
  }

  /** @param fingerprint SHA-256 in lower-case hex */
  certificate(fingerprint: string): string {
    return `${this.#v3}/signatures/certificates/${fingerprint}.crt`;
  }

  get legacyGallery(): string {
    return `${this.#v3}/v2`;
  }

  /** With holes that clients fill, as NuGet's templates have them. */
  get detailsTemplate(): string {
    return `${this.#v3}/details/{id}/{version}`;
  }

  get reportAbuseTemplate(): string {
    return `${this.#v3}/details/{id}/{version}#contact`;
  }

  get readmeTemplate(): string {
    return `${this.flatContainer}{lower_id}/{lower_version}/readme`;
  }

  registration(hive: RegistrationHive): string {
    return `${this.#v3}/${hive}/`;
  }

  registrationIndex(hive: RegistrationHive, id: string): string {
    return `${this.registration(hive)}${segment(id)}/index.json`;
  }

  registrationPage(hive: RegistrationHive, id: string, lower: string, upper: string): string {
    return `${this.registration(hive)}${segment(id)}/page/${segment(lower)}/${segment(upper)}.json`;
  }

  registrationLeaf(hive: RegistrationHive, id: string, version: string): string {
    return `${this.registration(hive)}${segment(id)}/${segment(version)}.json`;
  }

  /** What there is to say of a version, alone: its leaf only says where that is. */
  catalogEntry(hive: RegistrationHive, id: string, version: string): string {
    return `${this.registration(hive)}${segment(id)}/catalog/${segment(version)}.json`;
  }

  /** @param version normalized, without metadata */
  package(id: string, version: string): string {
    return `${this.flatContainer}${segment(id)}/${segment(version)}/${segment(id)}.${segment(version)}.nupkg`;
  }

  nuspec(id: string, version: string): string {
    return `${this.flatContainer}${segment(id)}/${segment(version)}/${segment(id)}.nuspec`;
  }

  /** @param version normalized, without metadata */
  embedded(id: string, version: string, file: EmbeddedFile): string {
    return `${this.flatContainer}${segment(id)}/${segment(version)}/${file}`;
  }

  /** What is shown beside a package. */
  icon({ id, version, iconUrl }: PackageRecord): string | undefined {
    return iconUrl === '' ? this.embedded(id, version.split('+', 1)[0] as string, 'icon') : this.outward(iconUrl);
  }

  versions(id: string): string {
    return `${this.flatContainer}${segment(id)}/index.json`;
  }

  /** A page for people: about a version, or about the newest one. */
  details(id: string, version?: string): string {
    const page = `${this.#v3}/details/${segment(id)}`;
    return version === undefined ? page : `${page}/${segment(version)}`;
  }

  /** What is known of a vulnerability: where it was published, or what is shown of its package here. */
  advisory(url: string, id: string): string {
    return this.outward(url) ?? this.details(id);
  }

  /** A URL that leads away from the server, unless it leads to an upstream, or nowhere. */
  outward(url: string | undefined): string | undefined {
    if (url === undefined || url === '') return undefined;
    try {
      const { protocol, host } = new URL(url);
      const isWeb = protocol === 'https:' || protocol === 'http:';
      return isWeb && !this.#upstreamHosts.has(host) ? url : undefined;
    } catch {
      return undefined;
    }
  }
}

const segment = (text: string): string => encodeURIComponent(text.toLowerCase());
