import { NuGetVersion } from '../../versions/nuget-version.js';
import { closingParenthesis, type ExpansionScope, expand } from './expand.js';

export interface ConditionScope extends ExpansionScope {
  /** Whether there is a file or folder; its path may be relative. */
  exists(path: string): boolean;
}

/** True, false, or not to be known here. */
export type Truth = boolean | undefined;

type Token = { readonly kind: 'text' | 'word' | 'operator'; readonly text: string };

const MAX_LENGTH = 8 * 1024;
const MAX_TOKENS = 500;

/**
 * Whether a condition of MSBuild holds: comparisons, `and`, `or`, `!`, `Exists('…')`. What can't be understood can't be
 * known, and neither can what hangs on it.
 */
export function evaluateCondition(condition: string, scope: ConditionScope): Truth {
  if (condition.length > MAX_LENGTH) return undefined;
  const tokens = tokenize(condition);
  if (tokens === undefined) return undefined;
  const parser = new ConditionParser(tokens, scope);
  const truth = parser.or();
  return parser.isAtEnd ? truth : undefined;
}

const OPERATOR = /==|!=|<=|>=|[<>!(),]/y;

/** Undefined for what is no condition. */
function tokenize(text: string): Token[] | undefined {
  const tokens: Token[] = [];
  let at = 0;
  while (at < text.length) {
    if (/\s/.test(text.charAt(at))) {
      at++;
      continue;
    }
    OPERATOR.lastIndex = at;
    const operator = OPERATOR.exec(text)?.[0];
    const isQuoted = text.charAt(at) === "'";
    const start = isQuoted ? at + 1 : at;
    const end = operator === undefined ? endOfText(text, start, isQuoted) : at + operator.length;
    if (end === undefined || tokens.length === MAX_TOKENS) return undefined;
    const kind = operator !== undefined ? 'operator' : isQuoted ? 'text' : 'word';
    tokens.push({ kind, text: text.slice(start, end) });
    at = isQuoted ? end + 1 : end;
  }
  return tokens;
}

/** Where a text ends, whose expressions may have quotes and operators in them. */
function endOfText(text: string, start: number, isQuoted: boolean): number | undefined {
  let at = start;
  while (at < text.length) {
    if (text.startsWith('$(', at)) {
      const end = closingParenthesis(text, at + 2);
      if (end === undefined) return undefined;
      at = end + 1;
    } else if (isQuoted ? text.charAt(at) === "'" : /[\s'=!<>(),]/.test(text.charAt(at))) {
      return at;
    } else {
      at++;
    }
  }
  return isQuoted ? undefined : at;
}

const TRUTHS: ReadonlyMap<string, boolean> = new Map([
  ...['true', 'on', 'yes', '!false', '!off', '!no'].map((word) => [word, true] as const),
  ...['false', 'off', 'no', '!true', '!on', '!yes'].map((word) => [word, false] as const),
]);

class ConditionParser {
  readonly #tokens: readonly Token[];
  readonly #scope: ConditionScope;
  #at = 0;

  constructor(tokens: readonly Token[], scope: ConditionScope) {
    this.#tokens = tokens;
    this.#scope = scope;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#tokens.length;
  }

  or(): Truth {
    let truth = this.#and();
    while (this.#takeWord('or')) {
      const right = this.#and();
      truth = truth === true || right === true ? true : truth === undefined || right === undefined ? undefined : false;
    }
    return truth;
  }

  #and(): Truth {
    let truth = this.#not();
    while (this.#takeWord('and')) {
      const right = this.#not();
      truth =
        truth === false || right === false ? false : truth === undefined || right === undefined ? undefined : true;
    }
    return truth;
  }

  #not(): Truth {
    let isNegated = false;
    while (this.#takeOperator('!')) isNegated = !isNegated;
    const truth = this.#primary();
    return truth === undefined ? undefined : truth !== isNegated;
  }

  #primary(): Truth {
    if (this.#takeOperator('(')) {
      const truth = this.or();
      return this.#takeOperator(')') ? truth : this.#giveUp();
    }
    const token = this.#tokens[this.#at];
    if (token === undefined || token.kind === 'operator') return this.#giveUp();
    this.#at++;
    if (token.kind === 'word' && this.#takeOperator('(')) return this.#call(token.text);
    const left = expand(token.text, this.#scope);
    const operator = this.#tokens[this.#at];
    if (operator?.kind !== 'operator' || operator.text === ')') return TRUTHS.get(left?.toLowerCase() ?? '');
    this.#at++;
    const right = this.#tokens[this.#at++];
    if (right === undefined || right.kind === 'operator') return this.#giveUp();
    return compare(left, operator.text, expand(right.text, this.#scope));
  }

  #call(name: string): Truth {
    const argument = this.#tokens[this.#at++];
    if (argument === undefined || argument.kind === 'operator' || !this.#takeOperator(')')) return this.#giveUp();
    const value = expand(argument.text, this.#scope);
    if (value === undefined) return undefined;
    switch (name.toLowerCase()) {
      case 'exists':
        return this.#scope.exists(value);
      case 'hastrailingslash':
        return /[\\/]$/.test(value);
      default:
        return undefined;
    }
  }

  #takeWord(word: string): boolean {
    const token = this.#tokens[this.#at];
    if (token?.kind !== 'word' || token.text.toLowerCase() !== word) return false;
    this.#at++;
    return true;
  }

  #takeOperator(operator: string): boolean {
    const token = this.#tokens[this.#at];
    if (token?.kind !== 'operator' || token.text !== operator) return false;
    this.#at++;
    return true;
  }

  /** Nothing after this is looked at. */
  #giveUp(): undefined {
    this.#at = Number.POSITIVE_INFINITY;
    return undefined;
  }
}

function compare(left: string | undefined, operator: string, right: string | undefined): Truth {
  if (left === undefined || right === undefined) return undefined;
  if (operator === '==') return isEqual(left, right);
  if (operator === '!=') return !isEqual(left, right);
  const a = NuGetVersion.tryParse(left);
  const b = NuGetVersion.tryParse(right);
  if (a === undefined || b === undefined) return undefined;
  const order = a.compareTo(b);
  switch (operator) {
    case '<':
      return order < 0;
    case '<=':
      return order <= 0;
    case '>':
      return order > 0;
    case '>=':
      return order >= 0;
    default:
      return undefined;
  }
}

function isEqual(left: string, right: string): boolean {
  if (left.toLowerCase() === right.toLowerCase()) return true;
  const [a, b] = [Number(left), Number(right)];
  return left.trim() !== '' && right.trim() !== '' && a === b;
}
