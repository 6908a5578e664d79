import { createHash } from 'node:crypto';
import { NuGetError } from '../../errors.js';
import { NupkgReader } from '../../packages/nupkg-reader.js';
import type { Nuspec } from '../../packages/nuspec.js';
import { NuGetVersion } from '../../versions/nuget-version.js';
import type { VersionRange } from '../../versions/version-range.js';
import { buildPackage } from '../build-package.js';
import type { FeedPackageInit, ListedPackageInit } from './settings.js';

/** One version of a package as the server keeps it. */
export interface FeedPackage {
  readonly id: string;
  readonly version: NuGetVersion;
  readonly content: Buffer;
  readonly nuspec: Buffer;
  /** SHA-512 of the content, in base64. */
  readonly hash: string;
  /** Whether only clients that know SemVer 2 may see it, because of its version or those that it depends on. */
  readonly semVer2: boolean;
  readonly metadata: Nuspec;
  readonly packageTypes: readonly string[];
  readonly dependencyGroups: readonly {
    /** Its short name; '' is any. */
    readonly framework: string;
    readonly dependencies: readonly { readonly id: string; readonly range: string }[];
  }[];
  readonly created: Date;
  readonly published: Date;
  readonly downloads: number;
  readonly listed: boolean;
}

/** The packages of a server, which may change while it runs. */
export class FeedPackages {
  readonly #byId = new Map<string, FeedPackage[]>();
  readonly #now: () => number;
  #changed: number;

  constructor(now: () => number = Date.now) {
    this.#now = now;
    this.#changed = now();
  }

  /** When a package was last added or changed: each change is at least a second after the one before, as headers say it. */
  get changed(): Date {
    return new Date(this.#changed);
  }

  /**
   * Adds a version, which must be new unless it may be replaced.
   *
   * @throws {@link NuGetError} `INVALID_PACKAGE` or `CONFLICT`
   */
  async add(init: FeedPackageInit, options: { readonly replace?: boolean } = {}): Promise<FeedPackage> {
    const { content, ...known } = listedInit(init);
    const pkg = await this.#read(content, known);
    const id = pkg.id.toLowerCase();
    const versions = this.#byId.get(id) ?? [];
    const others = versions.filter(({ version }) => !version.equals(pkg.version));
    if (others.length < versions.length && !options.replace) {
      throw new NuGetError('CONFLICT', `${pkg.id} ${pkg.version.toNormalizedString()} is there already`);
    }
    this.#byId.set(
      id,
      [...others, pkg].sort((a, b) => a.version.compareTo(b.version)),
    );
    this.#touch();
    return pkg;
  }

  /** Every version of every package: by id, then from the oldest. Unlisted ones too. */
  all({ semVer2 = true }: { readonly semVer2?: boolean } = {}): FeedPackage[] {
    const ids = [...this.#byId.keys()].sort();
    const everything = ids.flatMap((id) => this.#byId.get(id) ?? []);
    return semVer2 ? everything : everything.filter((pkg) => !pkg.semVer2);
  }

  /** All versions of a package, from the oldest. */
  versions(id: string): readonly FeedPackage[] {
    return this.#byId.get(id.toLowerCase()) ?? [];
  }

  find(id: string, version: string): FeedPackage | undefined {
    const wanted = NuGetVersion.tryParse(version);
    return wanted && this.versions(id).find((pkg) => pkg.version.equals(wanted));
  }

  /** The newest listed version that is stable. */
  latest(id: string): FeedPackage | undefined {
    return this.versions(id).findLast((pkg) => pkg.listed && !pkg.version.isPrerelease);
  }

  /** Listed versions that have all words in their id, title, description or tags; `id:` and `packageid:` are exact. */
  search(text: string, among: readonly FeedPackage[] = this.all()): FeedPackage[] {
    const words = text
      .toLowerCase()
      .split(/\s+/)
      .filter((word) => word !== '');
    return among.filter((pkg) => pkg.listed && words.every((word) => hasWord(pkg, word)));
  }

  setListed(id: string, version: string, listed: boolean): boolean {
    const pkg = this.find(id, version);
    if (pkg === undefined) return false;
    const versions = this.versions(id).map((other) => (other === pkg ? { ...pkg, listed } : other));
    this.#byId.set(id.toLowerCase(), versions);
    this.#touch();
    return true;
  }

  remove(id: string, version: string): boolean {
    const pkg = this.find(id, version);
    if (pkg === undefined) return false;
    const left = this.versions(id).filter((other) => other !== pkg);
    if (left.length > 0) this.#byId.set(id.toLowerCase(), left);
    else this.#byId.delete(id.toLowerCase());
    this.#touch();
    return true;
  }

  #touch(): void {
    this.#changed = Math.max(this.#now(), this.#changed + 1000);
  }

  async #read(content: Buffer, known: Omit<ListedPackageInit, 'content'>): Promise<FeedPackage> {
    const reader = await NupkgReader.open(content);
    try {
      const metadata = await reader.nuspec();
      const created = new Date(this.#now());
      return {
        id: metadata.id,
        version: metadata.version,
        content,
        nuspec: await reader.nuspecBytes(),
        hash: createHash('sha512').update(content).digest('base64'),
        semVer2: metadata.version.isSemVer2 || metadata.dependencyGroups.some(needsSemVer2),
        metadata,
        packageTypes: metadata.packageTypes.length > 0 ? metadata.packageTypes.map(({ name }) => name) : ['Dependency'],
        dependencyGroups: metadata.dependencyGroups.map(({ targetFramework, dependencies }) => ({
          framework: targetFramework.isAny ? '' : targetFramework.shortFolderName,
          dependencies: dependencies.map(({ id, range }) => ({ id, range: range.toNormalizedString() })),
        })),
        created,
        published: known.published ?? created,
        downloads: known.downloads ?? 0,
        listed: known.listed ?? true,
      };
    } finally {
      await reader.close();
    }
  }
}

function listedInit(init: FeedPackageInit): ListedPackageInit {
  if (Buffer.isBuffer(init)) return { content: init };
  return 'content' in init ? init : { content: buildPackage(init) };
}

function needsSemVer2(group: { readonly dependencies: readonly { readonly range: VersionRange }[] }): boolean {
  return group.dependencies.some(({ range }) => range.minVersion?.isSemVer2 || range.maxVersion?.isSemVer2);
}

function hasWord({ id, metadata }: FeedPackage, word: string): boolean {
  const lower = id.toLowerCase();
  const exact = /^(?:package)?id:(.+)$/.exec(word)?.[1];
  if (exact !== undefined) return lower === exact.replaceAll('"', '');
  const texts = [lower, metadata.title, metadata.description, metadata.tags.join(' ')];
  return texts.some((text) => text?.toLowerCase().includes(word));
}
