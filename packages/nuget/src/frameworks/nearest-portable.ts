import { canonicalKey } from './equivalent-frameworks.js';
import { isFramework } from './framework-parts.js';
import { NuGetFramework } from './nuget-framework.js';
import { portableFrameworks } from './portable-profiles.js';

/** Chooses among frameworks, none of them portable. */
type Nearest = (target: NuGetFramework, candidates: readonly NuGetFramework[]) => NuGetFramework | undefined;

/** The one of several portable class libraries, all of which the target can use, that comes nearest to it. */
export function nearestPortable(
  target: NuGetFramework,
  candidates: readonly NuGetFramework[],
  nearest: Nearest,
): NuGetFramework {
  const sets = new Map(candidates.map((each) => [each, membersOf(each, true)]));
  const all = [...sets.values()].flat();
  // A portable target is for several frameworks: each of them has a vote.
  const voters = target.isPortable ? distinctMembers(target) : [target];
  const votes = new Map(candidates.map((each) => [each, 0]));
  for (const voter of voters) {
    const found = nearest(voter, all);
    for (const [each, members] of sets) {
      if (members.some((member) => member.equals(found))) votes.set(each, (votes.get(each) ?? 0) + 1);
    }
  }
  const most = Math.max(...votes.values());
  return candidates
    .filter((each) => votes.get(each) === most)
    .reduce((best, each) => (isBetter(each, best) ? each : best));
}

function membersOf(portable: NuGetFramework, includeMono: boolean): NuGetFramework[] {
  return portableFrameworks(portable.profile, includeMono).map((parts) => NuGetFramework.of(parts));
}

function distinctMembers(portable: NuGetFramework): NuGetFramework[] {
  return [...new Map(membersOf(portable, true).map((member) => [canonicalKey(member), member])).values()];
}

/**
 * Which of two is nearer when nothing else decides: the one for fewer frameworks, as it has more in common with each; then
 * the one for later versions of them; then the one for the later .NET Framework; then the first by name.
 */
function isBetter(portable: NuGetFramework, other: NuGetFramework): boolean {
  const [members, others] = [membersOf(portable, false), membersOf(other, false)];
  return (
    (others.length - members.length ||
      votesOfVersions(members, others) ||
      compareVersions(members, others, '.netframework') ||
      (portable.shortFolderName < other.shortFolderName ? 1 : -1)) > 0
  );
}

/** Of how many frameworks that both are for the first has a later version, less those of which it has an earlier one. */
function votesOfVersions(members: readonly NuGetFramework[], others: readonly NuGetFramework[]): number {
  let votes = 0;
  for (const { framework } of members) votes += Math.sign(compareVersions(members, others, framework.toLowerCase()));
  return votes;
}

function compareVersions(members: readonly NuGetFramework[], others: readonly NuGetFramework[], name: string): number {
  const member = members.find((each) => isFramework(each, name));
  const other = others.find((each) => isFramework(each, name));
  return member === undefined || other === undefined ? 0 : member.version.compareTo(other.version);
}
