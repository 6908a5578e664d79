import { isNuGetError, NuGetError } from '../errors.js';
import { isPackageId, type PackageIdentity } from '../package-identity.js';
import type { DependencyGroup } from '../protocol/model.js';
import { NuGetVersion } from '../versions/nuget-version.js';
import { shown } from './entry-path.js';
import {
  type FrameworkItems,
  invalidNuspec,
  readDependencyGroups,
  readFrameworkAssemblies,
  readFrameworkReferences,
  readReferences,
  split,
} from './nuspec-groups.js';
import { decodeXml } from './xml-text.js';
import { attribute, first, parseXml, textOf, within, type XmlElement } from './xml-tree.js';

/**
 * What a package's manifest says. Texts are trimmed, and undefined where there is none.
 *
 * A list that makes no sense, from the groups of dependencies to the rules for content files, throws `INVALID_PACKAGE` when
 * it is asked for: as in NuGet, that keeps only those from a package who need it.
 */
export interface Nuspec extends PackageIdentity {
  readonly title?: string | undefined;
  readonly authors: readonly string[];
  readonly owners: readonly string[];
  readonly description?: string | undefined;
  readonly summary?: string | undefined;
  readonly releaseNotes?: string | undefined;
  readonly copyright?: string | undefined;
  readonly language?: string | undefined;
  readonly tags: readonly string[];
  readonly projectUrl?: string | undefined;
  readonly iconUrl?: string | undefined;
  /** Path in the package as `NupkgReader` has it, and so is that of the readme. */
  readonly icon?: string | undefined;
  readonly readme?: string | undefined;
  readonly license?: PackageLicense | undefined;
  readonly licenseUrl?: string | undefined;
  readonly requireLicenseAcceptance: boolean;
  readonly developmentDependency: boolean;
  readonly serviceable: boolean;
  readonly minClientVersion?: string | undefined;
  readonly repository?: PackageRepository | undefined;
  readonly dependencyGroups: readonly DependencyGroup[];
  /** Assemblies of the framework itself that are referenced. */
  readonly frameworkAssemblies: readonly FrameworkItems[];
  /** Names of the files in `lib` that are referenced; none stands for all. */
  readonly references: readonly FrameworkItems[];
  /** Shared frameworks: `Microsoft.AspNetCore.App`. */
  readonly frameworkReferences: readonly FrameworkItems[];
  /** None stands for a plain dependency. */
  readonly packageTypes: readonly PackageType[];
  readonly contentFiles: readonly ContentFilesRule[];
  /** Namespace of the schema; empty for none. */
  readonly namespace: string;
}

/** A license that a nuspec names by an SPDX expression, or by a file in the package. */
export interface PackageLicense {
  /** An SPDX expression, or a path in the package. */
  readonly type: 'expression' | 'file';
  readonly value: string;
  /** Version of the expressions' syntax: `1.0.0` where none is given. */
  readonly version: string;
}

/** Where the source code is. */
export interface PackageRepository {
  readonly type?: string | undefined;
  readonly url?: string | undefined;
  readonly branch?: string | undefined;
  readonly commit?: string | undefined;
}

/** What a package is for, where that is more than to be depended on: `DotnetTool`, `Template`. */
export interface PackageType {
  /** `DotnetTool`, `Template`, `Dependency`, … */
  readonly name: string;
  /** `0.0` where none is given. */
  readonly version: string;
}

/** What becomes of files below `contentFiles`. */
export interface ContentFilesRule {
  /** A pattern. */
  readonly include: string;
  readonly exclude?: string | undefined;
  readonly buildAction?: string | undefined;
  readonly copyToOutput?: boolean | undefined;
  readonly flatten?: boolean | undefined;
}

/** Limits of `parseNuspec` and `readNuspec`. */
export interface ParseNuspecOptions {
  /** Longest document. Default 4 MiB. */
  readonly maxBytes?: number | undefined;
}

const DEFAULT_MAX_BYTES = 4 * 1024 * 1024;

