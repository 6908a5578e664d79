import { existsSync } from 'node:fs';
import { basename, dirname, extname, join, resolve } from 'node:path';
import type { Environment } from '../../config/expand-environment.js';
import { NuGetError } from '../../errors.js';
import { isCompatible } from '../../frameworks/compatibility.js';
import { NuGetFramework } from '../../frameworks/nuget-framework.js';
import { attribute, type XmlElement } from '../../packages/xml-tree.js';
import type { SdkReference } from '../sdk-packages.js';
import { readXml } from '../xml-file.js';
import { evaluateCondition, type Truth } from './condition.js';
import { expand } from './expand.js';
import { fileAbove, isFile } from './file-above.js';

/** An element of an item group that may count: `Include`, `Update` or `Remove` is in its attributes. */
export interface EvaluatedItem {
  /** In lower case, as their case doesn't matter: `packagereference`. */
  readonly name: string;
  /** `Include` without `Exclude`, `Update` and `Remove`, each with its values; undefined where they can't be known. */
  readonly include: readonly string[] | undefined;
  readonly update: readonly string[] | undefined;
  readonly remove: readonly string[] | undefined;
  /** By name in lower case; undefined where a value can't be known. */
  readonly metadata: ReadonlyMap<string, string | undefined>;
  /** The file that it is in. */
  readonly file: string;
}

interface ItemElement {
  readonly element: XmlElement;
  readonly file: string;
}

const MAX_FILES = 200;

/**
 * What a project file and what it imports say of properties and items, for one target framework. It is as much of MSBuild
 * as files that people write for packages need: properties, conditions, imports of files that are there, `Directory.*`
 * files; no targets, no SDKs. Where a condition can't be known, properties that hang on it can't be, imports and items
 * count.
 *
 * @throws NuGetError `INVALID_PROJECT`, `LIMIT`
 */
export class Evaluation {
  readonly #project: string;
  readonly #globals: ReadonlyMap<string, string>;
  readonly #environment: ReadonlyMap<string, string>;
  readonly #properties = new Map<string, string | undefined>();
  readonly #items: ItemElement[] = [];
  readonly #importing: string[] = [];
  #files = 0;
  readonly #sdks: SdkReference[] = [];

