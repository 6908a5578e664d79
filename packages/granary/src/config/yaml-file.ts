import { isUtf8 } from 'node:buffer';
import { readFile } from 'node:fs/promises';
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  visit,
  type YAMLMap,
} from 'yaml';
import { CONFIG_KEYS, CONFIG_SECTIONS, type ConfigKey } from './keys.js';
import type { ConfigMistake } from './mistake.js';
import { type Setting, type SourceReading, show, unknownKey } from './source.js';

/** Reads a YAML file: sections of keys. A file that is empty says nothing. */
export async function readYaml(file: string): Promise<SourceReading> {
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (error) {
    const message = `can't be read: ${reason(error as NodeJS.ErrnoException)}`;
    return { settings: [], mistakes: [{ origin: file, key: undefined, message }] };
  }
  // Decoded all the same, a path with an umlaut in another encoding would be that of another folder.
  if (!isUtf8(bytes))
    return { settings: [], mistakes: [{ origin: file, key: undefined, message: 'is not UTF-8; save it as that' }] };
  return parseYaml(file, bytes.toString('utf8'));
}

function reason({ code, message }: NodeJS.ErrnoException): string {
  if (code === 'ENOENT') return 'there is no such file';
  return code === 'EISDIR' ? 'it is a folder' : message;
}

export function parseYaml(file: string, text: string): SourceReading {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, merge: true });
  return new DocumentReader(file, document, lines).read();
}

/** Reads one document. Everything that is wrong with it is told, not just the first mistake. */
class DocumentReader {
  readonly #file: string;
  readonly #document: Document;
  readonly #lines: LineCounter;
  readonly #settings: Setting[] = [];
  readonly #mistakes: ConfigMistake[] = [];

  constructor(file: string, document: Document, lines: LineCounter) {
    this.#file = file;
    this.#document = document;
    this.#lines = lines;
  }

  read(): SourceReading {
    this.#checkSyntax();
    if (this.#mistakes.length === 0) this.#checkAliases();
    if (this.#mistakes.length === 0) this.#readSections();
    return { settings: this.#settings, mistakes: this.#mistakes };
  }

  #checkSyntax(): void {
    for (const { code, message, pos } of this.#document.errors) {
      // The parser speaks to programmers there.
      const wrong = code === 'MULTIPLE_DOCS' ? 'holds a second document' : `is not YAML: ${message}`;
      this.#mistakes.push({ origin: this.#at(pos[0]), key: undefined, message: wrong });
    }
  }

  /** What aliases stand for is looked at only when values are asked for, which throws where that makes none. */
  #checkAliases(): void {
    const document = this.#document;
    visit(document, {
      Alias: (_, alias) => {
        if (alias.resolve(document)) return;
        this.#add(alias, undefined, `is not YAML: nothing before *${alias.source} has that name`);
      },
    });
    if (this.#mistakes.length > 0) return;
    try {
      JSON.stringify(document.toJS());
    } catch (error) {
      const isMerge = String(error).includes('Merge sources');
      const wrong = isMerge ? 'has << before what is no mapping' : 'has aliases that name themselves, or far too many';
      this.#add(document.contents as Node | null, undefined, wrong);
    }
  }

  #readSections(): void {
    const { contents } = this.#document;
    if (isMap(contents)) {
      for (const [section, value, node] of entries(contents, this.#document)) this.#readSection(section, value, node);
    } else if (isSet(contents)) {
      this.#add(contents, undefined, `holds ${this.#shown(contents)}; allowed: sections such as storage`);
    }
  }

  #readSection(section: string, value: Node | null, node: Node): void {
    const key = CONFIG_KEYS.get(section);
    if (key && key.name !== '')
      this.#add(node, section, `stands outside of its section; write ${key.name} below ${key.section}:`);
    else if (!CONFIG_SECTIONS.includes(section))
      this.#add(node, section, unknownKey(section, [...CONFIG_SECTIONS, ...CONFIG_KEYS.keys()]));
    else if (key) this.#set(key, value, node);
    else if (isMap(value)) {
      for (const [name, inner, innerNode] of entries(value, this.#document))
        this.#readKey(`${section}.${name}`, inner, innerNode);
    } else if (isSet(value)) {
      const allowed = `a section with keys such as ${exampleOf(section)}`;
      this.#add(node, section, `found ${this.#shown(value)}; allowed: ${allowed}`);
    }
  }

  #readKey(path: string, value: Node | null, node: Node): void {
    const key = CONFIG_KEYS.get(path);
    if (key) this.#set(key, value, node);
    else this.#add(node, path, unknownKey(path, CONFIG_KEYS.keys()));
  }

  /** A key without a value is one whose value was commented out: the default stays. */
  #set(key: ConfigKey, value: Node | null, node: Node): void {
    if (isSet(value))
      this.#settings.push({ key, value: value.toJS(this.#document), origin: this.#at(node.range?.[0]) });
  }

  #add(node: Node | null, key: string | undefined, message: string): void {
    this.#mistakes.push({ origin: this.#at(node?.range?.[0]), key, message });
  }

  #at(offset = 0): string {
    return `${this.#file}:${this.#lines.linePos(offset).line}`;
  }

  #shown(value: Node): string {
    return show(value.toJS(this.#document));
  }
}

/** Whether there is a value: nothing, or null, is what stays of one that was commented out. */
function isSet(value: Node | null): value is Node {
  return value !== null && !(isScalar(value) && value.value === null);
}

/** The keys of a mapping with what their aliases stand for; behind them those of the mappings that `<<` merges into it. */
function* entries(map: YAMLMap, document: Document): Generator<[name: string, value: Node | null, key: Node]> {
  const names = new Set<string>();
  const merged: YAMLMap[] = [];
  for (const { key, value } of map.items as Pair<Node, Node | null>[]) {
    const name = (key as { value?: unknown }).value;
    if (typeof name === 'symbol') merged.push(...mappingsOf(value, document));
    else {
      names.add(String(name));
      yield [String(name), resolved(value, document), key];
    }
  }
  for (const source of merged) {
    for (const entry of entries(source, document)) {
      if (names.has(entry[0])) continue;
      names.add(entry[0]);
      yield entry;
    }
  }
}

/** What `<<` merges: a mapping, or several of them. */
function mappingsOf(value: Node | null, document: Document): YAMLMap[] {
  const node = resolved(value, document);
  if (isSeq(node)) return node.items.flatMap((item) => mappingsOf(item as Node, document));
  return isMap(node) ? [node] : [];
}

function resolved(node: Node | null, document: Document): Node | null {
  return isAlias(node) ? (node.resolve(document) ?? null) : node;
}

function exampleOf(section: string): string {
  return [...CONFIG_KEYS.values()].find((key) => key.section === section)?.path ?? section;
}
