import { posix, win32 } from 'node:path';
import { attribute, type ConfigFile, configError } from './config-file.js';
import { type Environment, expandEnvironment } from './expand-environment.js';
import type { XmlElement } from './xml-element.js';
import { decodeXmlName } from './xml-name.js';

/** An element of a section, and the file that it stands in. */
export interface Setting {
  readonly element: XmlElement;
  readonly file: ConfigFile;
  /** What makes it the same as one in another file. */
  readonly identity: string;
}

/** Kinds of elements that sections have; others mean nothing here. */
type Shape = 'add' | 'credentials' | 'packageSource';

const SHAPES: ReadonlyMap<string, Shape> = new Map([
  ['packageSourceCredentials', 'credentials'],
  ['packageSourceMapping', 'packageSource'],
]);

/**
 * What a section holds when all files are put together, the farthest first: nearer elements replace those with the same
 * identity and follow the others, and `<clear />` removes what was there before it. Section names and keys are compared
 * with regard to case, names of elements and attributes without.
 */
export function mergedSection(files: readonly ConfigFile[], name: string): readonly Setting[] {
  const shape = SHAPES.get(name) ?? 'add';
  let merged: Setting[] = [];
  let isFarthest = true;
  for (const file of files.toReversed()) {
    const section = sectionOf(file, name);
    if (section === undefined) continue;
    for (const element of distinct(section.children, shape, file)) {
      if (element.name.toLowerCase() === 'clear') {
        merged = [];
        continue;
      }
      const identity = identityOf(element, shape, file);
      if (identity === undefined) continue;
      // Of what is there twice in the farthest file NuGet takes the first, in nearer ones the last.
      if (!isFarthest) merged = merged.filter((setting) => setting.identity !== identity);
      merged.push({ element, file, identity });
    }
    isFarthest = false;
  }
  return merged;
}

/** A section of a file: the first one with the name, whose case matters. */
export function sectionOf(file: ConfigFile, name: string): XmlElement | undefined {
  return file.root.children.find((child) => child.name === name);
}

function identityOf(element: XmlElement, shape: Shape, file: ConfigFile): string | undefined {
  if (shape === 'credentials') return decodeXmlName(element.name);
  if (element.name.toLowerCase() !== shape.toLowerCase()) return undefined;
  const key = attribute(element, 'key');
  if (key === undefined || key.trim() === '')
    throw configError(file.path, element.line, `<${element.name}> needs a key`);
  if (shape === 'add' && attribute(element, 'value') === undefined)
    throw configError(file.path, element.line, `<${element.name} key="${key}"> needs a value`);
  // Sources of a mapping are the same whatever their case; keys are not.
  return shape === 'packageSource' ? key.toLowerCase() : key;
}

/** NuGet takes an element only once that is there twice with all its attributes, and wants no such sources in a mapping. */
function* distinct(elements: readonly XmlElement[], shape: Shape, file: ConfigFile): Generator<XmlElement> {
  const seen = new Set<string>();
  for (const element of elements) {
    const key = [element.name, ...element.attributes.values()].join('\0').toLowerCase();
    if (!seen.has(key)) yield element;
    else if (shape === 'packageSource')
      throw configError(file.path, element.line, `the source ${attribute(element, 'key')} is mapped twice`);
    seen.add(key);
  }
}

/** Key of a setting, as it is written. */
export function settingKey(setting: Setting): string {
  return attribute(setting.element, 'key') ?? '';
}

/** Value of a setting, with environment variables put in. */
export function settingValue(setting: Setting, environment: Environment): string {
  return expandEnvironment(attribute(setting.element, 'value') ?? '', environment);
}

/** Value of a setting that is a path or a URL: relative paths count from the folder of the file. */
export function settingPath(setting: Setting, environment: Environment, platform: NodeJS.Platform): string {
  return resolvePath(setting.file, settingValue(setting, environment), platform);
}

/** A path as a file means it. */
export function resolvePath(file: ConfigFile, value: string, platform: NodeJS.Platform): string {
  const text = value.trim();
  const isAbsolute = /^[A-Za-z][A-Za-z0-9+.-]*:/.test(text) || text.startsWith('\\\\');
  if (text === '' || isAbsolute) return text;
  const { dirname, resolve } = platform === 'win32' ? win32 : posix;
  return resolve(dirname(file.path), text);
}
