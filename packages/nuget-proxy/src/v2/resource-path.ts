import { unquoted } from './odata-query.js';

/** One part of an OData path: a name, and what is in its parentheses. */
export interface ResourcePart {
  /** In lower case. */
  readonly name: string;
  /** By name in lower case; a key without a name is `''`. */
  readonly parameters: ReadonlyMap<string, string>;
}

const PART = /^(\$?\w+)(?:\((.*)\))?$/s;
/** A value in quotes, or of anything that has no meaning here. */
const PARAMETER = /\s*(?:(\w+)\s*=\s*)?('(?:[^']|'')*'|[^',=\s]+)\s*(?:,|$)/y;

/**
 * Reads `Packages(Id='a',Version='1.0')`; quotes within a value are doubled. Undefined for what isn't of that form.
 */
export function parseResource(segment: string): ResourcePart | undefined {
  const [, name, inside = ''] = PART.exec(segment) ?? [];
  if (name === undefined) return undefined;
  const parameters = new Map<string, string>();
  PARAMETER.lastIndex = 0;
  for (let at = 0; at < inside.trimEnd().length; at = PARAMETER.lastIndex) {
    const match = PARAMETER.exec(inside);
    if (match === null) return undefined;
    parameters.set((match[1] ?? '').toLowerCase(), unquoted(match[2] ?? ''));
  }
  return { name: name.toLowerCase(), parameters };
}
