import type { NuGetFramework } from '../frameworks/nuget-framework.js';
import type { VersionRange } from '../versions/version-range.js';
import { type AuditOptions, audit } from './audit.js';
import { isAbove, isBelow, isOutvoted } from './build-graph.js';
import type { Diagnostic, DiagnosticCode } from './diagnostic.js';
import type { Edge } from './nodes.js';
import { named, wayTo, wayToEdge } from './path.js';
import type { Resolution } from './resolution.js';
import { explainUnresolved } from './unresolved.js';

/** All that is to be said of a graph: errors first, then by code and package. */
export function diagnose(
  resolution: Resolution,
  framework: NuGetFramework,
  auditOptions: AuditOptions | undefined,
): readonly Diagnostic[] {
  const conflicts = findConflicts(resolution);
  const all = [
    ...findUnresolved(resolution),
    ...conflicts,
    ...findCycles(resolution),
    ...findMissedBounds(resolution),
    ...findOverruled(resolution, new Set(conflicts.map(({ id }) => id.toLowerCase()))),
    ...findMisfits(resolution, framework),
    ...(auditOptions === undefined ? [] : audit(resolution, auditOptions)),
  ];
  return all.sort(
    (a, b) =>
      compareText(a.level, b.level) ||
      compareText(a.code, b.code) ||
      compareText(a.id.toLowerCase(), b.id.toLowerCase()) ||
      compareText(a.message, b.message),
  );
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function findUnresolved({ live, chosen }: Resolution): Diagnostic[] {
  const byRange = new Map<string, { edge: Edge; paths: string[] }>();
  for (const [edge, at] of live) {
    if (edge.answer === undefined || edge.answer.kind === 'package' || isOutvoted(edge, chosen.get(edge.bit))) continue;
    const key = `${edge.id} ${edge.range.toNormalizedString()}`.toLowerCase();
    const path = wayToEdge(at, edge);
    const known = byRange.get(key);
    if (known === undefined) byRange.set(key, { edge, paths: [path] });
    else known.paths.push(path);
  }
  return [...byRange.values()].map(({ edge, paths }) => explainUnresolved(edge, paths));
}

/** Ranges that don't have the version that another branch needs. */
function findConflicts({ live, chosen, first }: Resolution): Diagnostic[] {
  const found: Diagnostic[] = [];
  for (const [edge, at] of live) {
    const used = chosen.get(edge.bit);
    if (used === undefined || edge.range.satisfies(used.version)) continue;
    if (edge.answer?.kind !== 'package' && !isOutvoted(edge, used)) continue;
    const paths = [first.get(used)].flatMap((way) => (way === undefined ? [] : [wayTo(way)]));
    paths.push(wayToEdge(at, edge));
    const message = `${named(used)} is needed and excluded at the same time; depend on ${used.id} directly to decide for a version`;
    found.push({ code: 'NU1107', level: 'error', id: used.id, version: used.version, message, paths });
  }
  return found;
}

function findCycles({ cycles }: Resolution): Diagnostic[] {
  return cycles.map(({ at, edge }): Diagnostic => {
    const path = wayToEdge(at, edge);
    return { code: 'NU1108', level: 'error', id: edge.id, message: `${edge.id} depends on itself`, paths: [path] };
  });
}

/** Dependencies whose lowest version isn't said, or isn't there. */
function findMissedBounds({ root, live, chosen }: Resolution): Diagnostic[] {
  const found: Diagnostic[] = [];
  for (const [edge, at] of live) {
    const { range, id } = edge;
    if (range.isFloating) continue;
    const isUnbounded = !range.isMinInclusive;
    const paths = [wayToEdge(at, edge)];
    if (at.pkg === root && isUnbounded) {
      const message = `the dependency on ${describe(id, range)} doesn't say a lowest version, so that what is used may change`;
      found.push({ code: 'NU1604', level: 'warning', id, version: chosen.get(edge.bit)?.version, message, paths });
      continue;
    }
    if (edge.answer?.kind !== 'package' || chosen.get(edge.bit) !== edge.answer.pkg) continue;
    const { version } = edge.answer.pkg;
    const owner = at.pkg === root ? 'the root' : named(at.pkg);
    if (isUnbounded) {
      const message = `${owner} depends on ${describe(id, range)} and doesn't say a lowest version; ${named({ id, version })} is used`;
      found.push({ code: 'NU1602', level: 'warning', id, version, message, paths });
    } else if (range.minVersion?.equals(version) === false) {
      const message = `${owner} depends on ${describe(id, range)}, but ${named({ id, version: range.minVersion })} isn't there; ${named({ id, version })} is used`;
      found.push({ code: 'NU1603', level: 'warning', id, version, message, paths });
    }
  }
  return found;
}

/** Dependencies on whose version something nearer decides, for one that they exclude. */
function findOverruled({ root, first, chosen, live, cycles }: Resolution, conflicting: ReadonlySet<string>) {
  const circular = new Set(cycles.map(({ edge }) => edge));
  const found: Diagnostic[] = [];
  for (const [pkg, at] of first) {
    if (pkg === root) continue;
    for (const edge of pkg.edges) {
      const used = chosen.get(edge.bit);
      if (used === undefined || live.has(edge) || circular.has(edge)) continue;
      const { id, version } = used;
      const way = first.get(used);
      const paths = [wayToEdge(at, edge), ...(way === undefined ? [] : [wayTo(way)])];
      const owner = named(pkg);
      if (isBelow(version, edge.range)) {
        const message = `${owner} needs ${describe(id, edge.range)}, but something nearer asks for ${named(used)}: a downgrade`;
        found.push({ code: 'NU1605', level: 'warning', id, version, message, paths });
      } else if (isAbove(version, edge.range) && !conflicting.has(id.toLowerCase())) {
        const message = `${owner} needs ${describe(id, edge.range)}, but something nearer asks for ${named(used)}`;
        found.push({ code: 'NU1608', level: 'warning', id, version, message, paths });
      }
    }
  }
  return found;
}

function findMisfits({ first }: Resolution, framework: NuGetFramework): Diagnostic[] {
  const found: Diagnostic[] = [];
  for (const [{ id, version, fit }, at] of first) {
    if (fit === 'compatible') continue;
    const isError = fit === 'incompatible';
    const message = isError
      ? `${named({ id, version })} has nothing for ${framework.shortFolderName}`
      : `${named({ id, version })} is made for another framework than ${framework.shortFolderName} and may not work with it`;
    const code: DiagnosticCode = isError ? 'NU1202' : 'NU1701';
    found.push({ code, level: isError ? 'error' : 'warning', id, version, message, paths: [wayTo(at)] });
  }
  return found;
}

function describe(id: string, range: VersionRange): string {
  return `${id} ${range.prettyPrint()}`.trim();
}
