import { NuGetError } from '../errors.js';
import { quoted } from './quoted.js';
import { compareLabelKeys, isRelease, labelKeys } from './release-labels.js';

/** Longest text that is looked at. Feeds allow 64 characters. */
const MAX_LENGTH = 1024;
const MAX_PART = 2_147_483_647;
const [DOT, HYPHEN, PLUS, ZERO, NINE] = [0x2e, 0x2d, 0x2b, 0x30, 0x39];
const NO_LABELS: readonly string[] = Object.freeze([]);

/**
 * A package's version: SemVer 2, plus the fourth number that .NET assemblies have. One to four numbers are accepted, with
 * leading zeros and with white space around them: `1`, `1.02`, ` 1.0.0.0 ` and `1.0.0-rc.1+build` are versions.
 *
 * Versions are immutable. Those that differ in the case of their labels, in metadata, in leading zeros or in a fourth
 * number that is zero are equal.
 */
export class NuGetVersion {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
  /** The fourth number; 0 where there is none. */
  readonly revision: number;
  /** What stands behind the hyphen, as it was written: `rc.1`; empty for stable versions. */
  readonly release: string;
  /** What stands behind the plus; empty when there is none. */
  readonly metadata: string;
  readonly #text: string;
  #labels: readonly string[] | undefined;
  #keys: ReturnType<typeof labelKeys> | undefined;
  #normalized: string | undefined;

  private constructor(
    major: number,
    minor: number,
    patch: number,
    revision: number,
    release: string,
    metadata: string,
    text: string,
  ) {
    this.major = major;
    this.minor = minor;
    this.patch = patch;
    this.revision = revision;
    this.release = release;
    this.metadata = metadata;
    this.#text = text;
  }

  /**
   * @throws {@link NuGetError} `INVALID_VERSION` for a text that is no version, that has a number above 2147483647, or
   * that is longer than 1024 characters
   */
  static parse(text: string): NuGetVersion {
    const version = NuGetVersion.tryParse(text);
    if (version === undefined) throw new NuGetError('INVALID_VERSION', `${quoted(text)} is no version`);
    return version;
  }

  /** The version that a text says, or undefined when it says none. Takes well below a microsecond. */
  static tryParse(text: string): NuGetVersion | undefined {
    if (typeof text !== 'string' || text.length > MAX_LENGTH) return undefined;
    let end = text.length;
    let at = 0;
    while (at < end && isWhiteSpace(text.charCodeAt(at))) at++;
    while (end > at && isWhiteSpace(text.charCodeAt(end - 1))) end--;
    const written = text.slice(at, end);

    // bench/nuget-versions.mjs: one pass over the characters, and no piece is cut out before it is known to be wanted.
    let major = 0;
    let minor = 0;
    let patch = 0;
    let revision = 0;
    let part = 0;
    for (; ; part++, at++) {
      while (at < end && isWhiteSpace(text.charCodeAt(at))) at++;
      const first = at;
      let value = 0;
      let code = 0;
      for (; at < end; at++) {
        code = text.charCodeAt(at);
        if (code < ZERO || code > NINE) break;
        value = value * 10 + (code - ZERO);
        if (value > MAX_PART) return undefined;
      }
      if (at === first) return undefined;
      if (part === 0) major = value;
      else if (part === 1) minor = value;
      else if (part === 2) patch = value;
      else if (part === 3) revision = value;
      else return undefined;
      if (at === end) break;
      while (at < end && isWhiteSpace(code)) code = text.charCodeAt(++at);
      if (code === HYPHEN || code === PLUS) break;
      if (code !== DOT) return undefined;
    }

    let release = '';
    let metadata = '';
    if (at < end && text.charCodeAt(at) === HYPHEN) {
      const plus = text.indexOf('+', at);
      const releaseEnd = plus < 0 ? end : plus;
      if (!isRelease(text, at + 1, releaseEnd, false)) return undefined;
      release = text.slice(at + 1, releaseEnd);
      at = releaseEnd;
    }
    if (at < end) {
      if (!isRelease(text, at + 1, end, true)) return undefined;
      metadata = text.slice(at + 1, end);
    }
    return new NuGetVersion(major, minor, patch, revision, release, metadata, written);
  }

  /**
   * Negative when `a` comes before `b`, positive when it comes behind, 0 when they are equal: a total order, and what
   * `sort()` takes. Numbers first; then prereleases before the stable version; then labels from left to right, numeric
   * ones as numbers of any length and before others, others without regard to case. Metadata doesn't count.
   */
  static compare(a: NuGetVersion, b: NuGetVersion): number {
    if (a.major !== b.major) return a.major - b.major;
    if (a.minor !== b.minor) return a.minor - b.minor;
    if (a.patch !== b.patch) return a.patch - b.patch;
    if (a.revision !== b.revision) return a.revision - b.revision;
    if (a.release === '') return b.release === '' ? 0 : 1;
    if (b.release === '') return -1;
    // bench/nuget-versions.mjs: walking over the texts each time costs several times as much.
    a.#keys ??= labelKeys(a.releaseLabels);
    b.#keys ??= labelKeys(b.releaseLabels);
    return compareLabelKeys(a.#keys, b.#keys);
  }

  get releaseLabels(): readonly string[] {
    this.#labels ??= this.release === '' ? NO_LABELS : Object.freeze(this.release.split('.'));
    return this.#labels;
  }

  get isPrerelease(): boolean {
    return this.release !== '';
  }

  get hasMetadata(): boolean {
    return this.metadata !== '';
  }

  /** Whether it has a fourth number, which SemVer doesn't know. */
  get isLegacyVersion(): boolean {
    return this.revision > 0;
  }

  /** Whether only clients that know SemVer 2 can read it: it has several labels, or metadata. */
  get isSemVer2(): boolean {
    return this.metadata !== '' || this.release.includes('.');
  }

  /** The text that was parsed, without white space. */
  get originalVersion(): string {
    return this.#text.replace(/\s+/g, '');
  }

  compareTo(other: NuGetVersion): number {
    return NuGetVersion.compare(this, other);
  }

  equals(other: NuGetVersion | undefined): boolean {
    return other !== undefined && NuGetVersion.compare(this, other) === 0;
  }

  /** Three numbers (four, when the last isn't zero) and the labels, without metadata: `1.0.0-rc.1`. */
  toNormalizedString(): string {
    this.#normalized ??= this.#toNormalizedString();
    return this.#normalized;
  }

  #toNormalizedString(): string {
    const numbers = `${this.major}.${this.minor}.${this.patch}${this.revision > 0 ? `.${this.revision}` : ''}`;
    return this.release === '' ? numbers : `${numbers}-${this.release}`;
  }

  /** Normalized, with metadata: `1.0.0-rc.1+build`. */
  toFullString(): string {
    return this.metadata === '' ? this.toNormalizedString() : `${this.toNormalizedString()}+${this.metadata}`;
  }

  /**
   * As it was written, which is what old feeds know a package by (`1.0`, `1.0.0.0`); versions that need SemVer 2 are
   * normalized.
   */
  toString(): string {
    return this.isSemVer2 ? this.toNormalizedString() : this.originalVersion;
  }

  toJSON(): string {
    return this.toFullString();
  }
}

/** White space as .NET has it, which knows U+0085 where JavaScript knows U+FEFF. */
function isWhiteSpace(code: number): boolean {
  if (code <= 0x20) return code === 0x20 || (code >= 9 && code <= 13);
  if (code < 0x85) return false;
  return code === 0x85 || (code !== 0xfeff && String.fromCharCode(code).trim() === '');
}
