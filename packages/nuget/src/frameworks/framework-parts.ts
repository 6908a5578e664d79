import type { NuGetVersion } from '../versions/nuget-version.js';
import { NO_VERSION, toFullVersion } from './framework-version.js';

/** What a framework's name says. */
export interface FrameworkParts {
  /** `.NETFramework`, `.NETCoreApp`. */
  readonly framework: string;
  /** 0.0 when the name has none. */
  readonly version: NuGetVersion;
  /** `Client`, `Profile259`; empty when there is none. */
  readonly profile: string;
  /** `windows`, `ios`, of .NET 5 and later; else empty. */
  readonly platform: string;
  /** 0.0 when there is none. */
  readonly platformVersion: NuGetVersion;
}

export function frameworkParts(
  framework: string,
  version = NO_VERSION,
  profile = '',
  platform = '',
  platformVersion = NO_VERSION,
): FrameworkParts {
  return { framework, version, profile, platform, platformVersion };
}

/** Whether it is .NET 5 or later, which is a continuation of .NET Core, called `net` all the same. */
export function isNet5Era(parts: Pick<FrameworkParts, 'framework' | 'version'>): boolean {
  return parts.version.major >= 5 && isFramework(parts, '.netcoreapp');
}

/** Whether it is a portable class library: the frameworks that it is for are what its profile names. */
export function isPortable(parts: Pick<FrameworkParts, 'framework' | 'version'>): boolean {
  return parts.version.major < 5 && isFramework(parts, '.netportable');
}

/** Whether it is one or another version of a framework, named in lower case. */
export function isFramework(parts: Pick<FrameworkParts, 'framework'>, lowerCase: string): boolean {
  return parts.framework.length === lowerCase.length && parts.framework.toLowerCase() === lowerCase;
}

/** Whether two are versions of the same framework, whose name is mostly spelled in the one way. */
export function isSameFramework(a: Pick<FrameworkParts, 'framework'>, b: Pick<FrameworkParts, 'framework'>): boolean {
  return a.framework === b.framework || isFramework(a, b.framework.toLowerCase());
}

/** The same for equal frameworks, and for them only. */
export function keyOf({ framework, version, profile, platform, platformVersion }: FrameworkParts): string {
  const key = `${framework},${toFullVersion(version)},${profile},${platform},${toFullVersion(platformVersion)}`;
  return key.toLowerCase();
}
