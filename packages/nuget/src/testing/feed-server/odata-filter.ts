/** What a filter is about: properties of one package, by name. */
export type ODataValue = string | number | boolean | Date | null;
export type ODataRecord = Readonly<Record<string, ODataValue>>;

/** A filter or order that this server doesn't understand: the client gets 400. */
export class ODataError extends Error {
  override readonly name = 'ODataError';
}

type Expression = (record: ODataRecord) => ODataValue;

const TOKEN = /\s*(?:'((?:[^']|'')*)'|datetime'([^']*)'|([A-Za-z_]\w*)|(-?\d+(?:\.\d+)?)|([(),]))/y;

type Token =
  | { readonly kind: 'literal'; readonly value: ODataValue }
  | { readonly kind: 'word'; readonly text: string }
  | { readonly kind: 'mark'; readonly text: string };

/**
 * Compiles what clients write after `$filter=`: `and`, `or`, `not`, comparisons, `tolower`, `toupper`, `substringof`,
 * `startswith`, `endswith`, `indexof` and `length` over the properties of a package. Names don't depend on case.
 */
export function compileFilter(text: string): (record: ODataRecord) => boolean {
  const parser = new FilterParser(tokensOf(text));
  const expression = parser.or();
  parser.end();
  return (record) => expression(record) === true;
}

/** Compiles `Id`, `DownloadCount desc,Id` into an order. */
export function compileOrder(
  text: string,
  compareVersions: (a: string, b: string) => number,
): (a: ODataRecord, b: ODataRecord) => number {
  const keys = text.split(',').map((key) => {
    const [, name, direction] = /^\s*([A-Za-z_]\w*)(?:\s+(asc|desc))?\s*$/i.exec(key) ?? [];
    if (name === undefined) throw new ODataError(`no order: ${key}`);
    return { name: name.toLowerCase(), sign: direction?.toLowerCase() === 'desc' ? -1 : 1 };
  });
  return (a, b) => {
    for (const { name, sign } of keys) {
      const [x, y] = [property(a, name), property(b, name)];
      const isVersion = name === 'version' || name === 'normalizedversion';
      const order = isVersion ? compareVersions(String(x), String(y)) : compare(lower(x), lower(y));
      if (order !== 0) return order * sign;
    }
    return 0;
  };
}

function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.trimEnd().length) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (match === null) throw new ODataError(`no filter from ${text.slice(at, at + 40)}`);
    const [, string, date, word, number, mark] = match;
    if (string !== undefined) tokens.push({ kind: 'literal', value: string.replaceAll("''", "'") });
    else if (date !== undefined) tokens.push({ kind: 'literal', value: new Date(`${date}Z`) });
    else if (number !== undefined) tokens.push({ kind: 'literal', value: Number(number) });
    else if (mark !== undefined) tokens.push({ kind: 'mark', text: mark });
    else if (word !== undefined) tokens.push(wordToken(word));
  }
  return tokens;
}

const CONSTANTS: Readonly<Record<string, ODataValue>> = { true: true, false: false, null: null };

function wordToken(text: string): Token {
  const value = CONSTANTS[text.toLowerCase()];
  return value === undefined ? { kind: 'word', text: text.toLowerCase() } : { kind: 'literal', value };
}

const COMPARISONS: Readonly<Record<string, (order: number) => boolean>> = {
  eq: (order) => order === 0,
  ne: (order) => order !== 0,
  gt: (order) => order > 0,
  ge: (order) => order >= 0,
  lt: (order) => order < 0,
  le: (order) => order <= 0,
};

const FUNCTIONS: Readonly<Record<string, (...values: readonly string[]) => ODataValue>> = {
  tolower: (text = '') => text.toLowerCase(),
  toupper: (text = '') => text.toUpperCase(),
  trim: (text = '') => text.trim(),
  length: (text = '') => text.length,
  // The part comes first here, and last in the others.
  substringof: (part = '', text = '') => text.includes(part),
  startswith: (text = '', part = '') => text.startsWith(part),
  endswith: (text = '', part = '') => text.endsWith(part),
  indexof: (text = '', part = '') => text.indexOf(part),
};

class FilterParser {
  readonly #tokens: readonly Token[];
  #next = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  or(): Expression {
    let left = this.#and();
    while (this.#word('or')) {
      const [a, b] = [left, this.#and()];
      left = (record) => a(record) === true || b(record) === true;
    }
    return left;
  }

  end(): void {
    if (this.#next < this.#tokens.length) throw new ODataError('the filter goes on where it should end');
  }

  #and(): Expression {
    let left = this.#not();
    while (this.#word('and')) {
      const [a, b] = [left, this.#not()];
      left = (record) => a(record) === true && b(record) === true;
    }
    return left;
  }

  #not(): Expression {
    if (!this.#word('not')) return this.#comparison();
    const inner = this.#not();
    return (record) => inner(record) !== true;
  }

  #comparison(): Expression {
    const left = this.#value();
    const token = this.#tokens[this.#next];
    const test = token?.kind === 'word' ? COMPARISONS[token.text] : undefined;
    if (test === undefined) return left;
    this.#next++;
    const right = this.#value();
    return (record) => test(compare(left(record), right(record)));
  }

  #value(): Expression {
    const token = this.#tokens[this.#next++];
    if (token === undefined) throw new ODataError('the filter ends too early');
    if (token.kind === 'literal') return () => token.value;
    if (token.kind === 'word')
      return this.#mark('(') ? this.#call(token.text) : (record) => property(record, token.text);
    if (token.text !== '(') throw new ODataError(`unexpected ${token.text} in the filter`);
    const inner = this.or();
    this.#expect(')');
    return inner;
  }

  #call(name: string): Expression {
    const call = FUNCTIONS[name];
    if (call === undefined) throw new ODataError(`unknown function ${name}`);
    const values = [this.or()];
    while (this.#mark(',')) values.push(this.or());
    this.#expect(')');
    return (record) => call(...values.map((value) => String(value(record) ?? '')));
  }

  #word(text: string): boolean {
    return this.#take('word', text);
  }

  #mark(text: string): boolean {
    return this.#take('mark', text);
  }

  #expect(mark: string): void {
    if (!this.#mark(mark)) throw new ODataError(`the filter lacks a ${mark}`);
  }

  #take(kind: 'word' | 'mark', text: string): boolean {
    const token = this.#tokens[this.#next];
    if (token?.kind !== kind || token.text !== text) return false;
    this.#next++;
    return true;
  }
}

function property(record: ODataRecord, name: string): ODataValue {
  for (const key in record) if (key.toLowerCase() === name) return record[key] ?? null;
  throw new ODataError(`packages have no property ${name}`);
}

function lower(value: ODataValue): ODataValue {
  return typeof value === 'string' ? value.toLowerCase() : value;
}

/** Nothing comes before everything; what can't be compared isn't equal. */
function compare(a: ODataValue, b: ODataValue): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? -1 : 1;
  const [x, y] = [a.valueOf(), b.valueOf()];
  return x === y ? 0 : x < y ? -1 : 1;
}
