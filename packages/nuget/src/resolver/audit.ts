import type { VulnerabilityIndex, VulnerabilitySeverity } from '../protocol/model.js';
import type { Diagnostic, DiagnosticCode } from './diagnostic.js';
import { named, wayTo } from './path.js';
import type { Resolution } from './resolution.js';

/** What is known to be vulnerable, and from which severity on that is told. */
export interface AuditOptions {
  /** What sources know of vulnerabilities: each in one index. */
  readonly indexes: readonly VulnerabilityIndex[];
  /** The least severe that is told. Default `low`. */
  readonly minSeverity?: VulnerabilitySeverity | undefined;
  /** Whether packages that others brought in are looked at, too. Default `all`. */
  readonly mode?: 'direct' | 'all' | undefined;
}

const SEVERITIES: readonly VulnerabilitySeverity[] = ['low', 'moderate', 'high', 'critical'];
const CODES: Readonly<Record<VulnerabilitySeverity, DiagnosticCode>> = {
  low: 'NU1901',
  moderate: 'NU1902',
  high: 'NU1903',
  critical: 'NU1904',
};

/** Warns of used packages that have known vulnerabilities: once for each advisory, however many sources tell it. */
export function audit({ root, first }: Resolution, options: AuditOptions): Diagnostic[] {
  const { indexes, minSeverity = 'low', mode = 'all' } = options;
  const least = SEVERITIES.indexOf(minSeverity);
  const found: Diagnostic[] = [];
  for (const [pkg, at] of first) {
    if (pkg === root || (mode === 'direct' && (root.needs & pkg.bit) === 0n)) continue;
    const told = new Set<string>();
    for (const index of indexes) {
      for (const { range, severity, advisoryUrl } of index.get(pkg.id.toLowerCase()) ?? []) {
        if (SEVERITIES.indexOf(severity) < least || told.has(advisoryUrl) || !range.satisfies(pkg.version)) continue;
        told.add(advisoryUrl);
        const { id, version } = pkg;
        const message = `${named(pkg)} has a known vulnerability of ${severity} severity: ${advisoryUrl}`;
        found.push({ code: CODES[severity], level: 'warning', id, version, message, paths: [wayTo(at)] });
      }
    }
  }
  return found;
}
