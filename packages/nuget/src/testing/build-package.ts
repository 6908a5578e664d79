import { createHash } from 'node:crypto';
import { writeZip, type ZipEntryInit, type ZipOptions } from './zip-writer.js';

/** A dependency of a package that is built. */
export interface DependencyInit {
  readonly id: string;
  /** A range; undefined is any version. */
  readonly version?: string | undefined;
  readonly include?: string | undefined;
  readonly exclude?: string | undefined;
}

/** What a nuspec that is built says. */
export interface NuspecInit {
  readonly id: string;
  readonly version: string;
  /** Default `Test authors`. */
  readonly authors?: string | readonly string[] | undefined;
  /** Default `Package {id}.` */
  readonly description?: string | undefined;
  /** Other plain elements by name: `{ title: 'T', projectUrl: 'https://…', developmentDependency: true }`. */
  readonly metadata?: Readonly<Record<string, string | boolean>> | undefined;
  readonly minClientVersion?: string | undefined;
  readonly license?:
    | { readonly type: string; readonly value: string; readonly version?: string | undefined }
    | undefined;
  readonly repository?:
    | {
        readonly type?: string | undefined;
        readonly url?: string | undefined;
        readonly branch?: string | undefined;
        readonly commit?: string | undefined;
      }
    | undefined;
  /** Dependencies for every framework, as old packages have them. */
  readonly dependencies?: readonly DependencyInit[] | undefined;
  readonly dependencyGroups?:
    | readonly { readonly targetFramework?: string | undefined; readonly dependencies?: readonly DependencyInit[] }[]
    | undefined;
  readonly packageTypes?: readonly { readonly name: string; readonly version?: string | undefined }[] | undefined;
  readonly frameworkAssemblies?:
    | readonly { readonly assemblyName: string; readonly targetFramework?: string | undefined }[]
    | undefined;
  readonly references?:
    | readonly { readonly targetFramework?: string | undefined; readonly files: readonly string[] }[]
    | undefined;
  readonly frameworkReferences?:
    | readonly { readonly targetFramework: string; readonly names: readonly string[] }[]
    | undefined;
  readonly contentFiles?: readonly Readonly<Record<string, string>>[] | undefined;
  /** XML within `<metadata>`, as it is. */
  readonly extraXml?: string | undefined;
  /** Default: that of 2013/05; the empty string is none. */
  readonly namespace?: string | undefined;
}

/** A package that is built: its nuspec, its files, and what is odd about it. */
export interface PackageInit extends NuspecInit {
  /** By path: `lib/net8.0/A.dll`. Default: one assembly that is none, for netstandard2.0. */
  readonly files?: Readonly<Record<string, Buffer | string>> | undefined;
  /** The nuspec in place of the one that the other fields make. */
  readonly nuspec?: Buffer | string | undefined;
  /** Default `{id}.nuspec`. */
  readonly nuspecName?: string | undefined;
  /** Adds it as `.signature.p7s`, stored, as the last entry. It is no signature of anything. */
  readonly signature?: Buffer | undefined;
  /** Further entries, as they are. */
  readonly entries?: readonly ZipEntryInit[] | undefined;
  readonly modified?: Date | undefined;
  readonly zip?: ZipOptions | undefined;
}

const NAMESPACE = 'http://schemas.microsoft.com/packaging/2013/05/nuspec.xsd';

/** A package in memory as `nuget pack` makes it: the same bytes for the same input. */
export function buildPackage(init: PackageInit): Buffer {
  const nuspecName = init.nuspecName ?? `${init.id}.nuspec`;
  const files = Object.entries(init.files ?? { [`lib/netstandard2.0/${init.id}.dll`]: `assembly of ${init.id}` });
  const guid = createHash('sha256').update(`${init.id}/${init.version}`).digest('hex').slice(0, 32);
  const properties = `package/services/metadata/core-properties/${guid}.psmdcp`;
  const plain: [string, Buffer | string][] = [
    ['_rels/.rels', relationships(nuspecName, properties)],
    [nuspecName, init.nuspec ?? buildNuspec(init)],
    ...files.map(([path, data]): [string, Buffer | string] => [partName(path), data]),
    ['[Content_Types].xml', contentTypes(files.map(([path]) => path))],
    [properties, coreProperties(init)],
  ];
  const entries: ZipEntryInit[] = plain.map(([name, data]) => ({ name, data, modified: init.modified }));
  entries.push(...(init.entries ?? []));
  if (init.signature !== undefined) entries.push({ name: '.signature.p7s', data: init.signature, method: 'store' });
  return writeZip(entries, init.zip);
}

