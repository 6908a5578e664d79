import type { PackageProperty } from '../documents/package-properties.js';

export type ValueType = 'text' | 'number' | 'boolean' | 'date';
export type Comparison = 'eq' | 'ne' | 'gt' | 'ge' | 'lt' | 'le';

/** An OData expression about a package, its types checked. */
export type Expression =
  | { readonly kind: 'literal'; readonly type: ValueType; readonly value: string | number | boolean }
  | { readonly kind: 'null'; readonly type: undefined }
  | { readonly kind: 'property'; readonly type: ValueType; readonly property: PackageProperty }
  | {
      readonly kind: 'call';
      readonly type: ValueType;
      readonly function: FilterFunction;
      readonly operands: readonly Expression[];
    }
  | {
      readonly kind: 'comparison';
      readonly type: 'boolean';
      readonly operator: Comparison;
      readonly left: Expression;
      readonly right: Expression;
    }
  | { readonly kind: 'and' | 'or'; readonly type: 'boolean'; readonly operands: readonly Expression[] }
  | { readonly kind: 'not'; readonly type: 'boolean'; readonly operand: Expression };

export interface FilterFunction {
  readonly name: string;
  readonly takes: readonly ValueType[];
  /** How many of them may be left out. */
  readonly optional?: number;
  readonly gives: ValueType;
  /** Not called when one of the values is null. Case doesn't matter: texts are in lower case. */
  readonly of: (a: never, b: never, c: never) => string | number | boolean;
}

const functions: readonly FilterFunction[] = [
  { name: 'tolower', takes: ['text'], gives: 'text', of: (text: string) => text },
  { name: 'toupper', takes: ['text'], gives: 'text', of: (text: string) => text },
  { name: 'trim', takes: ['text'], gives: 'text', of: (text: string) => text.trim() },
  { name: 'length', takes: ['text'], gives: 'number', of: (text: string) => text.length },
  // The part comes first here, and last in the others.
  { name: 'substringof', takes: ['text', 'text'], gives: 'boolean', of: (a: string, b: string) => b.includes(a) },
  { name: 'startswith', takes: ['text', 'text'], gives: 'boolean', of: (a: string, b: string) => a.startsWith(b) },
  { name: 'endswith', takes: ['text', 'text'], gives: 'boolean', of: (a: string, b: string) => a.endsWith(b) },
  { name: 'indexof', takes: ['text', 'text'], gives: 'number', of: (a: string, b: string) => a.indexOf(b) },
  {
    name: 'substring',
    takes: ['text', 'number', 'number'],
    optional: 1,
    gives: 'text',
    of: (text: string, from: number, length?: number) =>
      text.slice(Math.max(0, from), length === undefined ? undefined : Math.max(0, from) + Math.max(0, length)),
  },
];

const byName = new Map(functions.map((each) => [each.name, each]));

/** By its name in any case. */
export function filterFunction(name: string): FilterFunction | undefined {
  return byName.get(name.toLowerCase());
}
