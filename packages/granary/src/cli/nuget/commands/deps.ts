import {
  type AuditOptions,
  clientDependencies,
  type DependencyGraph,
  type DependencyNode,
  type Diagnostic,
  type NuGetFramework,
  projectFramework,
  resolveDependencies,
  sdkFallbacks,
  type VulnerabilitySeverity,
} from '@granary/nuget';
import { redactText } from '@granary/telemetry';
import type { ExitCode } from '../../io.js';
import { plain } from '../../terminal/text.js';
import { toJson } from '../json.js';
import { type NuGetIo, UsageError } from '../run-command.js';
import { openSession, type Session, type SessionOptions } from '../session.js';
import { wantedRange } from '../wanted-range.js';

export interface DepsOptions extends SessionOptions {
  readonly framework: string;
  readonly prerelease?: boolean;
  /** Warns of known vulnerabilities from this severity on; true is `low`. */
  readonly audit?: boolean | string;
}

/** Shows what a package brings with it into a project for a framework, and what is wrong with that. */
export async function deps(id: string, text: string | undefined, options: DepsOptions, io: NuGetIo): Promise<ExitCode> {
  const framework = frameworkOf(options.framework);
  await using session = await openSession(options, io);
  const graph = await resolveDependencies({
    provider: clientDependencies(session.client, { ...session.call, mapping: mappingOf(options, session) }),
    dependencies: [{ id, range: await wantedRange(id, text, options, session) }],
    framework,
    fallbacks: sdkFallbacks(framework),
    audit: await auditOf(options, session),
    signal: io.signal,
  });
  if (options.json) io.out(toJson({ ...graph, diagnostics: graph.diagnostics.map(withoutCause) }));
  else io.out(drawGraph(graph, io));
  reportDiagnostics(graph.diagnostics, io);
  return graph.success ? 0 : 1;
}

/**
 * The framework that a project of this name is for.
 *
 * @throws UsageError for a name that is no framework
 */
export function frameworkOf(text: string): NuGetFramework {
  const framework = projectFramework(text);
  if (framework.isSpecific) return framework;
  throw new UsageError(
    `--framework: found "${text}"; allowed: a target framework, such as net8.0, netstandard2.0, net472`,
  );
}

/** Sources that are named have every package. */
export function mappingOf(options: SessionOptions, { config }: Session) {
  return options.source ? undefined : config.mapping;
}

const SEVERITIES: readonly VulnerabilitySeverity[] = ['low', 'moderate', 'high', 'critical'];

export async function auditOf({ audit }: DepsOptions, { client, call }: Session): Promise<AuditOptions | undefined> {
  if (audit === undefined || audit === false) return undefined;
  const minSeverity = audit === true ? 'low' : SEVERITIES.find((severity) => severity === audit);
  if (minSeverity === undefined) {
    throw new UsageError(`--audit: found "${String(audit)}"; allowed: ${SEVERITIES.join(', ')}`);
  }
  const index = await client.vulnerabilities(call);
  return { minSeverity, indexes: index === undefined ? [] : [index] };
}

/** Warnings and errors with their codes, each with the ways that show it. */
export function reportDiagnostics(diagnostics: readonly Diagnostic[], io: NuGetIo): void {
  for (const { level, code, message, paths } of diagnostics) {
    const mark = level === 'error' ? io.errStyle.bad : io.errStyle.bold;
    io.err(`${mark(`${level} ${code}`)}: ${plain(redactText(message))}\n`);
    for (const path of paths.slice(0, MAX_PATHS)) io.err(`  ${plain(path)}\n`);
    if (paths.length > MAX_PATHS) io.err(`  and ${paths.length - MAX_PATHS} more\n`);
  }
}

const MAX_PATHS = 5;

/** As it is printed as JSON. */
export function withoutCause({ cause: _, ...diagnostic }: Diagnostic) {
  return { ...diagnostic, message: redactText(diagnostic.message) };
}

function drawGraph({ roots, packages, framework }: DependencyGraph, io: NuGetIo): string {
  const lines = roots.flatMap((node) => [describe(node, io), ...drawBelow(node, '', io)]);
  const count = packages.length === 1 ? '1 package' : `${packages.length} packages`;
  return `${lines.join('\n')}\n${count} for ${framework.shortFolderName}\n`;
}

function drawBelow({ children }: DependencyNode, indent: string, io: NuGetIo): string[] {
  return children.flatMap((child, i) => {
    const isLast = i === children.length - 1;
    const line = `${indent}${isLast ? '└─ ' : '├─ '}${describe(child, io)}`;
    return [line, ...drawBelow(child, `${indent}${isLast ? '   ' : '│  '}`, io)];
  });
}

function describe(node: DependencyNode, { style }: NuGetIo): string {
  const { outcome, version } = node;
  const name = plain(`${node.id} ${version?.toNormalizedString() ?? ''}`.trim());
  const wanted = plain(node.range.prettyPrint() || 'any');
  switch (outcome) {
    case 'chosen':
      return style.bold(name);
    case 'repeated':
      return `${name} ${style.faint('(shown elsewhere)')}`;
    case 'superseded':
      return `${name} ${style.faint(`(${node.wanted?.toNormalizedString() ?? wanted} would do; another branch needs more)`)}`;
    case 'eclipsed':
      return `${name} ${style.faint('(decided nearer to the root)')}`;
    case 'downgraded':
      return `${name} ${style.bad(`(downgraded: wants ${wanted})`)}`;
    case 'exceeded':
      return `${name} ${style.bad(`(too high: wants ${wanted})`)}`;
    case 'conflict':
      return `${name} ${style.bad(`(conflict: wants ${wanted})`)}`;
    case 'cycle':
      return `${name} ${style.bad('(cycle)')}`;
    case 'missing':
      return `${name} ${style.bad(`(missing: wants ${wanted})`)}`;
  }
}