  /**
   * @param environment - its variables are properties that any file can change
   * @param globals - properties that no file can change, by name
   */
  constructor(project: string, environment: Environment, globals: Readonly<Record<string, string>> = {}) {
    this.#project = resolve(project);
    this.#globals = byLowerName(globals);
    this.#environment = byLowerName(environment);
    for (const [name, byDefault] of SDK_DEFAULTS) if (!this.property(name)) this.#properties.set(name, byDefault);
    const folder = dirname(this.#project);
    this.#importAbove('Directory.Build.props', folder);
    this.#importAbove('Directory.Packages.props', folder);
    this.#read(this.#project);
    this.#importAbove('Directory.Build.targets', folder);
  }

  /** Value of a property, empty for one that nobody set; undefined when it can't be known. */
  property(name: string): string | undefined {
    const key = name.toLowerCase();
    const builtIn = this.#globals.get(key) ?? this.#builtIn(key);
    if (builtIn !== undefined) return builtIn;
    return this.#properties.has(key) ? this.#properties.get(key) : (this.#environment.get(key) ?? '');
  }

  /** Whether some SDK says what the project doesn't. */
  get usesSdk(): boolean {
    return this.#sdks.length > 0;
  }

  /** The SDKs that it and what it imports name, as they stand there: MSBuild puts no properties in. */
  get sdks(): readonly SdkReference[] {
    return this.#sdks;
  }

  /** The items that count, in the order in which they are written. */
  items(): readonly EvaluatedItem[] {
    return this.#items.flatMap(({ element, file }) => {
      this.#importing.push(file);
      try {
        return this.#holds(element) === false ? [] : [this.#itemOf(element, file)];
      } finally {
        this.#importing.pop();
      }
    });
  }

  #itemOf(element: XmlElement, file: string): EvaluatedItem {
    const metadata = new Map<string, string | undefined>();
    for (const [name, value] of element.attributes) metadata.set(name.toLowerCase(), this.#expand(value)?.trim());
    for (const child of element.children) {
      if (this.#holds(child) !== false) metadata.set(child.name.toLowerCase(), this.#expand(child.text)?.trim());
    }
    const list = (name: string) => {
      const text = attribute(element, name);
      if (text === undefined) return [];
      return this.#expand(text)
        ?.split(';')
        .map((each) => each.trim())
        .filter((each) => each !== '');
    };
    const exclude = new Set(list('Exclude')?.map((each) => each.toLowerCase()));
    return {
      name: element.name.toLowerCase(),
      include: list('Include')?.filter((each) => !exclude.has(each.toLowerCase())),
      update: list('Update'),
      remove: list('Remove'),
      metadata,
      file,
    };
  }

  #read(path: string): void {
    if (this.#importing.includes(path)) return;
    if (++this.#files > MAX_FILES)
      throw new NuGetError('LIMIT', `${this.#project} imports more than ${MAX_FILES} files`);
    const root = readXml(path);
    for (const each of attribute(root, 'Sdk')?.split(';') ?? []) {
      const [name = '', version] = each.split('/');
      this.#addSdk(name, version);
    }
    this.#importing.push(path);
    try {
      this.#visit(root.children, path);
    } finally {
      this.#importing.pop();
    }
  }

  #visit(elements: readonly XmlElement[], file: string): void {
    for (const element of elements) {
      switch (element.name) {
        case 'PropertyGroup':
          this.#setProperties(element);
          break;
        case 'ItemGroup':
          // Items are looked at when all properties are known.
          for (const child of element.children) this.#items.push({ element: within(element, child), file });
          break;
        case 'Sdk':
          this.#addSdk(attribute(element, 'Name'), attribute(element, 'Version'));
          break;
        case 'Import':
          if (this.#holds(element) === false) break;
          this.#addSdk(attribute(element, 'Sdk'), attribute(element, 'Version'));
          this.#import(attribute(element, 'Project'), file);
          break;
        case 'ImportGroup':
          if (this.#holds(element) !== false) this.#visit(element.children, file);
          break;
        case 'Choose':
          this.#choose(element, file);
          break;
        default:
      }
    }
  }

  #choose(element: XmlElement, file: string): void {
    for (const branch of element.children) {
      const holds = branch.name === 'Otherwise' || this.#holds(branch);
      if (holds !== false) this.#visit(branch.children, file);
      if (holds === true) return;
    }
  }

  #addSdk(name: string | undefined, version: string | undefined): void {
    if (name?.trim()) this.#sdks.push({ name: name.trim(), version: version?.trim() || undefined });
  }

  #setProperties(group: XmlElement): void {
    const groupHolds = this.#holds(group);
    if (groupHolds === false) return;
    for (const element of group.children) {
      const holds = this.#holds(element);
      if (holds === false) continue;
      const isKnown = groupHolds === true && holds === true;
      this.#properties.set(element.name.toLowerCase(), isKnown ? this.#expand(element.text.trim()) : undefined);
    }
  }

  #import(project: string | undefined, from: string): void {
    const path = project === undefined ? undefined : this.#expand(project);
    // SDKs and what lies beside them have no packages of a project's own.
    if (path === undefined || path === '' || /[*?]/.test(path)) return;
    const file = resolve(dirname(from), path.replaceAll('\\', '/'));
    if (isFile(file)) this.#read(file);
  }

  /** Properties may name another file in its place (`DirectoryPackagesPropsPath`), or say that there is to be none. */
  #importAbove(name: string, folder: string): void {
    const key = name.replaceAll('.', '');
    const isWanted = this.property(`Import${key}`);
    if (isWanted && isWanted.toLowerCase() !== 'true') return;
    const named = this.property(`${key}Path`);
    const path = named === '' ? fileAbove(name, folder) : named && resolve(folder, named.replaceAll('\\', '/'));
    if (path && isFile(path)) this.#read(path);
  }

  #holds(element: XmlElement): Truth {
    const condition = attribute(element, 'Condition');
    return condition === undefined ? true : evaluateCondition(condition, this.#scope);
  }

  #expand(text: string): string | undefined {
    return expand(text, this.#scope);
  }

  readonly #scope = {
    property: (name: string) => this.property(name),
    call: (name: string, args: readonly string[]) => this.#call(name, args),
    exists: (path: string) => path !== '' && existsSync(resolve(dirname(this.#project), path.replaceAll('\\', '/'))),
  };

  #call(name: string, args: readonly string[]): string | undefined {
    const [first = '', second = ''] = args;
    switch (name.toLowerCase()) {
      case 'istargetframeworkcompatible': {
        const [target, candidate] = [NuGetFramework.parse(first), NuGetFramework.parse(second)];
        return first === '' || second === '' ? undefined : textOf(isCompatible(target, candidate));
      }
      case 'gettargetframeworkidentifier':
        return first === '' ? undefined : NuGetFramework.parse(first).framework;
      case 'gettargetplatformidentifier':
        return first === '' ? undefined : NuGetFramework.parse(first).platform;
      case 'getpathoffileabove':
        return fileAbove(first, second === '' ? dirname(this.#file) : resolve(second.replaceAll('\\', '/'))) ?? '';
      case 'getdirectorynameoffileabove': {
        const found = fileAbove(second, resolve(first.replaceAll('\\', '/')));
        return found === undefined ? '' : dirname(found);
      }
      case 'normalizepath':
        return this.#path(args);
      case 'normalizedirectory':
        return join(this.#path(args), '/');
      case 'isosplatform':
        return textOf(PLATFORMS[process.platform]?.toLowerCase() === first.toLowerCase());
      case 'isosunixlike':
        return textOf(process.platform !== 'win32');
      default:
        return undefined;
    }
  }

  #path(steps: readonly string[]): string {
    return resolve(dirname(this.#project), ...steps.map((step) => step.replaceAll('\\', '/')));
  }

  get #file(): string {
    return this.#importing.at(-1) ?? this.#project;
  }

  #builtIn(key: string): string | undefined {
    switch (key) {
      case 'msbuildthisfile':
        return basename(this.#file);
      case 'msbuildthisfilename':
        return basename(this.#file, extname(this.#file));
      case 'msbuildthisfiledirectory':
        return join(dirname(this.#file), '/');
      case 'msbuildthisfilefullpath':
        return this.#file;
      case 'msbuildprojectfile':
        return basename(this.#project);
      case 'msbuildprojectname':
        return basename(this.#project, extname(this.#project));
      case 'msbuildprojectextension':
        return extname(this.#project);
      case 'msbuildprojectdirectory':
        return dirname(this.#project);
      case 'msbuildprojectfullpath':
        return this.#project;
      case 'os':
        return process.platform === 'win32' ? 'Windows_NT' : 'Unix';
      default:
        return undefined;
    }
  }
}

const PLATFORMS: Readonly<Record<string, string>> = {
  linux: 'Linux',
  darwin: 'OSX',
  win32: 'Windows',
  freebsd: 'FreeBSD',
};

/** What SDKs set where nobody has. */
const SDK_DEFAULTS = [
  ['configuration', 'Debug'],
  ['platform', 'AnyCPU'],
] as const;

function byLowerName(values: Environment): ReadonlyMap<string, string> {
  return new Map(
    Object.entries(values).flatMap(([name, value = '']) => (value && [[name.toLowerCase(), value]]) || []),
  );
}

/** An item with the condition of its group. */
function within(group: XmlElement, item: XmlElement): XmlElement {
  const outer = attribute(group, 'Condition');
  if (outer === undefined) return item;
  const own = attribute(item, 'Condition');
  const both = own === undefined ? outer : `(${outer}) and (${own})`;
  return { ...item, attributes: new Map(item.attributes).set('Condition', both) };
}

function textOf(value: boolean): string {
  return value ? 'true' : 'false';
}
