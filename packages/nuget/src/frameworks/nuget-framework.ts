import { NuGetError } from '../errors.js';
import type { NuGetVersion } from '../versions/nuget-version.js';
import { shortIdentifierOf, shortProfileOf } from './framework-names.js';
import { type FrameworkParts, isFramework, isNet5Era, isPortable, keyOf } from './framework-parts.js';
import { toFolderVersion, toFullVersion } from './framework-version.js';
import { AGNOSTIC, ANY, parseFramework, UNSUPPORTED } from './parse-framework.js';
import { portableFrameworks } from './portable-profiles.js';

const PACKAGE_BASED: ReadonlySet<string> = new Set([
  ...['.netcoreapp', '.netstandard', '.netstandardapp', '.netplatform', 'dnxcore', 'uap', 'tizen'],
]);

/**
 * A target framework: what projects are built for, and what packages have their files for. Immutable.
 *
 * .NET 5 and later are `.NETCoreApp`, whatever their short name says, and only they have platforms.
 */
export class NuGetFramework implements FrameworkParts {
  /** Goes with every framework, and has all of them. */
  static readonly any = new NuGetFramework(ANY);
  /** For no framework in particular: files that every project can use. */
  static readonly agnostic = new NuGetFramework(AGNOSTIC);
  /** What unknown names are: no project can use it. */
  static readonly unsupported = new NuGetFramework(UNSUPPORTED);

  readonly framework: string;
  readonly version: NuGetVersion;
  readonly profile: string;
  readonly platform: string;
  readonly platformVersion: NuGetVersion;
  /** The same for equal frameworks, and for them only: for maps and sets. */
  readonly key: string;

  private constructor(parts: FrameworkParts) {
    this.framework = parts.framework;
    this.version = parts.version;
    this.profile = parts.profile;
    this.platform = parts.platform;
    this.platformVersion = parts.platformVersion;
    this.key = keyOf(parts);
  }

  /**
   * The framework of a name, of a folder's kind (`net8.0-windows10.0.19041`, `net472`, `portable-net45+win8`) or of the full
   * kind (`.NETFramework,Version=v4.7.2`). A folder's name that means no framework is {@link unsupported}, as packages have
   * folders of any name.
   *
   * @throws {@link NuGetError} `INVALID_FRAMEWORK` for a full name whose version is none, a portable set with a profile
   * within, or a text of more than 1024 characters
   */
  static parse(text: string): NuGetFramework {
    return NuGetFramework.of(parseFramework(text));
  }

  /** The framework that is made of these parts. */
  static of(parts: FrameworkParts): NuGetFramework {
    return SPECIAL.find(({ framework }) => framework === parts.framework) ?? new NuGetFramework(parts);
  }

  get isAny(): boolean {
    return this === NuGetFramework.any;
  }

  get isAgnostic(): boolean {
    return this === NuGetFramework.agnostic;
  }

  get isUnsupported(): boolean {
    return this === NuGetFramework.unsupported;
  }

  /** Whether it is a framework, and none of the special values. */
  get isSpecific(): boolean {
    return !SPECIAL.includes(this);
  }

  /** Whether it is .NET 5 or later. */
  get isNet5Era(): boolean {
    return isNet5Era(this);
  }

  /** Whether it is a portable class library, which is for several frameworks. */
  get isPortable(): boolean {
    return isPortable(this);
  }

  /** Whether its projects take all that isn't their own from packages. */
  get isPackageBased(): boolean {
    const isNetCore50 = this.version.major >= 5 && isFramework(this, '.netcore');
    return isNetCore50 || PACKAGE_BASED.has(this.framework.toLowerCase());
  }

  equals(other: NuGetFramework | undefined): boolean {
    return other !== undefined && this.key === other.key;
  }

  /**
   * What folders of packages call it: `net8.0-windows10.0.19041`, `netstandard2.0`, `net472`.
   *
   * @throws {@link NuGetError} `INVALID_FRAMEWORK` for one that can't be called anything: a portable class library that is
   * for no framework
   */
  get shortFolderName(): string {
    return this.isSpecific ? shortFolderName(this) : this.framework.toLowerCase();
  }

  /** The {@link shortFolderName}, or the {@link fullName} of one that no folder can be called after. Never throws. */
  get shortName(): string {
    try {
      return this.shortFolderName;
    } catch {
      return this.fullName;
    }
  }

  /** What .NET calls it: `.NETFramework,Version=v4.7.2`. Platforms are no part of it. */
  get fullName(): string {
    if (!this.isSpecific) return `${this.framework},Version=v0.0`;
    // Without a number, the first generation of .NET's platform is meant.
    const isFirst = isFramework(this, '.netplatform') && this.version.equals(UNSUPPORTED.version);
    const version = isFirst ? '5.0' : toFullVersion(this.version);
    return `${this.framework},Version=v${version}${this.profile === '' ? '' : `,Profile=${this.profile}`}`;
  }

  /** The short name of .NET 5 and later, and the full name of all else. */
  toString(): string {
    return this.isNet5Era ? this.shortFolderName : this.fullName;
  }

  toJSON(): string {
    return this.toString();
  }
}

const SPECIAL: readonly NuGetFramework[] = [NuGetFramework.any, NuGetFramework.agnostic, NuGetFramework.unsupported];

function shortFolderName(parts: FrameworkParts): string {
  const { framework, version, profile, platform, platformVersion } = parts;
  const name = isNet5Era(parts) ? 'net' : (shortIdentifierOf(framework) ?? framework.replace(/[^\p{L}\p{Nd}]/gu, ''));
  if (name === '')
    throw new NuGetError('INVALID_FRAMEWORK', `${JSON.stringify(framework)} can't be the name of a folder`);
  const isDotNet5 = isFramework(parts, '.netplatform') && version.major === 5 && toFullVersion(version) === '5.0';
  const isAllVersions = toFullVersion(version) === '0.0';
  const start = isDotNet5 || isAllVersions ? name : name + toFolderVersion(framework, version);
  return `${start}${suffix()}`.toLowerCase();

  function suffix(): string {
    if (isPortable(parts)) return `-${portableSet(parts)}`;
    if (platform !== '') {
      const isAllPlatforms = toFullVersion(platformVersion) === '0.0';
      return `-${platform}${isAllPlatforms ? '' : toFolderVersion(framework, platformVersion)}`;
    }
    return profile === '' ? '' : `-${shortProfileOf(profile)}`;
  }
}

/** The frameworks of a portable class library in alphabetical order. */
function portableSet(parts: FrameworkParts): string {
  const names = portableFrameworks(parts.profile, false).map(shortFolderName);
  if (names.length > 0) return [...new Set(names)].sort().join('+');
  throw new NuGetError('INVALID_FRAMEWORK', `${JSON.stringify(parts.profile)} is no set of frameworks`);
}
