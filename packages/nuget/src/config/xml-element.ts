import { SaxesParser } from 'saxes';

/** An element of a small document, and where it stands in the text. */
export interface XmlElement {
  /** Without prefix. */
  readonly name: string;
  /** In the order in which they are written. */
  readonly attributes: ReadonlyMap<string, string>;
  readonly children: readonly XmlElement[];
  readonly line: number;
  /** Offset of its `<`. */
  readonly start: number;
  /** Offset behind the `>` of its start tag. */
  readonly startTagEnd: number;
  /** Offset of the `<` of its end tag; {@link end} for an element without one. */
  readonly endTagStart: number;
  /** Offset behind its last `>`. */
  readonly end: number;
}

export class XmlError extends Error {
  readonly line: number;

  constructor(message: string, line: number) {
    super(message);
    this.line = line;
  }
}

const MAX_DEPTH = 32;
const MAX_ELEMENTS = 50_000;

interface OpenElement {
  name: string;
  attributes: Map<string, string>;
  children: XmlElement[];
  line: number;
  start: number;
  startTagEnd: number;
  endTagStart: number;
  end: number;
}

/**
 * Reads a document that is small enough to be held as a whole. There are no document types, so that no entity but XML's
 * own means anything.
 *
 * @throws {@link XmlError} at the first thing that is wrong
 */
export function parseXml(text: string): XmlElement {
  const parser = new SaxesParser({ xmlns: false, position: true });
  const open: OpenElement[] = [];
  let root: OpenElement | undefined;
  let elements = 0;
  const fail = (message: string): never => {
    throw new XmlError(message, parser.line);
  };
  parser.on('error', (error) => fail(error.message.replace(/^\d+:\d+: /, '')));
  parser.on('doctype', () => fail('a document type is not allowed'));
  parser.on('opentag', ({ name, attributes }) => {
    if (open.length >= MAX_DEPTH) fail(`elements are nested more than ${MAX_DEPTH} deep`);
    if (++elements > MAX_ELEMENTS) fail(`there are more than ${MAX_ELEMENTS} elements`);
    const end = parser.position;
    const element: OpenElement = {
      name: localName(name),
      attributes: new Map(Object.entries(attributes).map(([key, value]) => [localName(key), value])),
      children: [],
      line: parser.line,
      // No attribute has a `<` in it.
      start: text.lastIndexOf('<', end - 1),
      startTagEnd: end,
      endTagStart: end,
      end,
    };
    open.at(-1)?.children.push(element);
    root ??= element;
    open.push(element);
  });
  parser.on('closetag', ({ isSelfClosing }) => {
    const element = open.pop();
    if (element === undefined || isSelfClosing) return;
    element.end = parser.position;
    element.endTagStart = text.lastIndexOf('<', element.end - 1);
  });
  parser.write(text).close();
  return root ?? fail('there is no element');
}

function localName(name: string): string {
  return name.slice(name.indexOf(':') + 1);
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  '\n': '&#xA;',
  '\r': '&#xD;',
  '\t': '&#x9;',
};

/** A text as the value of an attribute in double quotes. */
export function escapeAttribute(text: string): string {
  return text.replace(/[&<>"\n\r\t]/g, (character) => ESCAPES[character] as string);
}
