import { existsSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import type { Environment } from '../config/expand-environment.js';
import type { NuGetFramework } from '../frameworks/nuget-framework.js';
import { isPackageId, type PackageIdentity } from '../package-identity.js';
import { projectFramework } from '../resolver/project-framework.js';
import { VersionRange } from '../versions/version-range.js';
import { exactVersionOf } from './identity-of.js';
import { type EvaluatedItem, Evaluation } from './msbuild/evaluation.js';
import { readPackagesConfig } from './packages-config.js';
import type { ProjectDependencies, WantedPackages } from './wanted-packages.js';
import { readXml } from './xml-file.js';

const MAX_PROJECTS = 1000;

/**
 * What a project refers to in packages, for each of its target frameworks, and what the projects that it refers to do.
 * Versions may come from `Directory.Packages.props`.
 */
export function readProjectFile(path: string, environment: Environment): WantedPackages {
  const packages: PackageIdentity[] = [];
  const projects: ProjectDependencies[] = [];
  const problems: string[] = [];
  const queue = [resolve(path)];
  // What is appended is visited, too.
  for (const file of queue) {
    const read = readOne(file, environment);
    packages.push(...read.packages);
    projects.push(...read.projects);
    problems.push(...read.problems);
    for (const other of read.references) {
      if (queue.includes(other)) continue;
      if (queue.length < MAX_PROJECTS) queue.push(other);
      else problems.push(`${path} refers to more than ${MAX_PROJECTS} projects`);
    }
  }
  return { packages, projects, restored: [], problems };
}

function readOne(path: string, environment: Environment): WantedPackages & { readonly references: readonly string[] } {
  const packages: PackageIdentity[] = [];
  const projects: ProjectDependencies[] = [];
  const problems: string[] = [];
  const references: string[] = [];
  const note = (problem: string) => {
    const text = `${path}: ${problem}`;
    if (!problems.includes(text)) problems.push(text);
  };
  for (const [name, evaluation] of evaluationsOf(path, environment, note)) {
    const framework = projectFramework(name);
    const items = evaluation.items();
    for (const reference of valuesOf(items, 'projectreference')) {
      const other = resolve(dirname(path), reference.replaceAll('\\', '/'));
      if (existsSync(other)) references.push(other);
      else note(`the project ${reference} isn't there`);
    }
    const found = referencesOf(items, evaluation, note);
    packages.push(...found.exact);
    if (!framework.isSpecific) note(`${JSON.stringify(name)} is no target framework`);
    else {
      const dependencies = withImplicit(found.dependencies, evaluation, framework);
      if (dependencies.length > 0) projects.push({ framework, dependencies, ...(found.pins && { pins: found.pins }) });
    }
  }
  const beside = join(dirname(path), 'packages.config');
  if (projects.length === 0 && existsSync(beside)) {
    const config = readPackagesConfig(beside, readXml(beside));
    packages.push(...config.packages);
    problems.push(...config.problems);
  }
  return { packages, projects, restored: [], problems, references };
}

/** A project for each of its target frameworks. */
function evaluationsOf(
  path: string,
  environment: Environment,
  note: (problem: string) => void,
): (readonly [string, Evaluation])[] {
  const evaluation = new Evaluation(path, environment);
  const many = evaluation.property('TargetFrameworks');
  const names = many?.split(';').flatMap((name) => name.trim() || []);
  if (names === undefined) {
    note("its target frameworks can't be told; project.assets.json has them after a restore");
    return [];
  }
  if (names.length > 0)
    return names.map((name) => [name, new Evaluation(path, environment, { TargetFramework: name })]);
  const one = evaluation.property('TargetFramework') || oldFrameworkOf(evaluation);
  if (one !== undefined) return [[one, evaluation]];
  note('it has no target framework that can be told; project.assets.json has it after a restore');
  return [];
}

/** As projects of before the .NET SDK say it. */
function oldFrameworkOf(evaluation: Evaluation): string | undefined {
  const version = evaluation.property('TargetFrameworkVersion');
  if (!version) return undefined;
  const identifier = evaluation.property('TargetFrameworkIdentifier') || '.NETFramework';
  return `${identifier},Version=${version}`;
}

type Reference = { readonly id: string; version: string | undefined; isKnown: boolean };

function referencesOf(items: readonly EvaluatedItem[], evaluation: Evaluation, note: (problem: string) => void) {
  const isCentral = isTrue(evaluation.property('ManagePackageVersionsCentrally'));
  const collect = (name: string) => collectItems(items, name, note);
  const central = collect('PackageVersion');
  const references = collect('PackageReference');
  if (isCentral) for (const [key, global] of collect('GlobalPackageReference')) references.set(key, global);
  const dependencies: ProjectDependencies['dependencies'][number][] = [];
  for (const [key, { id, version, isKnown }] of references) {
    const text = isKnown ? version || central.get(key)?.version : undefined;
    const range = text === undefined ? undefined : VersionRange.tryParse(text);
    if (!isPackageId(id)) note(`${JSON.stringify(id)} is no package id`);
    else if (range) dependencies.push({ id, range });
    else note(`the version of ${id} can't be told${text ? ` from ${JSON.stringify(text)}` : ''}`);
  }
  const exact: PackageIdentity[] = [];
  for (const { id, version } of collect('PackageDownload').values()) {
    for (const each of (version ?? '').split(';')) {
      const wanted = exactVersionOf(each);
      if (wanted && isPackageId(id)) exact.push({ id, version: wanted });
      else note(`the version of ${id} that is to be downloaded can't be told`);
    }
  }
  const isPinning = isCentral && isTrue(evaluation.property('CentralPackageTransitivePinningEnabled'));
  const pins = [...central.values()].flatMap(({ id, version = '' }) => {
    const range = VersionRange.tryParse(version);
    return isPackageId(id) && range ? { id, range } : [];
  });
  return { dependencies, exact, pins: isPinning ? pins : undefined };
}

function isTrue(value: string | undefined): boolean {
  return value?.toLowerCase() === 'true';
}

/**
 * Before 2.1 .NET Standard is a package, to which every SDK refers where a project doesn't. What else SDKs add of their own
 * is another version in each of them.
 */
function withImplicit(
  dependencies: ProjectDependencies['dependencies'],
  evaluation: Evaluation,
  { framework, version }: NuGetFramework,
): ProjectDependencies['dependencies'] {
  const id = 'NETStandard.Library';
  const { major, minor } = version;
  if (!evaluation.usesSdk || framework !== '.NETStandard' || major > 2 || (major === 2 && minor > 0))
    return dependencies;
  if (isTrue(evaluation.property('DisableImplicitFrameworkReferences'))) return dependencies;
  if (dependencies.some((each) => each.id.toLowerCase() === id.toLowerCase())) return dependencies;
  const wanted = evaluation.property('NETStandardImplicitPackageVersion') || (major < 2 ? '1.6.1' : '2.0.3');
  const range = VersionRange.tryParse(wanted);
  return range ? [...dependencies, { id, range }] : dependencies;
}

/** The items of a name after all includes, updates and removes, by id in lower case. Of those there twice the first counts. */
function collectItems(
  items: readonly EvaluatedItem[],
  name: string,
  note: (problem: string) => void,
): Map<string, Reference> {
  const found = new Map<string, Reference>();
  for (const item of items) {
    if (item.name !== name.toLowerCase()) continue;
    const setsVersion = item.metadata.has('version') || item.metadata.has('versionoverride');
    if (item.include === undefined || (item.update === undefined && setsVersion))
      note(`what a ${name} in ${basename(item.file)} is for can't be told`);
    for (const id of item.include ?? []) {
      if (found.has(id.toLowerCase())) continue;
      found.set(id.toLowerCase(), withVersion({ id, version: undefined, isKnown: true }, item));
    }
    for (const id of item.update ?? []) {
      const before = found.get(id.toLowerCase());
      if (before) found.set(id.toLowerCase(), withVersion(before, item));
    }
    for (const id of item.remove ?? []) found.delete(id.toLowerCase());
  }
  return found;
}

function withVersion(reference: Reference, { metadata }: EvaluatedItem): Reference {
  const key = metadata.has('versionoverride') ? 'versionoverride' : 'version';
  if (!metadata.has(key)) return reference;
  const version = metadata.get(key);
  return { id: reference.id, version, isKnown: version !== undefined };
}

function valuesOf(items: readonly EvaluatedItem[], name: string): readonly string[] {
  return items.flatMap((item) => (item.name === name ? (item.include ?? []) : []));
}
