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
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    const message = `can't be read: ${reason(error as NodeJS.ErrnoException)}`;
    return { settings: [], mistakes: [{ origin: file, key: undefined, message }] };
  }
  return parseYaml(file, text);
}

function reason({ code, message }: NodeJS.ErrnoException): string {
  if (code === 'ENOENT') return 'there is no such file';
  return code === 'EISDIR' ? 'it is a folder' : message;
}

export function parseYaml(file: string, text: string): SourceReading {
  const settings: Setting[] = [];
  const mistakes: ConfigMistake[] = [];
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, merge: true });
  const at = (offset: number | undefined) => `${file}:${lines.linePos(offset ?? 0).line}`;
  const add = (node: Node | null | undefined, key: string | undefined, message: string) =>
    mistakes.push({ origin: at(node?.range?.[0]), key, message });

  for (const error of document.errors) {
    // The parser speaks to programmers there.
    const message = error.code === 'MULTIPLE_DOCS' ? 'holds a second document' : `is not YAML: ${error.message}`;
    mistakes.push({ origin: at(error.pos[0]), key: undefined, message });
  }
  if (mistakes.length === 0) checkAliases(document, add);
  if (mistakes.length > 0) return { settings, mistakes };
  const { contents } = document;
  if (contents === null || (isScalar(contents) && contents.value === null)) return { settings, mistakes };
  if (!isMap(contents)) {
    add(contents, undefined, `holds ${show(contents.toJS(document))}; allowed: sections such as storage`);
    return { settings, mistakes };
  }
  for (const [section, value, node] of entries(contents, document)) {
    const written = CONFIG_KEYS.get(section);
    if (written && written.name !== '')
      add(node, section, `stands outside of its section; write ${written.name} below ${written.section}:`);
    else if (!CONFIG_SECTIONS.includes(section))
      add(node, section, unknownKey(section, [...CONFIG_SECTIONS, ...CONFIG_KEYS.keys()]));
    else if (CONFIG_KEYS.has(section)) {
      if (isSet(value))
        settings.push({ key: keyAt(section), value: value.toJS(document), origin: at(node.range?.[0]) });
    } else if (isMap(value)) {
      for (const [name, inner, innerNode] of entries(value, document)) {
        const path = `${section}.${name}`;
        const key = CONFIG_KEYS.get(path);
        if (!key) add(innerNode, path, unknownKey(path, CONFIG_KEYS.keys()));
        // A key without a value is one whose value was commented out: the default stays.
        else if (isSet(inner)) settings.push({ key, value: inner.toJS(document), origin: at(innerNode.range?.[0]) });
      }
    } else if (isSet(value)) {
      add(
        node,
        section,
        `found ${show(value.toJS(document))}; allowed: a section with keys such as ${exampleOf(section)}`,
      );
    }
  }
  return { settings, mistakes };
}

/** What aliases stand for is looked at only when values are asked for, which throws where that makes none. */
function checkAliases(document: Document, add: (node: Node | null, key: undefined, message: string) => void): void {
  let areKnown = true;
  visit(document, {
    Alias: (_, alias) => {
      if (alias.resolve(document)) return;
      areKnown = false;
      add(alias, undefined, `is not YAML: nothing before *${alias.source} has that name`);
    },
  });
  if (!areKnown) return;
  try {
    JSON.stringify(document.toJS());
  } catch (error) {
    const isMerge = String(error).includes('Merge sources');
    const message = isMerge ? 'has << before what is no mapping' : 'has aliases that name themselves, or far too many';
    add(document.contents as Node | null, undefined, message);
  }
}

/** Whether there is a value: nothing, or null, is what stays of one that was commented out. */
function isSet(value: Node | null): value is Node {
  return value !== null && !(isScalar(value) && value.value === null);
}

function keyAt(path: string): ConfigKey {
  return CONFIG_KEYS.get(path) as ConfigKey;
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
