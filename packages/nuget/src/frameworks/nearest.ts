import { isCompatible } from './compatibility.js';
import { isFramework, isSameFramework } from './framework-parts.js';
import { nearestPortable } from './nearest-portable.js';
import { NuGetFramework } from './nuget-framework.js';

/** What `nearestFramework` may fall back on. */
export interface NearestOptions {
  /**
   * Frameworks that are tried in turn when nothing goes with the target: what a project's `AssetTargetFallback` names.
   * What they find isn't certain to work. Default none.
   */
  readonly fallbacks?: readonly NuGetFramework[] | undefined;
}

/** Frameworks that come first where nothing else decides, and those of which projects take everything from packages. */
const PRECEDENCE = ['.netframework', '.netcore', 'windows', 'windowsphoneapp'];
const PACKAGE_BASED_PRECEDENCE = ['.netcoreapp', '.netstandardapp', '.netstandard', '.netplatform'];

/**
 * The one of several frameworks that projects for a target use the files of, as NuGet chooses it: the target itself, else
 * the highest version of its own framework, else what comes nearest of the others; portable class libraries after those,
 * and `any` last. The order of the candidates doesn't matter.
 *
 * @returns one of the candidates, or undefined when the target can use none of them
 */
export function nearestFramework(
  target: NuGetFramework,
  candidates: Iterable<NuGetFramework>,
  options: NearestOptions = {},
): NuGetFramework | undefined {
  const all = [...candidates];
  for (const each of [target, ...(options.fallbacks ?? [])]) {
    const found = nearestTo(each, all);
    if (found !== undefined) return found;
  }
  return undefined;
}

function nearestTo(target: NuGetFramework, candidates: readonly NuGetFramework[]): NuGetFramework | undefined {
  const same = candidates.find((each) => each.equals(target));
  if (same !== undefined) return same;
  const known = preferring(candidates, (each) => !each.isUnsupported);
  let left = highest(known.filter((each) => isCompatible(target, each)));
  left = ofSameFramework(target, left);
  left = portableLast(target, left);
  if (!target.isPackageBased) left = preferring(left, (each) => !each.isPackageBased);
  left = ofSameProfile(target, left);
  left = ofBestPlatform(target, left);
  return left.length > 1 ? [...left].sort(compareByPrecedence)[0] : left[0];
}

/** Those of the frameworks for which something holds, if it holds for any. */
function preferring(
  frameworks: readonly NuGetFramework[],
  is: (framework: NuGetFramework) => boolean,
): readonly NuGetFramework[] {
  const preferred = frameworks.filter(is);
  return preferred.length > 0 ? preferred : frameworks;
}

/** Without those that others of them can use: of net45 and net40, net45. They come in an order of their own. */
function highest(frameworks: readonly NuGetFramework[]): readonly NuGetFramework[] {
  const distinct = [...new Map(frameworks.map((each) => [each.key, each])).values()];
  const all = preferring(distinct, (each) => !each.isAny);
  const left = all.filter((each) => !all.some((other) => other !== each && isBelow(each, other)));
  return left.sort(compareNames);
}

function isBelow(framework: NuGetFramework, other: NuGetFramework): boolean {
  if (!isCompatible(other, framework)) return false;
  if (!isCompatible(framework, other)) return true;
  // Each is a name of the other: then the one that says a version is better.
  return isSameFramework(framework, other) && isZero(framework) && !isZero(other);
}

function ofSameFramework(target: NuGetFramework, frameworks: readonly NuGetFramework[]): readonly NuGetFramework[] {
  if (!frameworks.some((each) => isSameFramework(target, each))) return frameworks;
  return frameworks.filter(
    (each) => isSameFramework(target, each) || (target.platform !== '' && isOlderPlatform(target, each)),
  );
}

function portableLast(target: NuGetFramework, frameworks: readonly NuGetFramework[]): readonly NuGetFramework[] {
  const left = preferring(frameworks, (each) => !each.isPortable);
  const isAllPortable = left.length > 1 && left.every((each) => each.isPortable);
  return isAllPortable ? [nearestPortable(target, left, nearestTo)] : left;
}

function ofSameProfile(target: NuGetFramework, frameworks: readonly NuGetFramework[]): readonly NuGetFramework[] {
  const profile = target.profile.toLowerCase();
  if (profile === '') return preferring(frameworks, (each) => each.profile === '');
  const same = (each: NuGetFramework) => isSameFramework(target, each) && each.profile.toLowerCase() === profile;
  return preferring(preferring(frameworks, same), (each) => each.profile === '' || same(each));
}

function ofBestPlatform(target: NuGetFramework, frameworks: readonly NuGetFramework[]): readonly NuGetFramework[] {
  if (frameworks.length < 2 || target.platform === '') return frameworks;
  const own = frameworks.filter((each) => isSameFramework(target, each));
  const isNet6Era = target.version.major >= 6;
  if (own.length > 0 && (!isNet6Era || own.some((each) => each.version.major >= 6))) {
    // The higher version wins over the nearer platform.
    const [first, ...rest] = own;
    const top = rest.reduce((a, b) => (b.version.compareTo(a.version) > 0 ? b : a), first as NuGetFramework);
    return own.filter((each) => each.version.equals(top.version));
  }
  return preferring(frameworks, (each) => isOlderPlatform(target, each));
}

/** What .NET 6 and later continue on two of their platforms. */
function isOlderPlatform(target: NuGetFramework, framework: NuGetFramework): boolean {
  const isContinued = isFramework(framework, 'monoandroid') || isFramework(framework, 'tizen');
  return isContinued && target.isNet5Era && target.version.major >= 6;
}

function compareByPrecedence(a: NuGetFramework, b: NuGetFramework): number {
  return rank(a) - rank(b) || compareNames(b, a);
}

function rank(framework: NuGetFramework): number {
  const isPackageBased = framework.isPackageBased && !isFramework(framework, '.netcore');
  const order = isPackageBased ? PACKAGE_BASED_PRECEDENCE : PRECEDENCE;
  const index = order.indexOf(framework.framework.toLowerCase());
  return (isPackageBased ? 100 : 0) + (index < 0 ? order.length : index);
}

/** An order without a meaning, but always the same. */
function compareNames(a: NuGetFramework, b: NuGetFramework): number {
  return (
    compareText(a.framework, b.framework) ||
    a.version.compareTo(b.version) ||
    compareText(a.profile, b.profile) ||
    compareText(a.platform, b.platform) ||
    a.platformVersion.compareTo(b.platformVersion)
  );
}

function compareText(a: string, b: string): number {
  const [lowerA, lowerB] = [a.toLowerCase(), b.toLowerCase()];
  if (lowerA === lowerB) return 0;
  return lowerA < lowerB ? -1 : 1;
}

function isZero(framework: NuGetFramework): boolean {
  return framework.version.equals(NuGetFramework.any.version);
}
