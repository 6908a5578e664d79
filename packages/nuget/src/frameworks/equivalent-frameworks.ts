import { type FrameworkParts, frameworkParts, isFramework, keyOf } from './framework-parts.js';
import { parseFolder } from './parse-folder.js';

/** Names of the same thing: frameworks that were renamed, and what their name means without a version. */
const GROUPS: readonly string[] = [
  'uap uap10.0',
  'win8 win netcore45 netcore winrt45 winrt',
  'win81 netcore451',
  'wp7 wp sl3-wp',
  'wp71 sl4-wp71',
  'wp8 sl8-wp',
  'wp81 sl81-wp',
  'wpa81 wpa',
  'tizen3 tizen',
  'dnx45 dnx aspnet50 aspnet',
  'dnxcore50 dnxcore aspnetcore50 aspnetcore',
  'dotnet5.0 dotnet0.0',
];

/** Groups by the key of each member: built when first wanted. */
let groups: ReadonlyMap<string, readonly FrameworkParts[]> | undefined;

function groupsByKey(): ReadonlyMap<string, readonly FrameworkParts[]> {
  groups ??= new Map(
    GROUPS.map((names) => names.split(' ').map((name) => parseFolder(name) ?? frameworkParts('Unsupported'))).flatMap(
      (group) => group.map((member) => [keyOf(member), group] as const),
    ),
  );
  return groups;
}

/** The same for frameworks that are names of the same thing. */
export function canonicalKey(parts: FrameworkParts): string {
  const [first = parts] = groupsByKey().get(keyOf(parts)) ?? [];
  return keyOf(first);
}

/** By the framework that was asked for: the members of portable profiles are asked for again and again. */
const equivalents = new WeakMap<FrameworkParts, readonly FrameworkParts[]>();

/** What else a framework is called, profiles that make no difference included. */
export function equivalentsOf(parts: FrameworkParts): readonly FrameworkParts[] {
  const before = equivalents.get(parts);
  if (before !== undefined) return before;
  const found = new Map([[keyOf(parts), parts]]);
  // A map goes on with what is added to it meanwhile.
  for (const each of found.values()) {
    for (const other of [...(groupsByKey().get(keyOf(each)) ?? []), ...withOtherProfiles(each)]) {
      if (!found.has(keyOf(other))) found.set(keyOf(other), other);
    }
  }
  found.delete(keyOf(parts));
  const others = [...found.values()];
  equivalents.set(parts, others);
  return others;
}

/** All frameworks that have other names, up to a version of one of them, and with its profile. */
export function renamedUpTo(parts: FrameworkParts): FrameworkParts[] {
  const members = [...groupsByKey().values()].flat();
  return members.filter(
    (member) =>
      isFramework(member, parts.framework.toLowerCase()) &&
      member.profile.toLowerCase() === parts.profile.toLowerCase() &&
      member.version.compareTo(parts.version) <= 0,
  );
}

function withOtherProfiles({ framework, version, profile }: FrameworkParts): FrameworkParts[] {
  return otherProfiles(framework.toLowerCase(), profile.toLowerCase()).map((other) =>
    frameworkParts(framework, version, other),
  );
}

function otherProfiles(framework: string, profile: string): readonly string[] {
  if (framework === '.netframework') {
    if (profile === '') return ['Client', 'Full'];
    return profile === 'client' || profile === 'full' ? [''] : [];
  }
  if (framework !== 'silverlight' && framework !== 'windowsphone') return [];
  if (profile === 'windowsphone') return ['WindowsPhone71'];
  return profile === 'windowsphone71' ? ['WindowsPhone'] : [];
}
