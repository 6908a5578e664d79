import { basename } from 'node:path';
import { isPackageId, type PackageIdentity } from '../package-identity.js';
import type { PackageDependency } from '../protocol/model.js';
import { VersionRange } from '../versions/version-range.js';
import { exactVersionOf } from './identity-of.js';
import type { EvaluatedItem, Evaluation } from './msbuild/evaluation.js';

interface Reference {
  readonly id: string;
  readonly version: string | undefined;
  /** Whether the version can be told. */
  readonly isKnown: boolean;
}

/** By id in lower case. */
type References = ReadonlyMap<string, Reference>;

/** What a project's items say of packages. */
export interface PackageItems {
  readonly dependencies: readonly PackageDependency[];
  /** Packages that are only downloaded. */
  readonly exact: readonly PackageIdentity[];
  /** Versions for packages that others depend on; undefined when the project pins none. */
  readonly pins: readonly PackageDependency[] | undefined;
}

/** Is told what of a project can't be read. */
export type Note = (problem: string) => void;

/** Reads the items about packages of a project, with versions from where it has them all. */
export function readPackageItems(items: readonly EvaluatedItem[], evaluation: Evaluation, note: Note): PackageItems {
  const isCentral = isTrue(evaluation.property('ManagePackageVersionsCentrally'));
  const isPinning = isCentral && isTrue(evaluation.property('CentralPackageTransitivePinningEnabled'));
  const collect = (name: string) => collectItems(items, name, note);
  const central = collect('PackageVersion');
  const references = collect('PackageReference');
  if (isCentral) for (const [key, global] of collect('GlobalPackageReference')) references.set(key, global);
  return {
    dependencies: dependenciesOf(references, central, note),
    exact: downloadsOf(collect('PackageDownload'), note),
    pins: isPinning ? pinsOf(central) : undefined,
  };
}

function dependenciesOf(references: References, central: References, note: Note): PackageDependency[] {
  const dependencies: PackageDependency[] = [];
  for (const [key, { id, version, isKnown }] of references) {
    const text = isKnown ? version || central.get(key)?.version : undefined;
    const range = text === undefined ? undefined : VersionRange.tryParse(text);
    if (!isPackageId(id)) note(`${JSON.stringify(id)} is no package id`);
    else if (range) dependencies.push({ id, range });
    else note(`the version of ${id} can't be told${text ? ` from ${JSON.stringify(text)}` : ''}`);
  }
  return dependencies;
}

function downloadsOf(downloads: References, note: Note): PackageIdentity[] {
  const exact: PackageIdentity[] = [];
  for (const { id, version } of downloads.values()) {
    for (const each of (version ?? '').split(';')) {
      const wanted = exactVersionOf(each);
      if (wanted && isPackageId(id)) exact.push({ id, version: wanted });
      else note(`the version of ${id} that is to be downloaded can't be told`);
    }
  }
  return exact;
}

function pinsOf(central: References): PackageDependency[] {
  return [...central.values()].flatMap(({ id, version = '' }) => {
    const range = VersionRange.tryParse(version);
    return isPackageId(id) && range ? { id, range } : [];
  });
}

/** The items of a name after all includes, updates and removes, by id in lower case. Of those there twice the first counts. */
function collectItems(items: readonly EvaluatedItem[], name: string, note: Note): Map<string, Reference> {
  const found = new Map<string, Reference>();
  for (const item of items) {
    if (item.name !== name.toLowerCase()) continue;
    const setsVersion = item.metadata.has('version') || item.metadata.has('versionoverride');
    if (item.include === undefined || (item.update === undefined && setsVersion))
      note(`what a ${name} in ${basename(item.file)} is for can't be told`);
    applyItem(found, item);
  }
  return found;
}

function applyItem(found: Map<string, Reference>, item: EvaluatedItem): void {
  for (const id of item.include ?? []) {
    const key = id.toLowerCase();
    if (!found.has(key)) found.set(key, withVersion({ id, version: undefined, isKnown: true }, item));
  }
  for (const id of item.update ?? []) {
    const before = found.get(id.toLowerCase());
    if (before) found.set(id.toLowerCase(), withVersion(before, item));
  }
  for (const id of item.remove ?? []) found.delete(id.toLowerCase());
}

function withVersion(reference: Reference, { metadata }: EvaluatedItem): Reference {
  const key = metadata.has('versionoverride') ? 'versionoverride' : 'version';
  if (!metadata.has(key)) return reference;
  const version = metadata.get(key);
  return { id: reference.id, version, isKnown: version !== undefined };
}

/** As MSBuild writes it. */
export function isTrue(value: string | undefined): boolean {
  return value?.toLowerCase() === 'true';
}