/** The manifest of a package. */
export function buildNuspec(init: NuspecInit): string {
  const namespace = init.namespace ?? NAMESPACE;
  const simple: Record<string, string | boolean> = {
    id: init.id,
    version: init.version,
    authors: typeof init.authors === 'string' ? init.authors : (init.authors ?? ['Test authors']).join(', '),
    description: init.description ?? `Package ${init.id}.`,
    ...init.metadata,
  };
  const lines = Object.entries(simple).map(([name, value]) => element(name, {}, escapeXml(String(value))));
  if (init.license !== undefined) {
    const { type, version, value } = init.license;
    lines.push(element('license', { type, version }, escapeXml(value)));
  }
  if (init.repository !== undefined) lines.push(element('repository', init.repository));
  if (init.packageTypes !== undefined) {
    lines.push(element('packageTypes', {}, elements('packageType', init.packageTypes)));
  }
  if (init.dependencies !== undefined) {
    lines.push(element('dependencies', {}, dependencies(init.dependencies)));
  }
  if (init.dependencyGroups !== undefined) {
    const groups = init.dependencyGroups.map((group) =>
      element('group', { targetFramework: group.targetFramework }, dependencies(group.dependencies ?? [])),
    );
    lines.push(element('dependencies', {}, groups.join('\n')));
  }
  if (init.frameworkAssemblies !== undefined) {
    lines.push(element('frameworkAssemblies', {}, elements('frameworkAssembly', init.frameworkAssemblies)));
  }
  if (init.frameworkReferences !== undefined) {
    const groups = init.frameworkReferences.map(({ targetFramework, names }) =>
      element(
        'group',
        { targetFramework },
        elements(
          'frameworkReference',
          names.map((name) => ({ name })),
        ),
      ),
    );
    lines.push(element('frameworkReferences', {}, groups.join('\n')));
  }
  if (init.references !== undefined) {
    const groups = init.references.map(({ targetFramework, files }) =>
      element(
        'group',
        { targetFramework },
        elements(
          'reference',
          files.map((file) => ({ file })),
        ),
      ),
    );
    lines.push(element('references', {}, groups.join('\n')));
  }
  if (init.contentFiles !== undefined) lines.push(element('contentFiles', {}, elements('files', init.contentFiles)));
  if (init.extraXml !== undefined) lines.push(init.extraXml);
  const metadata = element('metadata', { minClientVersion: init.minClientVersion }, lines.join('\n'));
  return `<?xml version="1.0" encoding="utf-8"?>\n${element('package', { xmlns: namespace || undefined }, metadata)}\n`;
}

type Attributes = Readonly<Record<string, string | undefined>>;

function element(name: string, attributes: object, content = ''): string {
  const written = Object.entries(attributes as Attributes)
    .filter((pair): pair is [string, string] => pair[1] !== undefined)
    .map(([key, value]) => ` ${key}="${escapeXml(value)}"`)
    .join('');
  return content === '' ? `<${name}${written} />` : `<${name}${written}>${content}</${name}>`;
}

function elements(name: string, each: readonly object[]): string {
  return each.map((attributes) => element(name, attributes)).join('\n');
}

function dependencies(each: readonly DependencyInit[]): string {
  return elements('dependency', each);
}

/** Spaces of all kinds by number, so that no reader normalizes them. */
function escapeXml(text: string): string {
  return text.replace(/[<>&"\t\r\n]/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** The names of parts are those of URLs. */
function partName(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}

function relationships(nuspecName: string, properties: string): string {
  const relation = (type: string, target: string, id: string): string =>
    element('Relationship', { Type: type, Target: `/${target}`, Id: id });
  const both =
    relation('http://schemas.microsoft.com/packaging/2010/07/manifest', nuspecName, 'R1') +
    relation('http://schemas.openxmlformats.org/package/2006/relationships/metadata/core-properties', properties, 'R2');
  return `<?xml version="1.0" encoding="utf-8"?>\n${element(
    'Relationships',
    { xmlns: 'http://schemas.openxmlformats.org/package/2006/relationships' },
    both,
  )}`;
}

function contentTypes(paths: readonly string[]): string {
  const extensions = new Set(['nuspec', ...paths.map((path) => /\.([^./]+)$/.exec(path)?.[1] ?? '').filter(Boolean)]);
  const defaults = [
    { Extension: 'rels', ContentType: 'application/vnd.openxmlformats-package.relationships+xml' },
    { Extension: 'psmdcp', ContentType: 'application/vnd.openxmlformats-package.core-properties+xml' },
    ...[...extensions].map((Extension) => ({ Extension, ContentType: 'application/octet' })),
  ];
  return `<?xml version="1.0" encoding="utf-8"?>\n${element(
    'Types',
    { xmlns: 'http://schemas.openxmlformats.org/package/2006/content-types' },
    elements('Default', defaults),
  )}`;
}

function coreProperties(init: PackageInit): string {
  const content =
    element('dc:description', {}, escapeXml(init.description ?? `Package ${init.id}.`)) +
    element('dc:identifier', {}, escapeXml(init.id)) +
    element('version', {}, escapeXml(init.version));
  return `<?xml version="1.0" encoding="utf-8"?>\n${element(
    'coreProperties',
    {
      'xmlns:dc': 'http://purl.org/dc/elements/1.1/',
      xmlns: 'http://schemas.openxmlformats.org/package/2006/metadata/core-properties',
    },
    content,
  )}`;
}
