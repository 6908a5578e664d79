/** Attributes by name; those that are undefined are left out. */
export type Attributes = Readonly<Record<string, string | undefined>>;

// biome-ignore lint/suspicious/noControlCharactersInRegex: XML has no way to write them
const SPECIAL = /[&<>"\t\n\r\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Surrogate}/gu;

/**
 * Writes XML of elements, attributes and texts. Texts may have anything in them: what means something in XML is escaped,
 * and what XML can't have (control characters, halves of surrogate pairs) is dropped. Names are taken as they are.
 */
export class XmlWriter {
  #out = '<?xml version="1.0" encoding="utf-8"?>\n';

  /** Begins an element, writes what is in it, and ends it. */
  element(name: string, attributes: Attributes, content: () => void): this {
    this.#start(name, attributes);
    this.#out += '>';
    content();
    this.#out += `</${name}>`;
    return this;
  }

  /** An element with nothing but a text in it. */
  leaf(name: string, text: string, attributes: Attributes = {}): this {
    this.#start(name, attributes);
    this.#out += `>${escaped(text, false)}</${name}>`;
    return this;
  }

  empty(name: string, attributes: Attributes = {}): this {
    this.#start(name, attributes);
    this.#out += ' />';
    return this;
  }

  /** The document as it is now. */
  toString(): string {
    return this.#out;
  }

  #start(name: string, attributes: Attributes): void {
    this.#out += `<${name}`;
    for (const attribute in attributes) {
      const value = attributes[attribute];
      if (value !== undefined) this.#out += ` ${attribute}="${escaped(value, true)}"`;
    }
  }
}

/** Readers make one line feed of every line end, and blanks of those in attributes, unless they are written as numbers. */
function escaped(text: string, inAttribute: boolean): string {
  return text.replace(SPECIAL, (character) => {
    switch (character) {
      case '&':
        return '&amp;';
      case '<':
        return '&lt;';
      case '>':
        return '&gt;';
      case '\r':
        return '&#13;';
      case '"':
        return inAttribute ? '&quot;' : character;
      case '\t':
      case '\n':
        return inAttribute ? `&#${character.charCodeAt(0)};` : character;
      default:
        return '';
    }
  });
}
