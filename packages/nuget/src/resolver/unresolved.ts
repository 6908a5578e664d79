import { NuGetVersion } from '../versions/nuget-version.js';
import type { VersionRange } from '../versions/version-range.js';
import type { Diagnostic, DiagnosticCode } from './diagnostic.js';
import type { Edge } from './nodes.js';

/** Why there is no package for a dependency. */
export function explainUnresolved(edge: Edge, paths: readonly string[]): Diagnostic {
  const { id, range, answer } = edge;
  const wanted = `${id} ${range.prettyPrint()}`.trim();
  const error = (code: DiagnosticCode, message: string, cause?: unknown): Diagnostic => ({
    code,
    level: 'error',
    message,
    id,
    paths,
    ...(cause === undefined ? {} : { cause }),
  });
  if (answer?.kind !== 'missing') {
    const cause = answer?.kind === 'failed' ? answer.error : undefined;
    return error(
      'NU1301',
      `${wanted} can't be looked up: ${cause instanceof Error ? cause.message : String(cause)}`,
      cause,
    );
  }
  const { versions, sources } = answer;
  if (sources?.length === 0) {
    return error('NU1100', `${wanted} can't be resolved: package source mapping names no source for it`);
  }
  const where = sources === undefined ? 'the sources' : sources.join(', ');
  if (versions.length === 0) return error('NU1101', `there is no package ${id} in ${where}`);

  const found = `${where} ${sources?.length === 1 ? 'has' : 'have'} ${versions.length} other versions, the nearest is ${nearest(versions, range)?.toNormalizedString()}`;
  const onlyPrereleases = !allowsPrereleases(range) && versions.some((version) => range.satisfies(version));
  return onlyPrereleases
    ? error('NU1103', `there is no stable version of ${wanted}; ${found}`)
    : error('NU1102', `there is no version of ${wanted}; ${found}`);
}

function allowsPrereleases({ minVersion, maxVersion }: VersionRange): boolean {
  return minVersion?.isPrerelease === true || maxVersion?.isPrerelease === true;
}

/** The first version from the bound on, or the highest. */
function nearest(versions: readonly NuGetVersion[], range: VersionRange): NuGetVersion | undefined {
  const sorted = [...versions].sort(NuGetVersion.compare);
  const bound = range.minVersion ?? range.maxVersion;
  const above = bound && sorted.find((version) => NuGetVersion.compare(version, bound) >= 0);
  return above !== undefined && !(range.isFloating && range.maxVersion === undefined) ? above : sorted.at(-1);
}
