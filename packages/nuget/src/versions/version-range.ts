import { NuGetError } from '../errors.js';
import type { FloatRange } from './float-range.js';
import { NuGetVersion } from './nuget-version.js';
import { parseRange } from './parse-range.js';
import { quoted } from './quoted.js';

/** Bounds of a range. */
export interface VersionBounds {
  /** Undefined: any, however low. */
  readonly minVersion?: NuGetVersion | undefined;
  /** Default true. */
  readonly isMinInclusive?: boolean | undefined;
  /** Undefined: any, however high. */
  readonly maxVersion?: NuGetVersion | undefined;
  /** Default false. */
  readonly isMaxInclusive?: boolean | undefined;
  /** Of which the highest is wanted. */
  readonly float?: FloatRange | undefined;
}

/**
 * The versions that will do, and which of them is wanted: `1.0` (that or any higher one), `[1.0]` (that one), `[1.0,2.0)`,
 * `(,1.0]`, `1.*`, `[1.*,2.0)`, `1.0.0-rc.*`. Immutable.
 *
 * A range is an interval in the order of versions and nothing else: `[1.0,2.0)` has 2.0.0-alpha in it, which comes before
 * 2.0.0, and `1.0` doesn't have 1.0.0-alpha. Only {@link findBestMatch} passes over prereleases.
 */
export class VersionRange {
  /** All versions, of which the lowest is wanted. */
  static readonly all = new VersionRange({});
  /** No version: what remains of ranges that have nothing in common. */
  static readonly none = VersionRange.#empty();

  readonly minVersion: NuGetVersion | undefined;
  /** False without a lower bound. */
  readonly isMinInclusive: boolean;
  readonly maxVersion: NuGetVersion | undefined;
  /** False without an upper bound. */
  readonly isMaxInclusive: boolean;
  /** Undefined when no part of it floats. */
  readonly float: FloatRange | undefined;
  /** The text that was parsed, if one was. */
  readonly originalString: string | undefined;

  constructor(bounds: VersionBounds, originalString?: string) {
    const { minVersion, maxVersion } = bounds;
    this.minVersion = minVersion;
    this.isMinInclusive = minVersion !== undefined && (bounds.isMinInclusive ?? true);
    this.maxVersion = maxVersion;
    this.isMaxInclusive = maxVersion !== undefined && (bounds.isMaxInclusive ?? false);
    this.float = bounds.float;
    this.originalString = originalString;
  }

