import { NuGetVersion } from './nuget-version.js';

/**
 * Which part of a version floats: `1.0.0-rc.*` prerelease, `1.0.0.*` revision, `1.0.*` patch, `1.*` minor, `*` major; the
 * same with prereleases, `1.0.*-*`; and `*-*`, the latest of all.
 */
export type FloatBehavior =
  | 'prerelease'
  | 'revision'
  | 'patch'
  | 'minor'
  | 'major'
  | 'prerelease-revision'
  | 'prerelease-patch'
  | 'prerelease-minor'
  | 'prerelease-major'
  | 'absolute-latest';

const BY_PARTS: readonly (FloatBehavior | undefined)[] = [undefined, undefined, 'minor', 'patch', 'revision'];
const PRERELEASE_BY_PARTS: readonly (FloatBehavior | undefined)[] = [
  undefined,
  'prerelease-major',
  'prerelease-minor',
  'prerelease-patch',
  'prerelease-revision',
];

/** The part of a range of which the highest version is wanted, not the lowest: what `1.2.*` says. */
export class FloatRange {
  readonly behavior: FloatBehavior;
  /** The lowest version of it: 1.2.0 for `1.2.*`, 1.0.0-0 for `1.0.0-*`. */
  readonly minVersion: NuGetVersion;
  /** What the labels of prereleases begin with: `rc.` for `1.0.0-rc.*`. */
  readonly releasePrefix: string;

  private constructor(behavior: FloatBehavior, minVersion: NuGetVersion, releasePrefix: string) {
    this.behavior = behavior;
    this.minVersion = minVersion;
    this.releasePrefix = releasePrefix;
  }

  /**
   * What a text with `*` in it says. `float` is undefined where it says a version all the same: a star may stand right
   * behind a digit, where it is read as one more digit, 0. Undefined for a text that says nothing.
   */
  static tryParse(text: string): { minVersion: NuGetVersion; float: FloatRange | undefined } | undefined {
    if (text === '*') return floating('major', '0.0.0', '');
    if (text === '*-*') return floating('absolute-latest', '0.0.0-0', '');
    // A star is the last character of the numbers, of the labels, or of both.
    if (!text.endsWith('*') || text.includes('+')) return undefined;
    const hyphen = text.indexOf('-');
    const star = text.indexOf('*');
    if (hyphen < 0) {
      if (star !== text.length - 1) return undefined;
      const lowest = `${text.slice(0, -1)}0`;
      return floating(BY_PARTS[lowest.split('.').length], lowest, '');
    }

    const prefix = text.slice(hyphen + 1, -1);
    if (star === text.length - 1) {
      // With hyphens in its labels, NuGet reads `1.0.0-rc-1.*` as the version `1.0.0-rc-1.`, which is none.
      const lowest = prefix === '' || (prefix.endsWith('.') && !prefix.includes('-')) ? `${prefix}0` : prefix;
      return floating('prerelease', text.slice(0, hyphen + 1) + lowest, prefix);
    }
    if (star !== hyphen - 1 || prefix.includes('*')) return undefined;
    const numbers = `${text.slice(0, star)}0`;
    const lowest = prefix === '' || prefix.endsWith('.') ? `${prefix}0` : prefix;
    return floating(PRERELEASE_BY_PARTS[numbers.split('.').length], `${numbers}-${lowest}`, prefix);

    function floating(behavior: FloatBehavior | undefined, lowest: string, releasePrefix: string) {
      const minVersion = NuGetVersion.tryParse(lowest);
      if (minVersion === undefined) return undefined;
      return { minVersion, float: behavior && new FloatRange(behavior, minVersion, releasePrefix) };
    }
  }

  /** Whether prereleases are wanted. */
  get includesPrerelease(): boolean {
    return this.behavior === 'absolute-latest' || this.behavior.startsWith('prerelease');
  }

  /** Whether a version is one of those of which the highest is wanted. */
  satisfies(version: NuGetVersion): boolean {
    if (this.behavior === 'absolute-latest') return true;
    if (version.isPrerelease && !(this.includesPrerelease && this.#hasPrefix(version))) return false;
    const { minVersion } = this;
    switch (this.behavior) {
      case 'major':
      case 'prerelease-major':
        return true;
      case 'minor':
      case 'prerelease-minor':
        return version.major === minVersion.major;
      case 'patch':
      case 'prerelease-patch':
        return version.major === minVersion.major && version.minor === minVersion.minor;
      default:
        return (
          version.major === minVersion.major &&
          version.minor === minVersion.minor &&
          version.patch === minVersion.patch &&
          (this.behavior !== 'prerelease' || version.revision === minVersion.revision)
        );
    }
  }

  #hasPrefix(version: NuGetVersion): boolean {
    const { length } = this.releasePrefix;
    return version.release.slice(0, length).toLowerCase() === this.releasePrefix.toLowerCase();
  }

  equals(other: FloatRange | undefined): boolean {
    return (
      other !== undefined &&
      this.behavior === other.behavior &&
      this.minVersion.equals(other.minVersion) &&
      this.releasePrefix.toLowerCase() === other.releasePrefix.toLowerCase()
    );
  }

  /** As it is written, normalized: `1.2.*`, `1.0.0-rc.*`. */
  toString(): string {
    const { major, minor, patch, revision } = this.minVersion;
    const release = this.includesPrerelease ? `-${this.releasePrefix}*` : '';
    switch (this.behavior) {
      case 'prerelease':
        return `${major}.${minor}.${patch}${revision > 0 ? `.${revision}` : ''}${release}`;
      case 'revision':
      case 'prerelease-revision':
        return `${major}.${minor}.${patch}.*${release}`;
      case 'patch':
      case 'prerelease-patch':
        return `${major}.${minor}.*${release}`;
      case 'minor':
      case 'prerelease-minor':
        return `${major}.*${release}`;
      default:
        return `*${release}`;
    }
  }
}
