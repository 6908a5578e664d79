import { HttpError } from '../../http/http-error.js';
import { type EdmType, packageProperty } from '../documents/package-properties.js';
import { type Comparison, type Expression, filterFunction, type ValueType } from './expression.js';
import { type Token, tokensOf } from './tokens.js';

/** Deeper than any client nests; the parser goes one level down its stack for each. */
const MAX_DEPTH = 64;
const COMPARISONS: ReadonlySet<string> = new Set<Comparison>(['eq', 'ne', 'gt', 'ge', 'lt', 'le']);
const TYPES: Readonly<Record<EdmType, ValueType>> = {
  'Edm.String': 'text',
  'Edm.Boolean': 'boolean',
  'Edm.DateTime': 'date',
  'Edm.Int32': 'number',
  'Edm.Int64': 'number',
};

/**
 * Reads a filter (OData 2, `$filter`): `and`, `or`, `not`, comparisons, functions on texts, properties and literals.
 * Arithmetic and functions on dates aren't there; no client asks for them.
 *
 * @throws HttpError 400 with what is wrong, or isn't supported
 */
export function parseFilter(text: string): Expression {
  const parser = new FilterParser(tokensOf(text));
  const expression = parser.expression();
  parser.end();
  return expectType(expression, 'boolean', 'a filter');
}

class FilterParser {
  readonly #tokens: readonly Token[];
  #at = 0;
  #depth = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  expression(): Expression {
    if (++this.#depth > MAX_DEPTH) throw wrong(`more than ${MAX_DEPTH} levels of parentheses`);
    const expression = this.#joined('or', () => this.#joined('and', () => this.#negation()));
    this.#depth -= 1;
    return expression;
  }

  end(): void {
    if (this.#at < this.#tokens.length) throw wrong(`${this.#shown()} where it should end`);
  }

  #joined(kind: 'and' | 'or', next: () => Expression): Expression {
    const first = next();
    if (!this.#takeWord(kind)) return first;
    const operands = [expectType(first, 'boolean', kind)];
    do operands.push(expectType(next(), 'boolean', kind));
    while (this.#takeWord(kind));
    return { kind, type: 'boolean', operands };
  }

  #negation(): Expression {
    let isNegated: boolean | undefined;
    while (this.#takeWord('not')) isNegated = isNegated !== true;
    const operand = this.#comparison();
    if (isNegated === undefined) return operand;
    expectType(operand, 'boolean', 'not');
    return isNegated ? { kind: 'not', type: 'boolean', operand } : operand;
  }

  #comparison(): Expression {
    const left = this.#operand();
    const token = this.#tokens[this.#at];
    const operator = token?.kind === 'word' ? token.value.toLowerCase() : '';
    if (!COMPARISONS.has(operator)) return left;
    this.#at += 1;
    const right = this.#operand();
    if (left.type !== undefined && right.type !== undefined && left.type !== right.type) {
      throw wrong(`a ${left.type} compared with a ${right.type}`);
    }
    return { kind: 'comparison', type: 'boolean', operator: operator as Comparison, left, right };
  }

  #operand(): Expression {
    const token = this.#tokens[this.#at];
    if (token === undefined) throw wrong('nothing where a value should be');
    this.#at += 1;
    switch (token.kind) {
      case 'text':
      case 'number':
      case 'date':
        return { kind: 'literal', type: token.kind, value: token.value };
      case 'word':
        return this.#takeMark('(') ? this.#call(token.value) : named(token.value);
      case 'mark': {
        if (token.value !== '(') throw wrong(`${token.value} where a value should be`);
        const inner = this.expression();
        this.#expectMark(')');
        return inner;
      }
    }
  }

  #call(name: string): Expression {
    const called = filterFunction(name);
    if (called === undefined) throw wrong(`the function ${name.slice(0, 40)}, which isn't supported`);
    const operands: Expression[] = [];
    do operands.push(this.expression());
    while (this.#takeMark(','));
    this.#expectMark(')');
    const { takes, optional = 0 } = called;
    if (operands.length > takes.length || operands.length < takes.length - optional) {
      throw wrong(`${operands.length} values for ${called.name}`);
    }
    for (const [index, operand] of operands.entries()) expectType(operand, takes[index], called.name);
    return { kind: 'call', type: called.gives, function: called, operands };
  }

  #takeWord(word: string): boolean {
    const token = this.#tokens[this.#at];
    if (token?.kind !== 'word' || token.value.toLowerCase() !== word) return false;
    this.#at += 1;
    return true;
  }

  #takeMark(mark: string): boolean {
    const token = this.#tokens[this.#at];
    if (token?.kind !== 'mark' || token.value !== mark) return false;
    this.#at += 1;
    return true;
  }

  #expectMark(mark: string): void {
    if (!this.#takeMark(mark)) throw wrong(`${this.#shown()} where ${mark} should be`);
  }

  #shown(): string {
    const token = this.#tokens[this.#at];
    return token === undefined ? 'nothing' : String(token.value).slice(0, 40);
  }
}

function named(name: string): Expression {
  const lower = name.toLowerCase();
  if (lower === 'true' || lower === 'false') return { kind: 'literal', type: 'boolean', value: lower === 'true' };
  if (lower === 'null') return { kind: 'null', type: undefined };
  const property = packageProperty(name);
  if (property === undefined) throw wrong(`${name.slice(0, 40)}, which packages don't have`);
  return { kind: 'property', type: TYPES[property.type], property };
}

/** Null may stand for a value of any type. */
function expectType(expression: Expression, type: ValueType | undefined, where: string): Expression {
  if (expression.type === undefined || expression.type === type) return expression;
  throw wrong(`a ${expression.type} in ${where}, which takes a ${type}`);
}

function wrong(what: string): HttpError {
  return new HttpError(400, `the filter has ${what}`);
}
