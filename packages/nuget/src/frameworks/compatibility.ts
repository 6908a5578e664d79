import { equivalentsOf } from './equivalent-frameworks.js';
import { type FrameworkParts, isFramework, isNet5Era, isPortable, isSameFramework, keyOf } from './framework-parts.js';
import type { NuGetFramework } from './nuget-framework.js';
import { portableFrameworks } from './portable-profiles.js';
import { supportedBy } from './supported-frameworks.js';

/**
 * Whether projects for one framework can use what was built for another one: net8.0 uses net6.0, netcoreapp3.1 and
 * netstandard2.0, and net8.0-windows uses net8.0 besides.
 */
export function isCompatible(target: NuGetFramework, candidate: NuGetFramework): boolean {
  if (target.equals(candidate) || target.isAny || candidate.isAny) return true;
  if (target.isUnsupported) return false;
  if (candidate.isAgnostic) return true;
  return !candidate.isUnsupported && canUse(target, candidate);
}

/** The same for frameworks, none of them a special value. */
function canUse(target: FrameworkParts, candidate: FrameworkParts): boolean {
  if (isPortable(candidate)) {
    const targets = isPortable(target) ? portableFrameworks(target.profile, false) : [target];
    // It may be for more than its name says, but must not be taken for more than the target's says.
    const candidates = portableFrameworks(candidate.profile, true);
    if (targets.length === 0 || targets.length > candidates.length) return false;
    return targets.every((each) => candidates.some((other) => canUse(each, other)));
  }
  if (keyOf(target) === keyOf(candidate)) return true;
  const all = supportedBy(target);
  const isOneOf = (name: FrameworkParts) => all.some((supported) => isUpTo(supported, name));
  return isOneOf(candidate) || equivalentsOf(candidate).some(isOneOf);
}

/** Whether a framework is an earlier version, or the same, of another one. */
function isUpTo(supported: FrameworkParts, candidate: FrameworkParts): boolean {
  if (!isSameFramework(supported, candidate)) return isForOlderPlatform(supported, candidate);
  if (candidate.version.compareTo(supported.version) > 0) return false;
  if (candidate.profile.toLowerCase() !== supported.profile.toLowerCase()) return false;
  return (
    candidate.platform === '' ||
    (candidate.platform.toLowerCase() === supported.platform.toLowerCase() &&
      candidate.platformVersion.compareTo(supported.platformVersion) <= 0)
  );
}

/** From .NET 6 on, two of its platforms use what was built for the framework that they continue. */
function isForOlderPlatform(target: FrameworkParts, candidate: FrameworkParts): boolean {
  if (!isNet5Era(target) || target.version.major < 6) return false;
  const platform = target.platform.toLowerCase();
  return (
    (platform === 'android' && isFramework(candidate, 'monoandroid')) ||
    (platform === 'tizen' && isFramework(candidate, 'tizen'))
  );
}