  static #empty(): VersionRange {
    const zero = NuGetVersion.parse('0.0.0');
    return new VersionRange({ minVersion: zero, isMinInclusive: false, maxVersion: zero });
  }

  /**
   * @throws {@link NuGetError} `INVALID_VERSION_RANGE` for a text that is no range, that no version can be in (`(1.0,1.0)`,
   * `[2.0,1.0]`), or that is longer than 4096 characters
   */
  static parse(text: string): VersionRange {
    const range = VersionRange.tryParse(text);
    if (range === undefined) throw new NuGetError('INVALID_VERSION_RANGE', `${quoted(text)} is no range of versions`);
    return range;
  }

  /** The range that a text says, or undefined when it says none. */
  static tryParse(text: string): VersionRange | undefined {
    const bounds = parseRange(text);
    return bounds && new VersionRange(bounds, text);
  }

  /** The smallest range that has all of the given versions and ranges in it, those between them included. */
  static combine(parts: Iterable<NuGetVersion | VersionRange>): VersionRange {
    let all: VersionRange | undefined;
    for (const part of parts) {
      const range = part instanceof VersionRange ? part : exactly(part);
      if (range.isEmpty) continue;
      if (all === undefined) all = range;
      const low = compareMin(range, all) < 0 ? range : all;
      const high = compareMax(range, all) > 0 ? range : all;
      all = new VersionRange(spanning(low, high));
    }
    return all ?? VersionRange.none;
  }

  /** The versions that are in all of the given ranges; {@link none} when there are no such, or no ranges. */
  static commonSubset(ranges: Iterable<VersionRange>): VersionRange {
    let common: VersionRange | undefined;
    for (const range of ranges) {
      if (common === undefined) common = range;
      const low = compareMin(range, common) > 0 ? range : common;
      const high = compareMax(range, common) < 0 ? range : common;
      common = new VersionRange(spanning(low, high));
      if (common.isEmpty) return VersionRange.none;
    }
    return common ?? VersionRange.none;
  }

  /** Whether the highest version of a part of it is wanted, not the lowest. */
  get isFloating(): boolean {
    return this.float !== undefined;
  }

  /** Whether its bounds leave no room for any version. */
  get isEmpty(): boolean {
    if (this.minVersion === undefined || this.maxVersion === undefined) return false;
    const order = NuGetVersion.compare(this.minVersion, this.maxVersion);
    return order > 0 || (order === 0 && !(this.isMinInclusive && this.isMaxInclusive));
  }

  /** Whether a version lies between the bounds. Metadata doesn't count. */
  satisfies(version: NuGetVersion): boolean {
    if (this.minVersion !== undefined) {
      const order = NuGetVersion.compare(this.minVersion, version);
      if (order > 0 || (order === 0 && !this.isMinInclusive)) return false;
    }
    if (this.maxVersion !== undefined) {
      const order = NuGetVersion.compare(version, this.maxVersion);
      if (order > 0 || (order === 0 && !this.isMaxInclusive)) return false;
    }
    return true;
  }

  /**
   * The version that is wanted, of those that there are: the lowest that satisfies the range, or the highest that a
   * floating part has, else the lowest above that. Prereleases are passed over unless a bound is one or the floating part
   * wants them. Of equal ones it is the first.
   */
  findBestMatch(versions: Iterable<NuGetVersion>): NuGetVersion | undefined {
    let best: NuGetVersion | undefined;
    for (const version of versions) if (this.isBetter(best, version)) best = version;
    return best;
  }

  /** Whether a version is wanted rather than another one that is known to be in the range, or than none. */
  isBetter(current: NuGetVersion | undefined, considered: NuGetVersion): boolean {
    if (considered.isPrerelease && !this.#wantsPrereleases) return false;
    if (!this.satisfies(considered)) return false;
    if (current === undefined) return true;
    const order = NuGetVersion.compare(current, considered);
    if (this.float === undefined) return order > 0;

    const currentFloats = this.float.satisfies(current);
    if (currentFloats !== this.float.satisfies(considered)) return !currentFloats;
    if (currentFloats) return order < 0;
    const currentIsBelow = NuGetVersion.compare(current, this.float.minVersion) < 0;
    const consideredIsBelow = NuGetVersion.compare(considered, this.float.minVersion) < 0;
    if (currentIsBelow !== consideredIsBelow) return currentIsBelow;
    return currentIsBelow ? order < 0 : order > 0;
  }

  get #wantsPrereleases(): boolean {
    return (
      this.minVersion?.isPrerelease === true ||
      this.maxVersion?.isPrerelease === true ||
      this.float?.includesPrerelease === true
    );
  }

  /** Whether every version that is in this range is in another one too. Which one is wanted doesn't count. */
  isSubsetOrEqualTo(other: VersionRange): boolean {
    return this.isEmpty || (!other.isEmpty && compareMin(this, other) >= 0 && compareMax(this, other) <= 0);
  }

  /** Whether it has the same bounds and wants the same version. */
  equals(other: VersionRange | undefined): boolean {
    return (
      other !== undefined &&
      this.isMinInclusive === other.isMinInclusive &&
      this.isMaxInclusive === other.isMaxInclusive &&
      (this.minVersion?.equals(other.minVersion) ?? other.minVersion === undefined) &&
      (this.maxVersion?.equals(other.maxVersion) ?? other.maxVersion === undefined) &&
      (this.float?.equals(other.float) ?? other.float === undefined)
    );
  }

  /** As an interval: `[1.0.0, 2.0.0)`, `[1.*, )`, `(, )`. */
  toNormalizedString(): string {
    return this.#toInterval(this.float?.toString() ?? this.minVersion?.toNormalizedString());
  }

  toString(): string {
    return this.toNormalizedString();
  }

  toJSON(): string {
    return this.toNormalizedString();
  }

  /** As short as it can be said: `1.0.0` for `[1.0.0, )`, `1.*`, `[1.0.0]`; else the normalized form. */
  toShortString(): string {
    return this.#toShort(this.float?.toString()) ?? this.toNormalizedString();
  }

  /** As an interval, without what floats, which clients before 3.0 don't know: `[1.0.0, )` for `1.*`. */
  toLegacyString(): string {
    return this.#toInterval(this.minVersion?.toNormalizedString());
  }

  /** As short as it can be said, without what floats: `1.0.0` for `1.*`. */
  toLegacyShortString(): string {
    return this.#toShort(undefined) ?? this.toLegacyString();
  }

  /** For people: `(>= 1.0.0 && < 2.0.0)`, `(= 1.0.0)`; empty for all versions. */
  prettyPrint(): string {
    const min = this.minVersion?.toNormalizedString();
    const max = this.maxVersion?.toNormalizedString();
    if (this.#isExact) return `(= ${min})`;
    const bounds = [];
    if (min !== undefined) bounds.push(`${this.isMinInclusive ? '>=' : '>'} ${min}`);
    if (max !== undefined) bounds.push(`${this.isMaxInclusive ? '<=' : '<'} ${max}`);
    return bounds.length === 0 ? '' : `(${bounds.join(' && ')})`;
  }

  get #isExact(): boolean {
    return this.isMinInclusive && this.isMaxInclusive && this.minVersion?.equals(this.maxVersion) === true;
  }

  #toInterval(min = ''): string {
    const max = this.maxVersion?.toNormalizedString() ?? '';
    return `${this.isMinInclusive ? '[' : '('}${min}, ${max}${this.isMaxInclusive ? ']' : ')'}`;
  }

  #toShort(float: string | undefined): string | undefined {
    const min = this.minVersion?.toNormalizedString();
    if (this.isMinInclusive && this.maxVersion === undefined) return float ?? min;
    return this.#isExact ? `[${min}]` : undefined;
  }
}

function exactly(version: NuGetVersion): VersionRange {
  return new VersionRange({ minVersion: version, maxVersion: version, isMaxInclusive: true });
}

function spanning(low: VersionRange, high: VersionRange): VersionBounds {
  return {
    minVersion: low.minVersion,
    isMinInclusive: low.isMinInclusive,
    maxVersion: high.maxVersion,
    isMaxInclusive: high.isMaxInclusive,
  };
}

/** Which of two ranges begins lower. */
function compareMin(a: VersionRange, b: VersionRange): number {
  if (a.minVersion === undefined) return b.minVersion === undefined ? 0 : -1;
  if (b.minVersion === undefined) return 1;
  return NuGetVersion.compare(a.minVersion, b.minVersion) || Number(b.isMinInclusive) - Number(a.isMinInclusive);
}

/** Which of two ranges ends lower. */
function compareMax(a: VersionRange, b: VersionRange): number {
  if (a.maxVersion === undefined) return b.maxVersion === undefined ? 0 : 1;
  if (b.maxVersion === undefined) return -1;
  return NuGetVersion.compare(a.maxVersion, b.maxVersion) || Number(a.isMaxInclusive) - Number(b.isMaxInclusive);
}
