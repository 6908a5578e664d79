import { SaxesParser } from 'saxes';
import { isNuGetError, NuGetError } from '../errors.js';
import { NUSPEC } from './xml-text.js';

/** An element of a document, with what matters of it. */
export interface XmlElement {
  /** Without prefix. */
  readonly name: string;
  /** Empty for none. */
  readonly namespace: string;
  /** Those without a prefix. */
  readonly attributes: ReadonlyMap<string, string>;
  readonly children: readonly XmlElement[];
  /** Its own text, that of its children left out. */
  readonly text: string;
}

interface OpenElement extends XmlElement {
  readonly children: XmlElement[];
  text: string;
}

const MAX_DEPTH = 32;
const MAX_ELEMENTS = 100_000;

/**
 * The document as a tree. It must not have a document type definition: that is where entities come from, whether they
 * multiply or fetch files.
 *
 * @param kind - Default: a nuspec
 * @throws {@link NuGetError} with line and column for what isn't well-formed, `LIMIT` for more than 100000 elements or
 * more than 32 in one another
 */
export function parseXml(text: string, { name, code } = NUSPEC): XmlElement {
  const parser = new SaxesParser({ xmlns: true });
  const open: OpenElement[] = [];
  let root: XmlElement | undefined;
  let elements = 0;
  parser.on('doctype', () => {
    throw new NuGetError(code, `${name} has a document type definition, which is not allowed`);
  });
  parser.on('opentag', (tag) => {
    if (open.length >= MAX_DEPTH) throw tooMuch(name, `${MAX_DEPTH} levels of elements`);
    if (++elements > MAX_ELEMENTS) throw tooMuch(name, `${MAX_ELEMENTS} elements`);
    const attributes = new Map<string, string>();
    for (const { prefix, local, value } of Object.values(tag.attributes)) {
      if (prefix === '') attributes.set(local, value);
    }
    const element: OpenElement = { name: tag.local, namespace: tag.uri, attributes, children: [], text: '' };
    open.at(-1)?.children.push(element);
    root ??= element;
    open.push(element);
  });
  const onText = (part: string): void => {
    const element = open.at(-1);
    if (element !== undefined) element.text += part;
  };
  parser.on('text', onText);
  parser.on('cdata', onText);
  parser.on('closetag', () => open.pop());
  try {
    parser.write(text).close();
  } catch (error) {
    if (isNuGetError(error)) throw error;
    throw new NuGetError(code, `${name} is no XML: ${(error as Error).message}`, { cause: error });
  }
  if (root === undefined) throw new NuGetError(code, `${name} is empty`);
  return root;
}

function tooMuch(name: string, limit: string): NuGetError {
  return new NuGetError('LIMIT', `${name} has more than ${limit}`);
}

/** The children with a name, of the same namespace. */
export function named(parent: XmlElement, name: string): readonly XmlElement[] {
  return parent.children.filter((child) => child.name === name && child.namespace === parent.namespace);
}

export function first(parent: XmlElement, name: string): XmlElement | undefined {
  return named(parent, name)[0];
}

/** The elements with a name in all lists with a name. */
export function within(metadata: XmlElement, list: string, name: string): readonly XmlElement[] {
  return named(metadata, list).flatMap((element) => named(element, name));
}

/** Trimmed; undefined when it isn't there or empty. */
export function attribute(element: XmlElement, name: string): string | undefined {
  return element.attributes.get(name)?.trim() || undefined;
}

export function attributes(elements: readonly XmlElement[], name: string): readonly string[] {
  return elements.map((element) => attribute(element, name)).filter((value) => value !== undefined);
}

/** Trimmed; undefined when there is none. */
export function textOf(element: XmlElement | undefined): string | undefined {
  return element?.text.trim() || undefined;
}
