import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Environment } from '../config/expand-environment.js';
import type { NuGetFramework } from '../frameworks/nuget-framework.js';
import type { PackageIdentity } from '../package-identity.js';
import { projectFramework } from '../resolver/project-framework.js';
import { VersionRange } from '../versions/version-range.js';
import { type EvaluatedItem, Evaluation } from './msbuild/evaluation.js';
import { isTrue, type Note, readPackageItems } from './package-items.js';
import { readPackagesConfig } from './packages-config.js';
import { sdkPackages } from './sdk-packages.js';
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
  const note: Note = (problem) => {
    const text = `${path}: ${problem}`;
    if (!problems.includes(text)) problems.push(text);
  };
  const whole = new Evaluation(path, environment);
  const evaluations = evaluationsOf(path, whole, environment, note);
  const all = [whole, ...evaluations.map(([, evaluation]) => evaluation)];
  packages.push(
    ...sdkPackages(
      path,
      all.flatMap(({ sdks }) => sdks),
      note,
    ),
  );
  for (const [name, evaluation] of evaluations) {
    const framework = projectFramework(name);
    const items = evaluation.items();
    for (const reference of valuesOf(items, 'projectreference')) {
      const other = resolve(dirname(path), reference.replaceAll('\\', '/'));
      if (existsSync(other)) references.push(other);
      else note(`the project ${reference} isn't there`);
    }
    const found = readPackageItems(items, evaluation, note);
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
  evaluation: Evaluation,
  environment: Environment,
  note: Note,
): (readonly [string, Evaluation])[] {
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

function valuesOf(items: readonly EvaluatedItem[], name: string): readonly string[] {
  return items.flatMap((item) => (item.name === name ? (item.include ?? []) : []));
}
