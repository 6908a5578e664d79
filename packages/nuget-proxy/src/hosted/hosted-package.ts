import { NuGetVersion } from '@granary/nuget';
import type { ListedVersion } from '../feed/feed-content.js';
import type { PackageRecord } from '../feed/package-record.js';
import { isSemVer2 } from '../feed/sem-ver-2.js';
import { versionName } from '../feed/version-name.js';
import { type SearchText, searchTextOf, words } from './search-text.js';

/** One version, as far as it is held in memory: about 130 bytes. */
export interface HostedVersion extends ListedVersion {
  /** Normalized, with its metadata. */
  readonly full: string;
  readonly listed: boolean;
  readonly isPrerelease: boolean;
  /** Whether only clients of SemVer 2 understand it. */
  readonly isSemVer2: boolean;
}

/** The newest version that somebody may see, as searches see it. */
export interface Face {
  readonly version: HostedVersion;
  readonly text: SearchText;
  /** In lower case. */
  readonly packageTypes: readonly string[];
}

const PRERELEASE = 1;
const SEM_VER_2 = 2;
/** What who sees what may see: nothing but stable versions of SemVer 1, to everything. */
const VIEWS = [0, PRERELEASE, SEM_VER_2, PRERELEASE | SEM_VER_2] as const;
const PLAIN_TYPES = ['dependency'] as const;

/** One id with its versions. */
export class HostedPackage {
  /** The id in lower case. */
  readonly key: string;
  /** The id's words, as {@link words} makes them. */
  readonly words: string;
  #versions: readonly HostedVersion[] = [];
  #faces: readonly (Face | undefined)[] = [];

  constructor(id: string) {
    this.key = id.toLowerCase();
    this.words = words(id);
  }

  /** Ascending; the same list until something changes. */
  get versions(): readonly HostedVersion[] {
    return this.#versions;
  }

  /** @param version normalized, in lower case */
  find(version: string): HostedVersion | undefined {
    return this.#versions.find((each) => each.version === version);
  }

  /** Adds a version, or what is new of it. {@link lookAgain} is due after that. */
  put(record: PackageRecord): void {
    const version = versionOf(record);
    const at = this.#firstFrom(NuGetVersion.parse(version.version));
    const isKnown = this.#versions[at]?.version === version.version;
    this.#versions = this.#versions.toSpliced(at, isKnown ? 1 : 0, version);
  }

  /** Finds out anew what searches see. @param recordOf what is known of a version */
  lookAgain(recordOf: (version: string) => PackageRecord | undefined): void {
    const faces = new Map<HostedVersion, Face | undefined>();
    this.#faces = VIEWS.map((view) => {
      const version = this.#versions.findLast((each) => isVisible(each, view));
      if (version === undefined) return undefined;
      if (!faces.has(version)) faces.set(version, faceOf(version, recordOf(version.version)));
      return faces.get(version);
    });
  }

  /** Undefined when there is nothing that they may see. */
  face(includePrerelease: boolean, semVer2: boolean): Face | undefined {
    return this.#faces[viewOf(includePrerelease, semVer2)];
  }

  /** Listed versions that they may see, ascending. */
  visible(includePrerelease: boolean, semVer2: boolean): readonly HostedVersion[] {
    const view = viewOf(includePrerelease, semVer2);
    return this.#versions.filter((version) => isVisible(version, view));
  }

  #firstFrom(wanted: NuGetVersion): number {
    let [low, high] = [0, this.#versions.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      const { version } = this.#versions[middle] as HostedVersion;
      if (NuGetVersion.compare(NuGetVersion.parse(version), wanted) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function viewOf(includePrerelease: boolean, semVer2: boolean): number {
  return (includePrerelease ? PRERELEASE : 0) | (semVer2 ? SEM_VER_2 : 0);
}

function isVisible({ listed, isPrerelease, isSemVer2 }: HostedVersion, view: number): boolean {
  return listed && (!isPrerelease || (view & PRERELEASE) !== 0) && (!isSemVer2 || (view & SEM_VER_2) !== 0);
}

function versionOf(record: PackageRecord): HostedVersion {
  const parsed = NuGetVersion.parse(record.version);
  const version = versionName(parsed);
  return {
    version,
    full: record.version === version ? version : record.version,
    listed: record.listed,
    isPrerelease: parsed.isPrerelease,
    isSemVer2: isSemVer2(record),
  };
}

function faceOf(version: HostedVersion, record: PackageRecord | undefined): Face | undefined {
  if (record === undefined) return undefined;
  const packageTypes = record.packageTypes?.map((type) => type.toLowerCase()) ?? PLAIN_TYPES;
  return { version, text: searchTextOf(record), packageTypes };
}