/**
 * What a nuspec says, of whatever version of the schema. As in NuGet, elements that aren't known are skipped, so are
 * those of another namespace than `<metadata>`, and a dependency whose range is none takes all versions.
 *
 * @throws {@link NuGetError} `INVALID_PACKAGE` for what is no XML or has a document type definition, or without an id or a
 * version that is one; `LIMIT` for what is too long or too deep
 */
export function parseNuspec(nuspec: Uint8Array | string, options: ParseNuspecOptions = {}): Nuspec {
  const { maxBytes = DEFAULT_MAX_BYTES } = options;
  if (nuspec.length > maxBytes) throw tooLong(maxBytes);
  const root = parseXml(typeof nuspec === 'string' ? nuspec.replace(/^\uFEFF/, '') : decodeXml(nuspec));
  // Some old packages have the namespace here instead of at the root.
  const metadata = root.children.find((child) => child.name === 'metadata');
  if (metadata === undefined) throw invalidNuspec('has no <metadata>');
  return readMetadata(metadata);
}

/** As {@link parseNuspec}, of a stream, which is read to its end, or destroyed when it is too long. */
export async function readNuspec(stream: AsyncIterable<Uint8Array>, options: ParseNuspecOptions = {}): Promise<Nuspec> {
  const { maxBytes = DEFAULT_MAX_BYTES } = options;
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of stream) {
    length += chunk.length;
    if (length > maxBytes) throw tooLong(maxBytes);
    chunks.push(chunk);
  }
  return parseNuspec(Buffer.concat(chunks), options);
}

function readMetadata(metadata: XmlElement): Nuspec {
  const values = simpleValues(metadata);
  const text = (name: string): string | undefined => values.get(name.toLowerCase());
  const identity = readIdentity(metadata);
  const lists = new NuspecLists(identity);
  // Not spread: an object that begins with a copy of another is made property by property, which took 50 µs.
  const nuspec: Nuspec = {
    id: identity.id,
    version: identity.version,
    title: text('title'),
    authors: split(text('authors'), /,/),
    owners: split(text('owners'), /,/),
    description: text('description'),
    summary: text('summary'),
    releaseNotes: text('releaseNotes'),
    copyright: text('copyright'),
    language: text('language'),
    tags: split(text('tags'), /[\s,;]+/),
    projectUrl: text('projectUrl'),
    iconUrl: text('iconUrl'),
    icon: pathFrom(text('icon')),
    readme: pathFrom(text('readme')),
    license: readLicense(first(metadata, 'license')),
    licenseUrl: text('licenseUrl'),
    requireLicenseAcceptance: isTrue(text('requireLicenseAcceptance')),
    developmentDependency: isTrue(text('developmentDependency')),
    serviceable: isTrue(text('serviceable')),
    minClientVersion: attribute(metadata, 'minClientVersion'),
    repository: readRepository(first(metadata, 'repository')),
    dependencyGroups: lists.read('dependencyGroups', () => readDependencyGroups(metadata)),
    frameworkAssemblies: lists.read('frameworkAssemblies', () => readFrameworkAssemblies(metadata)),
    references: lists.read('references', () => readReferences(metadata)),
    frameworkReferences: lists.read('frameworkReferences', () => readFrameworkReferences(metadata)),
    packageTypes: lists.read('packageTypes', () =>
      within(metadata, 'packageTypes', 'packageType').map(readPackageType),
    ),
    contentFiles: lists.read('contentFiles', () => within(metadata, 'contentFiles', 'files').map(readContentFiles)),
    namespace: metadata.namespace,
  };
  lists.throwWhereAsked(nuspec);
  return nuspec;
}

/** The lists of a nuspec. One that makes no sense fails who asks for it, and nobody else. */
class NuspecLists {
  readonly #identity: PackageIdentity;
  readonly #failures = new Map<keyof Nuspec, NuGetError>();

  constructor(identity: PackageIdentity) {
    this.#identity = identity;
  }

