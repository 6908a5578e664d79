import { isNet5Era } from '../frameworks/framework-parts.js';
import { NuGetFramework } from '../frameworks/nuget-framework.js';
import { NuGetVersion } from '../versions/nuget-version.js';

/** What the .NET SDK takes for Windows where a project names no version of it. */
const WINDOWS = NuGetVersion.parse('7.0');

/**
 * The framework that a project means by its name: `net8.0-windows` is `net8.0-windows7.0` to the .NET SDK, which has a
 * version for each platform without one. That of Windows is always the same; those of other platforms are of the
 * workloads that are installed, so that they stay as they are: `net8.0-ios` can use no package for `net8.0-ios17.0`.
 *
 * @throws {@link NuGetError} `INVALID_FRAMEWORK` as `NuGetFramework.parse` does
 */
export function projectFramework(text: string): NuGetFramework {
  const framework = NuGetFramework.parse(text);
  const { platform, platformVersion } = framework;
  if (!isNet5Era(framework) || platform.toLowerCase() !== 'windows') return framework;
  const hasVersion = platformVersion.major > 0 || platformVersion.minor > 0;
  return hasVersion ? framework : NuGetFramework.of({ ...framework, platformVersion: WINDOWS });
}
