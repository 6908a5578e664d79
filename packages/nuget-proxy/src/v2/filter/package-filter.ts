import { NuGetVersion } from '@granary/nuget';
import type { FeedUrls } from '../../http/feed-urls.js';
import { HttpError } from '../../http/http-error.js';
import type { PropertyValue } from '../documents/package-properties.js';
import type { PackageEntry } from '../lists/package-history.js';
import type { Comparison, Expression } from './expression.js';
import { parseFilter } from './parse-filter.js';

/** Steps that one request may take; each is well below a microsecond. */
const MAX_STEPS = 2_000_000;
/** Characters of a text that are a step to look at. */
const STEP_CHARACTERS = 64;

const COMPARISONS: Readonly<Record<Comparison, (order: number) => boolean>> = {
  eq: (order) => order === 0,
  ne: (order) => order !== 0,
  gt: (order) => order > 0,
  ge: (order) => order >= 0,
  lt: (order) => order < 0,
  le: (order) => order <= 0,
};

/**
 * A filter of one request. Texts are compared without regard to case, as galleries do, and versions as versions:
 * `Version eq '1.0'` takes 1.0.0.
 */
export class PackageFilter {
  readonly #expression: Expression;
  readonly #urls: FeedUrls;
  #steps = 0;

  /** @throws HttpError 400 */
  constructor(text: string, urls: FeedUrls) {
    this.#expression = parseFilter(text);
    this.#urls = urls;
  }

  /** @throws HttpError 400 when the filter costs too much for all that it was asked about */
  accepts(entry: PackageEntry): boolean {
    return this.#valueOf(this.#expression, entry) === true;
  }

  /**
   * Whether it takes a package of which only some properties are known; undefined when that hangs on the others.
   *
   * @param isKnown by the name of a property; what has no value isn't known, whatever it says
   */
  decides(entry: PackageEntry, isKnown: (name: string) => boolean): boolean | undefined {
    return this.#decided(this.#expression, entry, isKnown);
  }