  read<T>(name: keyof Nuspec, read: () => readonly T[]): readonly T[] {
    try {
      return read();
    } catch (error) {
      if (!isNuGetError(error)) throw error;
      const { id, version } = this.#identity;
      const message = `${id} ${version.toNormalizedString()}: ${error.message}`;
      this.#failures.set(name, new NuGetError(error.code, message, { cause: error }));
      return [];
    }
  }

  throwWhereAsked(nuspec: Nuspec): void {
    for (const [name, failure] of this.#failures) {
      const get = () => {
        throw failure;
      };
      Object.defineProperty(nuspec, name, { enumerable: true, get });
    }
  }
}

function readIdentity(metadata: XmlElement): PackageIdentity {
  const id = textOf(first(metadata, 'id'));
  if (id === undefined) throw invalidNuspec('has no id');
  if (!isPackageId(id)) throw invalidNuspec(`has an id that is none: ${shown(id)}`);
  const text = textOf(first(metadata, 'version'));
  if (text === undefined) throw invalidNuspec(`of ${id} has no version`);
  const version = NuGetVersion.tryParse(text);
  if (version === undefined) throw invalidNuspec(`of ${id} has a version that is none: ${shown(text)}`);
  return { id, version };
}

/** The elements that hold but text, by name in lower case: as for NuGet, the first that isn't empty counts. */
function simpleValues(metadata: XmlElement): Map<string, string> {
  const values = new Map<string, string>();
  for (const child of metadata.children) {
    const name = child.name.toLowerCase();
    const text = child.children.length === 0 ? textOf(child) : undefined;
    if (text !== undefined && !values.has(name)) values.set(name, text);
  }
  return values;
}

/** The path that a manifest means: those that were written on Windows have backslashes, and some begin at the root. */
function pathFrom<T extends string | undefined>(text: T): T | string {
  return text?.replaceAll('\\', '/').replace(/^(?:\.?\/+)+/, '') ?? text;
}

function readLicense(element: XmlElement | undefined): PackageLicense | undefined {
  const value = textOf(element);
  if (element === undefined || value === undefined) return undefined;
  const type = attribute(element, 'type')?.toLowerCase();
  if (type !== 'expression' && type !== 'file') return undefined;
  const version = attribute(element, 'version') ?? '1.0.0';
  return { type, value: type === 'file' ? pathFrom(value) : value, version };
}

function readRepository(element: XmlElement | undefined): PackageRepository | undefined {
  if (element === undefined) return undefined;
  return {
    type: attribute(element, 'type'),
    url: attribute(element, 'url'),
    branch: attribute(element, 'branch'),
    commit: attribute(element, 'commit'),
  };
}

const TYPE_VERSION = /^\s*\d+(?:\s*\.\s*\d+){1,3}\s*$/;

function readPackageType(element: XmlElement): PackageType {
  const name = attribute(element, 'name');
  if (name === undefined) throw invalidNuspec('has a package type without a name');
  const version = attribute(element, 'version') ?? '0.0';
  if (!TYPE_VERSION.test(version))
    throw invalidNuspec(`has the package type ${shown(name)} in version ${shown(version)}`);
  return { name, version };
}

function readContentFiles(element: XmlElement): ContentFilesRule {
  const include = attribute(element, 'include');
  if (include === undefined) throw invalidNuspec('has <files> in <contentFiles> that say nothing to include');
  return {
    include,
    exclude: attribute(element, 'exclude'),
    buildAction: attribute(element, 'buildAction'),
    copyToOutput: booleanAttribute(element, 'copyToOutput'),
    flatten: booleanAttribute(element, 'flatten'),
  };
}

function booleanAttribute(element: XmlElement, name: string): boolean | undefined {
  const text = attribute(element, name);
  const value = text?.toLowerCase();
  if (text === undefined || value === 'true' || value === 'false') return text === undefined ? text : value === 'true';
  throw invalidNuspec(`has <files> with ${name} ${shown(text)}, which is neither true nor false`);
}

function isTrue(text: string | undefined): boolean {
  return text !== undefined && /^(?:true|1)$/i.test(text);
}

function tooLong(maxBytes: number): NuGetError {
  return new NuGetError('LIMIT', `the nuspec has more than ${maxBytes} bytes`);
}
