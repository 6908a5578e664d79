import { type ConfigFile, encodeConfig, parseConfigFile } from './config-file.js';
import { sectionOf } from './settings.js';
import { escapeAttribute, type XmlElement } from './xml-element.js';

/** Edits change only what they are about: comments, order and indentation of everything else stay. */
type Attributes = readonly (readonly [name: string, value: string])[];

/** An element to be written, with elements in it. */
export interface NewElement {
  readonly name: string;
  readonly attributes: Attributes;
  readonly children?: readonly NewElement[];
}

const DEFAULT_STEP = '  ';

/** Puts an element at the end of a section, which is made where there is none. */
export function appendToSection(file: ConfigFile, section: string, element: NewElement): ConfigFile {
  const existing = sectionOf(file, section);
  if (existing !== undefined) return append(file, existing, element);
  return append(file, file.root, { name: section, attributes: [], children: [element] });
}

/** Takes an element out of a section, and the section too where nothing is left in it. */
export function removeFromSection(file: ConfigFile, section: string, element: XmlElement): ConfigFile {
  const without = remove(file, element);
  const left = sectionOf(without, section);
  const isEmpty = left !== undefined && without.text.slice(left.startTagEnd, left.endTagStart).trim() === '';
  return isEmpty ? remove(without, left) : without;
}

/** Sets an attribute, whose name's case doesn't matter. */
export function setAttribute(file: ConfigFile, element: XmlElement, name: string, value: string): ConfigFile {
  const tag = file.text.slice(element.start, element.startTagEnd);
  const written = `"${escapeAttribute(value)}"`;
  for (const match of tag.matchAll(/(\s)([^\s=<>"']+)(\s*=\s*)("[^"]*"|'[^']*')/g)) {
    const [whole, space, key = '', equals] = match;
    if (key.toLowerCase() !== name.toLowerCase()) continue;
    const at = element.start + match.index;
    return splice(file, at, at + whole.length, `${space}${key}${equals}${written}`);
  }
  const end = element.start + tag.search(/\s*\/?>$/);
  return splice(file, end, end, ` ${name}=${written}`);
}

function append(file: ConfigFile, parent: XmlElement, element: NewElement): ConfigFile {
  const { text } = file;
  const eol = text.includes('\r\n') ? '\r\n' : '\n';
  const step = stepOf(file);
  const outer = indentationAt(text, parent.start);
  const [first] = parent.children;
  const inner = first !== undefined && startsLine(text, first.start) ? indentationAt(text, first.start) : outer + step;
  const added = eol + render(element, inner, step, eol);
  if (text.slice(parent.startTagEnd - 2, parent.startTagEnd) === '/>') {
    const tag = text.slice(parent.start, parent.startTagEnd).replace(/\s*\/>$/, '>');
    const [, name = parent.name] = /^<([^\s>]+)/.exec(tag) ?? [];
    return splice(file, parent.start, parent.startTagEnd, `${tag}${added}${eol}${outer}</${name}>`);
  }
  const body = text.slice(parent.startTagEnd, parent.endTagStart);
  const at = parent.startTagEnd + body.trimEnd().length;
  const closes = body.slice(body.trimEnd().length).includes('\n');
  return splice(file, at, closes ? at : parent.endTagStart, closes ? added : `${added}${eol}${outer}`);
}

function remove(file: ConfigFile, element: XmlElement): ConfigFile {
  const { text } = file;
  const rest = /^[ \t]*(?=\r?\n|$)/.exec(text.slice(element.end));
  if (rest === null || !startsLine(text, element.start)) return splice(file, element.start, element.end, '');
  const line = text.slice(0, element.start).replace(/\r?\n?[ \t]*$/, '').length;
  return splice(file, line, element.end + rest[0].length, '');
}

function render(
  { name, attributes, children = [] }: NewElement,
  indentation: string,
  step: string,
  eol: string,
): string {
  const tag = [name, ...attributes.map(([key, value]) => `${key}="${escapeAttribute(value)}"`)].join(' ');
  if (children.length === 0) return `${indentation}<${tag} />`;
  const inner = children.map((child) => render(child, indentation + step, step, eol)).join(eol);
  return `${indentation}<${tag}>${eol}${inner}${eol}${indentation}</${name}>`;
}

/** How far the file indents what is in an element. */
function stepOf({ text, root }: ConfigFile): string {
  const [first] = root.children;
  const step = first !== undefined && startsLine(text, first.start) ? indentationAt(text, first.start) : '';
  return step || DEFAULT_STEP;
}

function indentationAt(text: string, offset: number): string {
  const line = text.slice(text.lastIndexOf('\n', offset - 1) + 1, offset);
  return /^[ \t]*/.exec(line)?.[0] ?? '';
}

function startsLine(text: string, offset: number): boolean {
  return text.slice(text.lastIndexOf('\n', offset - 1) + 1, offset).trim() === '';
}

function splice(file: ConfigFile, start: number, end: number, replacement: string): ConfigFile {
  const text = file.text.slice(0, start) + replacement + file.text.slice(end);
  return parseConfigFile(file.path, file.kind, encodeConfig(text, file.encoding));
}