  /** When it takes one version of each package at most: which newest one. */
  get newest(): 'stable' | 'absolute' | undefined {
    const names = new Set(operandsOf(this.#expression).map(newestIn));
    if (names.has('IsLatestVersion')) return 'stable';
    return names.has('IsAbsoluteLatestVersion') ? 'absolute' : undefined;
  }

  /** Whether it takes that newest version of every package. */
  get isOnlyNewest(): boolean {
    return newestIn(this.#expression) !== undefined;
  }

  /** The ids, in lower case, of all that it can take; undefined when it doesn't name them. */
  get ids(): ReadonlySet<string> | undefined {
    return namedIn(this.#expression, idIn);
  }

  /** Words of which what it takes has at least one; undefined when it names none. */
  get words(): ReadonlySet<string> | undefined {
    return namedIn(this.#expression, wordIn);
  }

  #valueOf(expression: Expression, entry: PackageEntry): PropertyValue {
    this.#spend(1);
    switch (expression.kind) {
      case 'literal':
        return typeof expression.value === 'string' ? expression.value.toLowerCase() : expression.value;
      case 'null':
        return null;
      case 'property': {
        const value = expression.property.read(entry, this.#urls);
        if (typeof value !== 'string') return value;
        this.#spend(value.length / STEP_CHARACTERS);
        return value.toLowerCase();
      }
      case 'call': {
        const values = expression.operands.map((operand) => this.#valueOf(operand, entry)) as [never, never, never];
        for (const value of values as PropertyValue[]) {
          if (typeof value === 'string') this.#spend(value.length / STEP_CHARACTERS);
        }
        return values.includes(null as never) ? null : expression.function.of(...values);
      }
      case 'comparison':
        return this.#compare(expression, entry);
      case 'and':
        return expression.operands.every((operand) => this.#valueOf(operand, entry) === true);
      case 'or':
        return expression.operands.some((operand) => this.#valueOf(operand, entry) === true);
      case 'not':
        return this.#valueOf(expression.operand, entry) !== true;
    }
  }

  #decided(expression: Expression, entry: PackageEntry, isKnown: (name: string) => boolean): boolean | undefined {
    this.#spend(1);
    switch (expression.kind) {
      case 'and':
      case 'or': {
        // One operand that is like this settles it, whatever the others are.
        const settling = expression.kind === 'or';
        let result: boolean | undefined = !settling;
        for (const operand of expression.operands) {
          const decided = this.#decided(operand, entry, isKnown);
          if (decided === settling) return settling;
          if (decided === undefined) result = undefined;
        }
        return result;
      }
      case 'not': {
        const decided = this.#decided(expression.operand, entry, isKnown);
        return decided === undefined ? undefined : !decided;
      }
      default:
        return this.#isGiven(expression, entry, isKnown) ? this.#valueOf(expression, entry) === true : undefined;
    }
  }

  #isGiven(expression: Expression, entry: PackageEntry, isKnown: (name: string) => boolean): boolean {
    this.#spend(1);
    switch (expression.kind) {
      case 'literal':
      case 'null':
        return true;
      case 'property': {
        const { name, read } = expression.property;
        if (!isKnown(name)) return false;
        const value = read(entry, this.#urls);
        return value !== null && value !== '';
      }
      case 'comparison':
        return [expression.left, expression.right].every((side) => this.#isGiven(side, entry, isKnown));
      case 'not':
        return this.#isGiven(expression.operand, entry, isKnown);
      default:
        return expression.operands.every((operand) => this.#isGiven(operand, entry, isKnown));
    }
  }

  #compare(expression: Extract<Expression, { kind: 'comparison' }>, entry: PackageEntry): boolean {
    const { operator, left, right } = expression;
    const a = this.#valueOf(left, entry);
    const b = this.#valueOf(right, entry);
    if (a === null || b === null) {
      // What isn't there is equal to nothing else, and neither more nor less.
      return operator === 'eq' ? a === b : operator === 'ne' && a !== b;
    }
    const isVersion = isVersionProperty(left) || isVersionProperty(right);
    const order = (isVersion ? orderOfVersions(String(a), String(b)) : undefined) ?? orderOf(a, b);
    return COMPARISONS[operator](order);
  }

  #spend(steps: number): void {
    this.#steps += steps;
    if (this.#steps > MAX_STEPS) throw new HttpError(400, 'the filter takes too long; ask for fewer packages');
  }
}

/** Negative when `a` comes before `b`. */
export function orderOf(a: string | number | boolean, b: string | number | boolean): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function orderOfVersions(a: string, b: string): number | undefined {
  const [first, second] = [NuGetVersion.tryParse(a), NuGetVersion.tryParse(b)];
  return first && second && NuGetVersion.compare(first, second);
}

function isVersionProperty(expression: Expression): boolean {
  return (
    expression.kind === 'property' &&
    (expression.property.name === 'Version' || expression.property.name === 'NormalizedVersion')
  );
}

const NEWEST: ReadonlySet<string> = new Set(['IsLatestVersion', 'IsAbsoluteLatestVersion']);

/** What must all be true for an expression to be. */
function operandsOf(expression: Expression): readonly Expression[] {
  return expression.kind === 'and' ? expression.operands.flatMap(operandsOf) : [expression];
}

/** The name of the property by which an expression takes the newest version. */
function newestIn(expression: Expression): string | undefined {
  const flag = affirmed(expression);
  return flag.kind === 'property' && NEWEST.has(flag.property.name) ? flag.property.name : undefined;
}

/** What `… eq true` is about, which some clients write behind whatever is true or false. */
function affirmed(expression: Expression): Expression {
  if (expression.kind !== 'comparison' || expression.operator !== 'eq') return expression;
  const { left, right } = expression;
  return right.kind === 'literal' && right.value === true ? left : expression;
}

/** What an expression must name to be true: what all of `or` name together, and what one of `and` does. */
function namedIn(
  expression: Expression,
  read: (expression: Expression) => string | undefined,
): ReadonlySet<string> | undefined {
  if (expression.kind !== 'and' && expression.kind !== 'or') {
    const name = read(expression);
    return name === undefined ? undefined : new Set([name]);
  }
  const sets = expression.operands.map((operand) => namedIn(operand, read));
  const defined = sets.filter((set) => set !== undefined);
  if (expression.kind === 'and') return defined.sort((a, b) => a.size - b.size)[0];
  return defined.length < sets.length ? undefined : new Set(defined.flatMap((set) => [...set]));
}

function idIn(expression: Expression): string | undefined {
  if (expression.kind !== 'comparison' || expression.operator !== 'eq') return undefined;
  const [left, right] = [expression.left, expression.right];
  if (propertyIn(left) === 'Id') return textIn(right);
  return propertyIn(right) === 'Id' ? textIn(left) : undefined;
}

const SEARCHED: ReadonlySet<string> = new Set(['Id', 'Title', 'Description', 'Tags', 'Summary', 'Authors']);

function wordIn(condition: Expression): string | undefined {
  const expression = affirmed(condition);
  if (expression.kind !== 'call' || expression.type !== 'boolean') return undefined;
  const [first, second] = expression.operands;
  if (first === undefined || second === undefined) return undefined;
  const [part, whole] = expression.function.name === 'substringof' ? [first, second] : [second, first];
  return SEARCHED.has(propertyIn(whole) ?? '') ? textIn(part)?.trim() || undefined : undefined;
}

/** The property that an expression is, whatever its case. */
function propertyIn(expression: Expression): string | undefined {
  if (expression.kind === 'property') return expression.property.name;
  if (expression.kind !== 'call' || !/^(?:tolower|toupper|trim)$/.test(expression.function.name)) return undefined;
  return expression.operands[0] && propertyIn(expression.operands[0]);
}

function textIn(expression: Expression): string | undefined {
  return expression.kind === 'literal' ? String(expression.value).toLowerCase() : undefined;
}
